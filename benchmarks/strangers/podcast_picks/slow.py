"""Two towers that bring listeners and podcasts together, with a fit() in the manner of scikit-learn."""

import time

import torch
import torch.nn.functional as F
from torch import nn


def tower(size):
    return nn.Sequential(nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, size))


class PodcastPicks(nn.Module):
    def __init__(self, listeners, shows, size=48, learning_rate=3e-3, batch_size=1024, max_steps=500, random_state=0):
        super().__init__()
        torch.manual_seed(random_state)
        self.learning_rate, self.batch_size, self.max_steps = learning_rate, batch_size, max_steps
        self.listeners, self.shows = nn.Embedding(listeners, size), nn.Embedding(shows, size)
        self.ear, self.voice = tower(size), tower(size)

    def forward(self, who, liked, other):
        ear = self.ear(self.listeners(who))
        liked, other = self.voice(self.shows(torch.cat([liked, other]))).chunk(2)
        return F.softplus((ear * (other - liked)).sum(1)).mean()

    @torch.inference_mode()
    def score(self, who, held_out, k=20):
        """How often the held-out show is among the first k of all shows."""
        self.eval()
        voices = self.voice(self.shows.weight)
        hits = 0
        for people, wanted in zip(who.split(500), held_out.split(500)):
            best = (self.ear(self.listeners(people)) @ voices.T).topk(k).indices
            hits += (best == wanted[:, None]).any(1).sum().item()
        self.train()
        return hits / len(who)

    def fit(self, who, liked, test_who, test_liked):
        optimizer = torch.optim.Adam(self.parameters(), self.learning_rate, fused=True)
        self.best_score_ = 0.0
        for step in range(1, self.max_steps + 1):
            rows = torch.randint(len(who), (self.batch_size,))
            loss = self(who[rows], liked[rows], torch.randint(self.shows.num_embeddings, (self.batch_size,)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 5 == 0:  # slowprobe: rule=evaluation-too-often
                score = self.score(test_who, test_liked)  # slowprobe: rule=evaluation-too-often
                self.best_score_ = max(score, self.best_score_)
        return self


def listening(listeners=3000, shows=6000, plays=60_000):
    torch.manual_seed(1)
    taste, topic = torch.randint(12, (listeners,)), torch.randint(12, (shows,))
    by_topic = [(topic == t).nonzero().squeeze(1) for t in range(12)]
    who = torch.randint(listeners, (plays,))
    luck = torch.rand(plays)
    liked = torch.stack(
        [by_topic[taste[w]][int(u * len(by_topic[taste[w]]))] for w, u in zip(who.tolist(), luck.tolist())]
    )
    return who, liked


if __name__ == "__main__":
    who, liked = listening()
    picks = PodcastPicks(3000, 6000)
    start = time.perf_counter()
    picks.fit(who[2000:], liked[2000:], who[:2000], liked[:2000])
    seconds = time.perf_counter() - start
    print(f"best hit rate {picks.best_score_:.3f}")
    print(f"loop_seconds={seconds:.3f}")
