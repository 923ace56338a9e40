"""Fraud scores; rules of the day come from a small service on this machine."""

import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from torch import nn


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.004)
        body = json.dumps({"threshold": 0.4, "weights": [1.0, 2.5]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/rules"


def rules_from(address):
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def main():
    torch.manual_seed(0)
    address = serve()
    payments = torch.randn(30_000, 80)
    net = nn.Sequential(nn.Linear(80, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, fused=True)
    begin = time.perf_counter()
    for epoch in range(3):
        rules = rules_from(address)
        for step, rows in enumerate(torch.randperm(len(payments)).split(200)):
            if step % 75 == 74:
                rules = rules_from(address)
            batch = payments[rows]
            fraud = (batch[:, :3].mean(1) > rules["threshold"]).long()
            loss = nn.functional.cross_entropy(net(batch), fraud, weight=torch.tensor(rules["weights"]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()
