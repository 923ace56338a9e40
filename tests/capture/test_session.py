"""A session in this process: it detaches without a trace, and no fault of its own reaches the training."""

from __future__ import annotations

import builtins
import gc
import json
import logging
import mmap
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.optim.optimizer as optimizers
from run_folder import make
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, dataloader

from slowprobe.capture import batch_log, window
from slowprobe.capture import session as sessions
from slowprobe.capture.machine import minor_faults
from slowprobe.capture.memory_trials import is_glibc
from slowprobe.capture.session import Options, Session
from slowprobe.run.reader import load_run
from slowprobe.run.schema import Calibration, Chunk, End, Note, Subject, Window


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)  # type: ignore[no-any-return]


def train(workers: int = 0, epochs: int = 4) -> list[float]:
    """Ten steps an epoch; the losses."""
    torch.manual_seed(3)
    loader = DataLoader(TensorDataset(torch.randn(80, 4)), batch_size=8, shuffle=True, num_workers=workers)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(epochs):
        for (x,) in loader:
            loss = model(x).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            time.sleep(0)
    return losses


@pytest.fixture(scope="module")
def alone() -> list[float]:
    return train()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "run")


@pytest.fixture(autouse=True)
def early_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "SETTLE_S", 0.0)
    monkeypatch.setattr(window, "MAX_CLEAN_STEPS", 3)


@pytest.fixture
def record(folder: Path) -> Iterator[Callable[..., Session]]:
    """Makes sessions and stops them at the end, whatever the test did."""
    made: list[Session] = []

    def start(**options: Any) -> Session:
        made.append(Session(folder, time.perf_counter_ns(), Options(**options)))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()


def world() -> dict[str, Any]:
    """Everything slowprobe touches in the process."""
    owners: list[tuple[Any, str]] = [
        (DataLoader, "__init__"),
        (DataLoader, "__iter__"),
        (dataloader._BaseDataLoaderIter, "__next__"),
        (torch.optim.Optimizer, "__init__"),
        (torch.optim.Optimizer, "zero_grad"),
        (nn.Module, "zero_grad"),
        (nn.Module, "__call__"),
        (nn.Module, "eval"),
        (Net, "__call__"),
        (nn.Linear, "__call__"),
        (torch.autograd, "backward"),
        (torch.autograd, "grad"),
        (torch.amp.GradScaler, "unscale_"),
        (torch.amp.GradScaler, "update"),
        (torch.autograd.profiler.profile, "_prepare_trace"),
        (torch, "save"),
        (torch, "compile"),
        (builtins, "print"),
        (logging.Logger, "handle"),
        (time, "sleep"),
        (subprocess, "run"),
        (subprocess, "check_output"),
        (subprocess.Popen, "wait"),
        (subprocess.Popen, "communicate"),
        (os, "system"),
    ]
    callbacks = sys.modules.get("torch._dynamo.callback")
    handler = getattr(callbacks, "callback_handler", None)
    return {
        **{f"{owner}.{name}": vars(owner).get(name) for owner, name in owners},
        "pre hooks": list(optimizers._global_optimizer_pre_hooks.items()),
        "post hooks": list(optimizers._global_optimizer_post_hooks.items()),
        "gc": list(gc.callbacks),
        "gc on": gc.isenabled(),
        "dynamo": (list(handler.start_callbacks), list(handler.end_callbacks)) if handler else ([], []),
        "meta path": list(sys.meta_path),
        "switch interval": sys.getswitchinterval(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "trace": (sys.gettrace(), sys.getprofile()),
        "hooks": (sys.excepthook, threading.excepthook),
        "active": sessions.active,
    }


def test_detaches_without_a_trace(record: Callable[..., Session], folder: Path, alone: list[float]) -> None:
    torch.compile(Net(), backend="eager")  # brings in torch._dynamo
    before = world()
    session = record()
    during = world()
    changed = {name for name in before if before[name] is not during[name] and before[name] != during[name]}
    assert len(changed) > 20 and {"gc", "pre hooks", "post hooks", "active"} <= changed
    assert train() == alone
    session.stop()
    after = world()
    assert {name for name in before if before[name] != after[name]} == set()
    assert [role.role for role in load_run(folder).of(Window)].count("clean") == 1
    assert [note.text for note in load_run(folder).of(Note)] == []


def test_live_iterators_are_put_back(record: Callable[..., Session]) -> None:
    session = record()
    loader = DataLoader(TensorDataset(torch.randn(8, 4)), batch_size=2)
    iterator = iter(loader)
    next(iterator)
    session.stop()
    assert "fetch" not in vars(iterator._dataset_fetcher)  # type: ignore[attr-defined]
    assert iterator._dataset_fetcher.collate_fn is loader.collate_fn  # type: ignore[attr-defined]
    assert not [name for name in vars(iterator) if "slowprobe" in name]
    assert len(list(iterator)) == 3


def test_records_again_after_it_has_stopped(tmp_path: Path, alone: list[float]) -> None:
    for number in range(2):
        folder = make(tmp_path / str(number))
        session = Session(folder, time.perf_counter_ns(), Options(trace=False))
        session.start()
        assert train() == alone
        session.stop()
        session.stop()
        run = load_run(folder)
        counts = Counter({row[0]: row[2] for chunk in run.of(Chunk) for row in chunk.spans if row[0] == 1})
        assert counts[1] == 40 and len(run.of(End)) == 1


class Broken(Exception):
    """A fault of slowprobe's own."""


def broken(*args: Any, **kwargs: Any) -> Any:
    raise Broken("injected")


FAULTS = [
    *(
        f"slowprobe.capture.{probe}.attach"
        for probe in (
            "torch_probes.LoaderProbe",
            "torch_probes.OptimizerProbe",
            "torch_probes.BackwardProbe",
            "torch_probes.ForwardProbe",
            "torch_probes.CompileProbe",
            "session.GcProbe",
            "session.CallProbe",
            "session.ProcessProbe",
        )
    ),
    *(
        f"slowprobe.capture.{probe}.detach"
        for probe in (
            "torch_probes.LoaderProbe",
            "torch_probes.OptimizerProbe",
            "torch_probes.CompileProbe",
            "session.GcProbe",
            "session.ProcessProbe",
        )
    ),
    "slowprobe.capture.loader_cpu.LoaderCpuMeter.request",
    "slowprobe.capture.loader_cpu.LoaderCpuMeter.arrival",
    "slowprobe.capture.loader_cpu.LoaderCpuMeter.take",
    "slowprobe.capture.loader_cpu.batch_tensors",
    "slowprobe.capture.probes.loader.LoaderProbe._subject",
    "slowprobe.capture.probes.loader.LoaderProbe._wrap_fetcher",
    "slowprobe.capture.probes.loader.describe",
    "slowprobe.capture.probes.optimizer.describe",
    "slowprobe.capture.probes.optimizer.OptimizerProbe._key",
    "slowprobe.capture.probes.module.describe",
    "slowprobe.capture.probes.module.ForwardProbe._settle",
    "slowprobe.capture.subjects.Sites.of_caller",
    "slowprobe.capture.subjects.Sites.is_user",
    "slowprobe.capture.sampler.StackSampler.sample",
    "slowprobe.capture.sampler.StackSampler.take",
    "slowprobe.capture.totals.Totals.add",
    "slowprobe.capture.totals.Totals.chunk",
    "slowprobe.capture.turns.Turns.request",
    "slowprobe.capture.turns.Turns.step",
    "slowprobe.capture.turns.Turns.backward",
    "slowprobe.capture.machine.ResourceMeter.read",
    "slowprobe.capture.loop_events.read_state",
    "slowprobe.capture.sources.Sources.add",
    "slowprobe.capture.window.WindowProbe._settled",
    "slowprobe.capture.window.WindowProbe._open",
    "slowprobe.capture.window.WindowProbe._close",
    "slowprobe.capture.window.WindowProbe._plan",
    "slowprobe.capture.window.WindowProbe.compress",
    "slowprobe.capture.window.WindowProbe.abandon",
    "slowprobe.capture.window.LineMarks.start",
    "slowprobe.capture.line_marks.site",
    "slowprobe.capture.cost.measure_costs",
    "slowprobe.capture.torch_probes.calibrate",
    "torch.profiler.profile.start",
    "torch.profiler.profile.stop",
    "torch.profiler.profile.export_chrome_trace",
]
SILENT = {
    "slowprobe.capture.line_marks.site",  # what is lost is a description, not a recording
    "slowprobe.capture.probes.loader.describe",
    "slowprobe.capture.probes.optimizer.describe",
    "slowprobe.capture.probes.module.describe",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_reaches_the_training(
    fault: str, record: Callable[..., Session], folder: Path, alone: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world()
    monkeypatch.setattr(fault, broken)
    monkeypatch.setattr("slowprobe.capture.pulse.FLUSH_PERIOD_S", 0.02)
    session = record()
    assert train(epochs=2) == alone[:20]
    time.sleep(0.05)
    assert train(epochs=2) == alone[:20]
    session.stop()
    monkeypatch.undo()
    profiling = torch.autograd._profiler_enabled()
    if profiling:  # the injected fault hit what ends it
        torch.autograd._disable_profiler()
    run = load_run(folder)
    assert run.of(End)
    if fault not in SILENT:
        assert any("injected" in note.text for note in run.of(Note)), [note.text for note in run.of(Note)]
    if ".detach" not in fault:
        after = world()
        assert {name for name in before if before[name] != after[name]} == set()
    else:
        gc.callbacks[:] = before["gc"]
        for hooks in (optimizers._global_optimizer_pre_hooks, optimizers._global_optimizer_post_hooks):
            hooks.clear()


def test_clock_that_fails_in_the_middle(record: Callable[..., Session], folder: Path, alone: list[float]) -> None:
    session = record()
    clock, left = session.recorder.clock, [100]

    def failing() -> int:
        left[0] -= 1
        if left[0] < 0:
            raise Broken("injected")
        return clock()

    session.recorder.clock = failing
    assert train() == alone
    session.stop()
    assert any("injected" in note.text for note in load_run(folder).of(Note))


def test_disk_that_fills_up_in_the_middle(record: Callable[..., Session], alone: list[float]) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    session = record()
    session._journal._file = Full()  # type: ignore[assignment]
    assert train() == alone
    session.stop()
    assert session._journal.fault is not None


def test_memory_stays_bounded_when_flushing_fails(
    record: Callable[..., Session], alone: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slowprobe.capture.totals.Totals.add", broken)
    monkeypatch.setattr("slowprobe.capture.pulse.FLUSH_PERIOD_S", 0.01)
    session = record(trace=False)
    train(epochs=1)
    time.sleep(0.1)
    held = len(session.recorder._log)
    assert train() == alone
    assert len(session.recorder._log) <= held


@pytest.mark.parametrize(
    "fault",
    [
        "slowprobe.capture.worker.WorkerRecorder.__init__",
        "slowprobe.capture.worker.WorkerRecorder.attach",
        "slowprobe.capture.worker.WorkerRecorder._flush",
        "slowprobe.capture.worker.StackSampler.sample",
        "slowprobe.capture.session.WorkerEntry",
        "slowprobe.capture.batch_log.BatchLog.add",
        "slowprobe.capture.batch_log.BatchLog.awaits",
        "slowprobe.capture.batch_log.BatchLog.handed_over",
        "slowprobe.capture.worker.time_hand_over",
        "slowprobe.capture.worker.WorkerMeter.read",
        "slowprobe.capture.worker.TransformFinder.search",
        "slowprobe.capture.transform_timer.TransformTimer.take",
    ],
)
def test_no_fault_reaches_a_worker(
    fault: str, record: Callable[..., Session], alone: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault, broken)
    record(trace=False)
    assert train(workers=1, epochs=1) == alone[:10]


def test_worker_files_stay_within_their_share(
    record: Callable[..., Session], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_WORKER_BYTES", 8000)
    monkeypatch.setattr(batch_log, "THIN_AFTER", 20)
    record(trace=False)
    for _ in range(3):
        assert len(list(DataLoader(TensorDataset(torch.randn(400, 2)), num_workers=1))) == 400
    sizes = [file.stat().st_size for file in (folder / "workers").iterdir()]
    assert len(sizes) == 3 and sum(sizes) <= 8000 and sizes[0] > 0


def test_stopping_inside_a_hook_spares_the_hooks_of_others(record: Callable[..., Session]) -> None:
    seen: list[int] = []
    record(steps=5, trace=False)
    handle = optimizers.register_optimizer_step_post_hook(lambda *_: seen.append(1))
    try:
        weights = torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.SGD([weights], lr=0.1)
        for _ in range(12):
            weights.sum().backward()
            optimizer.step()
    finally:
        handle.remove()
        optimizers._global_optimizer_post_hooks.clear()
    assert len(seen) == 12 and sessions.active is None


def test_training_is_followed_to_another_thread(
    record: Callable[..., Session], folder: Path, alone: list[float]
) -> None:
    session = record(trace=False)
    losses: list[list[float]] = []
    thread = threading.Thread(target=lambda: losses.append(train()), name="trainer")
    thread.start()
    thread.join()
    session.stop()
    assert losses == [alone]
    run = load_run(folder)
    kinds = {row[0] for chunk in run.of(Chunk) for row in chunk.spans}
    assert kinds >= {1, 6, 7}
    assert any("'trainer'" in note.text for note in run.of(Note))


def test_once_training_runs_here_other_threads_are_left_alone(
    record: Callable[..., Session], folder: Path, alone: list[float]
) -> None:
    session = record(trace=False)
    assert train() == alone
    counted = session.recorder.closed
    losses: list[list[float]] = []
    thread = threading.Thread(target=lambda: losses.append(train()))
    thread.start()
    thread.join()
    assert session.recorder.closed - counted < 20  # collections on this thread, perhaps
    session.stop()
    assert losses == [alone]


def test_a_forked_child_writes_nothing(record: Callable[..., Session], folder: Path, alone: list[float]) -> None:
    session = record(trace=False)
    child = os.fork()
    if child == 0:
        try:
            same = train() == alone
            session.stop()
        finally:
            os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    session.stop()
    run = load_run(folder)
    assert len(run.of(End)) == 1 and run.lost_lines == 0


def test_a_profiler_of_the_users_keeps_the_floor(record: Callable[..., Session], alone: list[float]) -> None:
    record()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        assert train() == alone
    assert any(event.key == "aten::addmm" for event in profiler.key_averages())


def test_a_profiler_started_in_our_window_wins(record: Callable[..., Session], folder: Path) -> None:
    session = record()
    weights = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=0.1)
    profiler = None
    for _ in range(60):
        weights.sum().backward()
        optimizer.step()
        if session._window is not None and session._window.is_open and profiler is None:
            profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
            profiler.start()
    assert profiler is not None
    profiler.stop()
    assert any("backward" in event.key.lower() for event in profiler.key_averages())
    session.stop()
    assert any("own" in note.text for note in load_run(folder).of(Note))


class Odd(Dataset[torch.Tensor]):
    """A dataset that refuses to be looked at."""

    def __len__(self) -> int:
        raise TypeError("no length")

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.ones(1) * index

    def __eq__(self, other: object) -> bool:
        raise TypeError("not comparable")

    __hash__ = None  # type: ignore[assignment]


def test_odd_objects_are_recorded_all_the_same(record: Callable[..., Session], folder: Path) -> None:
    class OddNet(nn.Module):
        def __eq__(self, other: object) -> bool:
            raise TypeError("not comparable")

        __hash__ = None  # type: ignore[assignment]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    class OddLoader(DataLoader[torch.Tensor]):
        def __eq__(self, other: object) -> bool:
            raise TypeError("not comparable")

        __hash__ = None  # type: ignore[assignment]

    session = record(trace=False)
    batches = list(OddLoader(Odd(), sampler=range(6), batch_size=2))
    assert len(batches) == 3
    net = OddNet()
    assert float(net(batches[0]).sum()) == 2.0
    session.stop()
    found = Counter[int]()
    for chunk in load_run(folder).of(Chunk):
        for row in chunk.spans:
            found[row[0]] += row[2]
    notes = [note.text for note in load_run(folder).of(Note)]
    assert (found[1], found[5], notes) == (3, 1, [])


def test_summary_of_a_run_is_json(record: Callable[..., Session], folder: Path) -> None:
    record().stop()
    for line in (folder / "journal.jsonl").read_text().splitlines():
        assert json.loads(line)["t"]


def test_numpy_is_left_to_the_script_to_import():
    """Its BLAS reads OMP_NUM_THREADS when it is loaded, which scripts set before that."""
    program = (
        "import sys, tempfile\n"
        "from pathlib import Path\n"
        "from slowprobe.capture.session import Options, Session\n"
        "session = Session(Path(tempfile.mkdtemp()), 0, Options())\n"
        "session.start()\n"
        "session._flush()\n"
        "assert 'numpy' not in sys.modules\n"
        "session.stop()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.skipif(minor_faults() == 0, reason="page faults are not counted here")
def test_pages_that_a_kept_graph_takes_are_counted(record: Callable[..., Session], folder: Path) -> None:
    """In eval mode with gradients; without them, nothing is counted."""
    model = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.GELU()) for _ in range(6)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    points = torch.randn(4_096, 64)
    with_grad, session = [], record()
    for _ in range(6):
        model(points[:8]).sum().backward()
        optimizer.step()
        model.eval()
        with_grad += [model(points) for _ in range(4)]
        with torch.no_grad():
            model(points)
        model.train()
    session.stop()
    values = {name: value for each in load_run(folder).of(Calibration) for name, value in each.values.items()}
    (pages,) = (value for name, value in values.items() if name.endswith(".page_faults"))
    kept = 24 * 11 * points.nbytes / mmap.PAGESIZE  # inputs of the layers but the first, and of the activations
    assert 0.5 * kept < pages < 3 * kept and values["page_us"] > 0
    assert ("memory.fault_us" in values) == is_glibc()


@pytest.mark.skipif(not is_glibc() or minor_faults() == 0, reason="another C library")
@pytest.mark.parametrize("rows", [8, 6_000])  # 64 KB a tensor, or 48 MB
def test_a_page_fault_is_priced_where_steps_touch_much_new_memory(
    record: Callable[..., Session], folder: Path, rows: int
) -> None:
    gains = torch.ones(2_000, requires_grad=True)
    optimizer, batch = torch.optim.SGD([gains], lr=0.01), torch.ones(rows, 2_000)
    session = record()
    for _ in range(10 if rows > 100 else 2_000):
        torch.sigmoid(batch * gains).mean().backward()
        optimizer.step()
    session.stop()
    priced = any("memory.fault_us" in each.values for each in load_run(folder).of(Calibration))
    assert priced == (rows > 100)


class Towers(nn.Module):
    """Trained as a whole; scores with its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.left(x) - self.right(x)).square().mean()

    @torch.no_grad()
    def score(self, x: torch.Tensor) -> torch.Tensor:
        self.eval()
        found = (self.left(x) @ self.right(x).T).argmax(1)
        self.train()
        return found


def test_an_evaluation_may_call_what_training_does_not(record: Callable[..., Session], folder: Path) -> None:
    """First evaluated long after the training's own modules were learned; parts called in training stay inside it."""
    model, x = Towers(), torch.randn(16, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    session = record()
    for step in range(60):
        optimizer.zero_grad()
        model(x).backward()
        optimizer.step()
        if step % 20 == 19:
            model.score(x)
    session.stop()
    run = load_run(folder)
    forwards = [subject for subject in run.of(Subject) if subject.kind == "forward"]
    modes = sorted((subject.name, bool(subject.attrs["training"])) for subject in forwards)
    assert modes == [("Linear", False), ("Sequential", False), ("Towers", True)]
    assert "_slowprobe" not in str(vars(nn.Linear)) and "__call__" not in vars(nn.Linear)
