"""The stack sampler: what it sees, and that looking at another thread's frames does no harm."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from slowprobe.capture.sampler import StackSampler
from slowprobe.run.sample_records import Frames, Samples

CRASH = """
import gc, random, sys, threading, time
from slowprobe.capture.sampler import StackSampler

main = threading.get_ident()

def let_the_other_run(phase, info):
    if threading.get_ident() != main and phase == "start":
        time.sleep(0.001)

gc.callbacks.append(let_the_other_run)
sampler, stop = StackSampler(main, 0, lambda: (1, True)), threading.Event()
faults = []

def sample():
    while not stop.wait(0.0002):
        try:
            sampler.sample()
        except Exception as error:
            faults.append(error)

thread = threading.Thread(target=sample)
thread.start()
gc.set_threshold(25, 1000, 1000)
functions = []
for size in range(1, 40):
    body = "".join(f"    v{n} = functions[0]\\n" for n in range(size))
    call = "    return functions[random.randrange(len(functions))](d - 1) if d > 0 else 0\\n"
    space = {"functions": functions, "random": random}
    exec("def f(d):\\n" + body + call, space)
    functions.append(space["f"])
end = time.monotonic() + 3
while time.monotonic() < end:
    functions[random.randrange(len(functions))](random.randrange(40))
stop.set()
thread.join()
print(len(faults), gc.isenabled(), sampler.taken > 100)
"""


def test_survives_collections_while_it_walks() -> None:
    """On Python 3.11 this script crashes within a second when the collector may run during the walk."""
    done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0 True True\n"), done.stderr


def _busy(until: float) -> None:
    while time.monotonic() < until:
        pass


def test_merges_samples_of_one_stack() -> None:
    sampler = StackSampler(threading.get_ident(), 0, lambda: (7 << 32 | 5, True))

    def watch() -> None:
        for _ in range(20):
            time.sleep(0.005)
            sampler.sample()

    other = threading.Thread(target=watch)
    other.start()
    _busy(time.monotonic() + 0.5)
    other.join()
    frames, samples = sampler.take()
    assert isinstance(frames, Frames) and isinstance(samples, Samples)
    names = {number: (file, function) for number, file, _, function in frames.frames}
    assert (__file__, "_busy") in names.values()
    assert sum(row[4] for row in samples.rows) == sampler.taken == 20
    assert all(row[:3] == [7, 5, 1] for row in samples.rows)
    assert sum(row[5] for row in samples.rows) == samples.end_ns - samples.start_ns
    assert sampler.take() == []


def test_code_made_anew_all_the_time_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slowprobe.capture.sampler.MAX_PLACES", 50)
    sampler = StackSampler(threading.get_ident(), 0, lambda: (1, True))
    source = "def made(sample):\n    sample()\n"
    for _ in range(200):
        space: dict[str, Any] = {}
        exec(compile(source, "/home/someone/made.py", "exec"), space)
        space["made"](sampler.sample)
    assert len(sampler._places) <= 50
    frames = [frame for record in sampler.take() if isinstance(record, Frames) for frame in record.frames]
    assert sum(file == "/home/someone/made.py" for _, file, *_ in frames) == 1
