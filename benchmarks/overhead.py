"""What slowprobe costs: always-on probes per step, a whole profiled run, and the import.

    python benchmarks/overhead.py [--rounds 21] [--script-seconds 60] [--pairs 3]

Bare and recorded are measured side by side, interleaved, in one run; medians and their spread are printed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEP_MS = (1, 10, 100)
WARM_UP_S, BLOCK_S = 1.3, 1.0  # past what happens once: modules are learned, files read, the first second written
LOOP = """
import sys, time, torch
from torch.utils.data import DataLoader, TensorDataset
torch.set_num_threads(1)
seconds = float(sys.argv[1])
loader = DataLoader(TensorDataset(torch.randn(4000, 64), torch.randn(4000, 1)), batch_size=4)
model = torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.ReLU(), torch.nn.Linear(512, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
started = time.perf_counter()
while time.perf_counter() - started < 2:
    pass  # clocks and caches settle
total = 0
while total < int(seconds * 1000):
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
        total += 1
        if total >= int(seconds * 1000):
            break
print(total)
"""


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--script-seconds", type=float, default=60)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    always_on(arguments.rounds)
    start_up()
    if arguments.pairs:
        whole_run(arguments.script_seconds, arguments.pairs)


def always_on(rounds: int) -> None:
    """Steps of a given length, in short blocks with and without a session, turn about, in one process.

    Blocks are short and many, because a shared machine's speed drifts by more than what is measured here.
    """
    import torch

    torch.set_num_threads(1)
    print(f"Always-on cost a step, {rounds} interleaved pairs of blocks, medians\n")
    print("| step | bare ms | recorded ms | ratio | cost µs a step (95 % of the median) |")
    print("|---:|---:|---:|---:|---:|")
    for step_ms in STEP_MS:
        loop = _Loop(step_ms)
        warm_up, steps = (max(8, int(seconds * 1000 / step_ms)) for seconds in (WARM_UP_S, BLOCK_S))
        loop.run(steps)
        bare, recorded = [], []
        for number in range(rounds):
            first, second = (bare, recorded) if number % 2 else (recorded, bare)
            for block in (first, second):
                run = _recorded if block is recorded else _Loop.run
                block.append(run(loop, warm_up + steps, warm_up))
        cost = sorted((b - a) * 1e6 for a, b in zip(bare, recorded, strict=True))
        low, high = _median_interval(len(cost))
        ratio = statistics.median(b / a for a, b in zip(bare, recorded, strict=True))
        print(
            f"| {step_ms} ms | {statistics.median(bare) * 1e3:.3f} | {statistics.median(recorded) * 1e3:.3f} "
            f"| {ratio:.4f} | {statistics.median(cost):.1f} ({cost[low]:.1f} to {cost[high]:.1f}) |"
        )
    print()


def _recorded(loop: _Loop, steps: int, warm_up: int) -> float:
    from slowprobe.capture.session import Options, Session

    with tempfile.TemporaryDirectory() as folder:
        for name in ("workers", "traces"):
            (Path(folder) / name).mkdir()
        session = Session(Path(folder), time.perf_counter_ns(), Options(trace=False))
        session.start()
        seconds = loop.run(steps, warm_up)
        session.stop()
    return seconds


def _median_interval(count: int) -> tuple[int, int]:
    """Ranks between which the median lies with 95 % (normal approximation of the binomial)."""
    reach = 0.98 * count**0.5
    return max(0, int(count / 2 - reach)), min(count - 1, int(count / 2 + reach))


class _Loop:
    """A training loop whose step takes about `step_ms`: loader, forward, backward, optimizer, and matrix products."""

    def __init__(self, step_ms: float) -> None:
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        self.loader = DataLoader(TensorDataset(torch.randn(100_000, 16), torch.randn(100_000, 1)), batch_size=4)
        self.model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)
        self.matrix = torch.full((160, 160), 1e-3)
        self.products = 0
        self.products = max(0, round((step_ms / 1e3 - self.run(300)) / self._product_s()))

    def _product_s(self) -> float:
        import torch

        begin = time.perf_counter()
        for _ in range(300):
            torch.mm(self.matrix, self.matrix)
        return (time.perf_counter() - begin) / 300

    def run(self, steps: int, warm_up: int = 0) -> float:
        """Seconds a step, mean of `steps` without the first `warm_up`."""
        import torch

        begin = time.perf_counter()
        for done, (x, y) in enumerate(self.loader, start=1):
            self.optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(self.model(x), y)
            for _ in range(self.products):
                torch.mm(self.matrix, self.matrix)
            loss.backward()
            self.optimizer.step()
            if done == warm_up:
                begin = time.perf_counter()
            if done == steps:
                break
        return (time.perf_counter() - begin) / (steps - warm_up)


def start_up() -> None:
    """Seconds to import slowprobe and to print the help, each a process, next to a bare interpreter."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import slowprobe": [sys.executable, "-c", "import slowprobe"],
        "slowprobe --help": [sys.executable, "-m", "slowprobe", "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(11):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - begin)
    print("Start-up, median of 11 processes\n")
    print("| command | seconds |")
    print("|---|---:|")
    for name, each in times.items():
        print(f"| `{name}` | {statistics.median(each):.3f} |")
    print()


def whole_run(seconds: float, pairs: int) -> None:
    """A script of about `seconds`, alone and under slowprobe profile (windows, analysis and report included)."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "loop.py"
        script.write_text(LOOP)
        once, twice = (_timed([sys.executable, str(script), work]) for work in ("5", "15"))
        work = 5 + (seconds - once) / max(twice - once, 0.5) * 10
        print(f"Whole run, {pairs} interleaved pairs\n")
        print("| bare s | profiled s | cost s | ratio |")
        print("|---:|---:|---:|---:|")
        ratios = []
        for number in range(pairs):
            bare = _timed([sys.executable, str(script), str(work)])
            out = str(Path(folder) / f"run{number}")
            profiled = _timed([sys.executable, "-m", "slowprobe", "profile", "--out", out, str(script), str(work)])
            ratios.append(profiled / bare)
            print(f"| {bare:.2f} | {profiled:.2f} | {profiled - bare:.2f} | {profiled / bare:.4f} |")
        print(f"\nmedian ratio {statistics.median(ratios):.4f}\n")


def _timed(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
