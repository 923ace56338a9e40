"""Run folders made without torch: the real recorder, totals and writer, driven by a clock that the test moves.

    run = SyntheticRun(tmp_path, source)
    loader = run.loader(line=run.line("DataLoader("), num_workers=0)
    with run.epoch(loader):
        for _ in range(100):
            run.batch(loader, fetch_ms=5, collate_ms=1)
            run.train(forward_ms=10, backward_ms=20, optimizer_ms=2)
            run.python(1, line=run.line("total +="))
    evidence = run.evidence()

Times are exact: what a test spends is what the journal says, and every millisecond is sampled on the given line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.sites import Sites
from slowprobe.capture.span_key import span_key, split_key
from slowprobe.capture.subjects import Subjects
from slowprobe.capture.totals import Totals
from slowprobe.diagnose.evidence import Evidence
from slowprobe.run.loader_records import LoaderCpu, LoaderReads
from slowprobe.run.reader import RunRecords, load_run
from slowprobe.run.record import Site
from slowprobe.run.sample_records import Frames, Samples
from slowprobe.run.schema import SCHEMA, Calibration, End, Exit, Manifest, Record, Source, State
from slowprobe.run.worker_records import (
    WHOLE_ITEM,
    ItemDigests,
    Transforms,
    WorkerBatches,
    WorkerHandOvers,
    WorkerHello,
    WorkerResources,
)
from slowprobe.run.writer import JOURNAL, WORKERS, JournalWriter, prepare_folder, write_manifest

LIBRARY = "/usr/lib/python3.11"
SCRIPT = "/home/someone/train.py"
SAMPLE_MS = 10.0
_LIBRARY_FRAME = (f"{LIBRARY}/threading.py", 1, "run")


@dataclass
class Loader:
    """A DataLoader of the run: its settings, and the worker queue that decides when a batch arrives."""

    subject: int
    num_workers: int
    prefetch_factor: int
    persistent_workers: bool
    passes: int = 0
    asked: int = 0
    free_ns: list[int] = field(default_factory=list)
    taken_ns: list[int] = field(default_factory=list)
    made: list[list[tuple[int, int, int, int, int, int, int]]] = field(default_factory=list)
    """Of each worker: start, fetch, fetch_cpu, collate, size, digest, place in the pass."""
    tensor_bytes: int = -1
    tensors: int = -1
    """Of each batch."""
    payload_bytes: int = 0
    hand_over_ms: float = 0.0
    """Pickling a batch in its worker; 0: not recorded."""
    resources: list[WorkerResources] = field(default_factory=list)
    """Readings, the same in each worker."""
    looked_at: list[Record] = field(default_factory=list)
    """`Transforms` and `ItemDigests`: of the first worker, or of the training process."""
    gained: dict[str, Any] = field(default_factory=dict)
    """What `WorkerResources` says each worker process gained."""
    spawn_ms: float = 0.0
    sampled: dict[tuple[int, str, tuple[tuple[str, int, str], ...]], list[int]] = field(default_factory=dict)
    """(worker, bucket, frames from the outermost) → count, wall_ns, cpu_ns."""


class SyntheticRun:
    """One run of `source` as file `SCRIPT`; the clock starts at 0 and `startup_ms` pass before anything is recorded."""

    def __init__(
        self,
        folder: Path,
        source: str = "",
        *,
        cores: int = 8,
        chunk_ms: float = 1000.0,
        startup_ms: float = 100.0,
        span_cost_ns: float = 0.0,
    ) -> None:
        self.folder = folder / "run"
        self.source = source
        self.imported: dict[str, str] = {}
        """Other files of the user's and their text."""
        self.now_ns = 0
        self._span_cost_ns = span_cost_ns
        self.tried: dict[str, float] = {}
        """Values measured after the run."""
        self._chunk_ns = int(chunk_ms * 1e6)
        self._next_chunk_ns = self._chunk_ns
        self._sampled_since_ns = 0
        prepare_folder(self.folder)
        write_manifest(
            self.folder,
            Manifest(
                schema=SCHEMA,
                slowprobe_version="0",
                command=["python", SCRIPT],
                script=SCRIPT,
                mode="profile",
                origin_ns=0,
                started_at="2026-01-01T00:00:00+00:00",
                pid=1,
                cwd="/home/someone",
                python="3.11.0",
                prefixes=[LIBRARY],
                host={"cores": cores, "physical_cores": cores, "memory_bytes": 1 << 34, "quota_cores": None},
            ),
        )
        self._journal = JournalWriter(self.folder / JOURNAL)
        self.recorder = Recorder(clock=lambda: self.now_ns)
        self._subjects = Subjects(self._journal.write, Sites())
        self._totals = Totals(0)
        self._samples: dict[tuple[int, bool, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._frames: dict[tuple[str, int, str], int] = {}
        self._unwritten: list[int] = []
        self._loaders: list[Loader] = []
        self._state: dict[str, Any] = {"torch": "2.13.0", "num_threads": 1, "devices": []}
        self.spend(startup_ms)

    # -- places ---------------------------------------------------------------------------------------------------

    def line(self, text: str) -> int:
        """The first line of the source that holds `text`."""
        return next(number for number, line in enumerate(self.source.splitlines(), 1) if text in line)

    def site(self, line: int | None, function: str = "main", file: str = SCRIPT) -> Site | None:
        """A place in the script."""
        return None if line is None else Site(file, line, function)

    # -- time -----------------------------------------------------------------------------------------------------

    def spend(
        self,
        ms: float,
        line: int | None = None,
        function: str = "main",
        *,
        cpu_ms: float | None = None,
        file: str = SCRIPT,
        callee: str | None = None,
        above: Sequence[tuple[str, int, str]] = (),
        below: Sequence[tuple[str, int, str]] = (),
        sampled: bool = True,
    ) -> None:
        """Let time pass in whatever is open now, sampled on `line` (without one: in a library's thread).

        `above` and `below` have the frames that led to it, and those that it led to.
        """
        ns = round(ms * 1e6)
        if sampled and ns:
            stack = [*above, (file, line, function) if line is not None else _LIBRARY_FRAME]
            if callee is not None:
                stack.append((f"{LIBRARY}/library.py", 1, callee))
            stack += below
            recorder = self.recorder
            key = recorder.stack[-1] if recorder.stack else recorder.last_key
            row = self._samples[key, bool(recorder.stack), self._stack(stack)]
            cpu_ns = ns if cpu_ms is None else round(cpu_ms * 1e6)
            for index, value in enumerate((max(1, round(ms / SAMPLE_MS)), ns, cpu_ns, cpu_ns)):
                row[index] += value
        self.now_ns += ns

    def span(self, kind: str, subject: int, ms: float = 0.0, **where: Any) -> None:
        """A span of `ms`, sampled as `spend` says."""
        with self.inside(kind, subject):
            self.spend(ms, **where)

    @contextmanager
    def inside(self, kind: str, subject: int) -> Iterator[None]:
        """A span around whatever is recorded meanwhile."""
        number = KIND[kind]  # type: ignore[index]
        self.recorder.open(span_key(number, subject))
        yield
        self.recorder.close(span_key(number, subject))
        if not self.recorder.stack and self.now_ns >= self._next_chunk_ns:
            self.write_chunk()

    def python(self, ms: float, line: int | None = None, function: str = "main", **sampling: Any) -> None:
        """Python between the spans."""
        self.spend(ms, line, function, **sampling)

    # -- what a loop does -------------------------------------------------------------------------------------------

    def loader(
        self,
        line: int | None = None,
        *,
        num_workers: int = 0,
        prefetch_factor: int = 2,
        persistent_workers: bool = False,
        start_method: str | None = None,
        collate: str = "default_collate",
        dataset: str = "Images",
        function: str = "main",
        **attrs: Any,
    ) -> Loader:
        """A DataLoader, constructed on `line`."""
        described = {
            "class": "DataLoader",
            "dataset": dataset,
            "num_workers": num_workers,
            "batch_size": 32,
            "prefetch_factor": prefetch_factor if num_workers else None,
            "persistent_workers": persistent_workers,
            "start_method": start_method,
            "collate": collate,
            "iterable": False,
            **attrs,
        }
        site = self.site(line, function)
        subject = self._subjects.number("data_wait", object(), f"DataLoader({dataset})", lambda: described, site)
        loader = Loader(subject, num_workers, prefetch_factor, persistent_workers)
        self._loaders.append(loader)
        return loader

    @contextmanager
    def epoch(
        self, loader: Loader, *, start_ms: float = 0.1, stop_ms: float | None = 0.1, first_ms: float = 0.0
    ) -> Iterator[None]:
        """One pass: `start_ms` in __iter__, `first_ms` until new workers begin, `stop_ms` in the last request; None
        where the pass is given up before.
        """
        self.span("loader_start", loader.subject, start_ms)
        loader.passes += 1
        if loader.num_workers and (loader.passes == 1 or not loader.persistent_workers):
            loader.made += [[] for _ in range(loader.num_workers)]
        ready = self.now_ns + round(first_ms * 1e6)
        loader.free_ns, loader.taken_ns, loader.asked = [ready] * max(loader.num_workers, 1), [], 0
        yield
        if stop_ms is not None:
            self.span("loader_end", loader.subject, stop_ms)

    def batch_bytes(self, loader: Loader, size: int) -> None:
        """The size of the loader's batches was read."""
        loader.tensor_bytes = size
        if not loader.num_workers:
            cpu = LoaderCpu(loader=loader.subject, waits=0, wait_ns=0, wait_cpu_ns=0, steps=0, step_ns=0, step_cpu_ns=0)
            cpu.batch_bytes = size
            self._journal.write(cpu)

    def items(self, loader: Loader, passes: int, *, same: bool, transforms: dict[str, tuple[bool, float]]) -> None:
        """Sixteen items were looked at in each of `passes`: whether they were the same, and what each transform (by
        name) made of them, which took so many ms in all.
        """
        rows = [[WHOLE_ITEM, same], *([number, each] for number, (each, _) in enumerate(transforms.values()))]
        looked_at = [(index, row, number) for number in range(passes) for index in range(16) for row in rows]
        times = [[number, 16 * passes, round(ms * 1e6), 0, 0] for number, (_, ms) in enumerate(transforms.values())]
        names = list(transforms)
        loader.looked_at = [
            Transforms(loader=loader.subject, names=names, sites=[None] * len(names), rows=times),
            ItemDigests(
                loader=loader.subject,
                index=[index for index, _, _ in looked_at],
                transform=[int(row[0]) for _, row, _ in looked_at],
                digest=[1000 * index + (1 if row[1] else 1 + number) for index, row, number in looked_at],
            ),
        ]
        if not loader.num_workers:
            self._journal.write(*loader.looked_at)

    def reads(self, loader: Loader, *, items: int, kb: float, calls: float) -> None:
        """The kernel's counters were read around a batch of the training thread: of each item so many KB, in calls."""
        self._journal.write(
            LoaderReads(
                loader=loader.subject,
                batches=1,
                items=items,
                rchar=round(items * kb * 1024),
                read_calls=round(items * calls),
                read_bytes=0,
            )
        )

    def stepped(self, loader: Loader, cores: float) -> None:
        """The process's clock was read: its steps keep so many cores at work."""
        cpu = LoaderCpu(loader=loader.subject, waits=0, wait_ns=0, wait_cpu_ns=0, steps=1, step_ns=1000, step_cpu_ns=0)
        cpu.step_cpu_ns = round(1000 * cores)
        self._journal.write(cpu)

    def received(self, loader: Loader, cpu_ms: float) -> None:
        """The training thread's clock was read: it takes a batch from a worker in `cpu_ms`."""
        ns = round(cpu_ms * 1e6)
        self._journal.write(
            LoaderCpu(loader=loader.subject, waits=1, wait_ns=ns, wait_cpu_ns=ns, steps=0, step_ns=0, step_cpu_ns=0)
        )

    def batch(
        self,
        loader: Loader,
        fetch_ms: float = 0.0,
        collate_ms: float = 0.0,
        *,
        fetch_lines: dict[int, float] | None = None,
        collate_lines: dict[int, float] | None = None,
        function: str = "Images.__getitem__",
        collate_function: str = "collate",
        fetch_cpu: float = 1.0,
        worker: int | None = None,
        below: dict[int, Sequence[tuple[str, int, str]]] | None = None,
        above: Sequence[tuple[str, int, str]] = (),
        digest: int = 0,
        take_ms: float = 0.0,
        collect_ms: float = 0.0,
    ) -> None:
        """A batch is asked for. The lines (line → ms) say where in fetch and collate the samples fall; the rest is a
        library's; `below` has frames below a line, `above` such as are above all. With workers, who makes it when
        follows from the queue; a worker takes no core from the step. `worker`: who makes it where the data are divided
        among workers. It is taken over in `take_ms`, of which collections take `collect_ms`.
        """
        fetch = [(line, function, ms) for line, ms in (fetch_lines or {}).items()]
        collate = [(line, collate_function, ms) for line, ms in (collate_lines or {}).items()]
        if not loader.num_workers:
            with self.inside("data_wait", loader.subject), self.inside("fetch", loader.subject):
                self._spend_on(fetch, fetch_ms, fetch_cpu, below or {})
                with self.inside("collate", loader.subject):
                    self._spend_on(collate, collate_ms, 1.0, below or {})
            return
        number, workers = loader.asked, loader.num_workers
        loader.asked += 1
        worker = number % workers if worker is None else worker
        ahead = workers * loader.prefetch_factor
        begun = max(loader.free_ns[worker], loader.taken_ns[number - ahead] if number >= ahead else 0)
        loader.free_ns[worker] = begun + round((fetch_ms + collate_ms) * 1e6)
        loader.made[worker - workers].append(
            (
                begun,
                round(fetch_ms * 1e6),
                round(fetch_ms * fetch_cpu * 1e6),
                round(collate_ms * 1e6),
                32,
                digest,
                number,
            )
        )
        for bucket, whole_ms, lines, cpu in (
            ("fetch", fetch_ms, fetch, fetch_cpu),
            ("collate", collate_ms, collate, 1.0),
        ):
            stacks = [((*above, (SCRIPT, line, name), *(below or {}).get(line, ())), ms) for line, name, ms in lines]
            stacks.append(((*above, _LIBRARY_FRAME), whole_ms - sum(ms for _, _, ms in lines)))
            for frames, ms in stacks:
                if ms <= 1e-9:
                    continue
                row = loader.sampled.setdefault((worker, bucket, frames), [0, 0, 0])
                for index, value in enumerate((1, round(ms * 1e6), round(ms * cpu * 1e6))):
                    row[index] += value
        with self.inside("data_wait", loader.subject):
            self.spend(max(0, loader.free_ns[worker] - self.now_ns) / 1e6 + take_ms - collect_ms)
            if collect_ms:
                self.collect(collect_ms)
        loader.taken_ns.append(self.now_ns)

    def _spend_on(
        self,
        lines: list[tuple[int, str, float]],
        ms: float,
        cpu: float,
        below: dict[int, Sequence[tuple[str, int, str]]],
    ) -> None:
        for line, function, part in lines:
            self.spend(part, line, function, cpu_ms=part * cpu, below=below.get(line, ()))
        rest = ms - sum(part for _, _, part in lines)
        if rest > 1e-9:
            self.spend(rest, cpu_ms=rest * cpu)

    def forward(
        self,
        ms: float,
        line: int | None = None,
        function: str = "main",
        *,
        training: bool = True,
        grad: bool = True,
        model: str = "Net",
        trainable: int = 4,
        above: Sequence[tuple[str, int, str]] = (),
    ) -> None:
        """The outermost module is called on `line`; `above` has the frames of the user's that called that function."""
        attrs = {"class": model, "training": training, "grad": grad, "params": 4, "trainable": trainable}
        key, site = (model, training, grad), self.site(line, function)
        frames = [*above, *([] if line is None else [(SCRIPT, line, function)])]
        outermost = {} if not frames else {"line": frames[0][1], "function": frames[0][2], "below": frames[1:]}
        self.span("forward", self._subjects.number("forward", key, model, lambda: attrs, site), ms, **outermost)

    def backward(self, ms: float, line: int | None = None) -> None:
        """loss.backward()."""
        site = self.site(line)
        self.span("backward", self._subjects.number("backward", line, "backward", None, site), ms, line=line)

    def optimizer(self, ms: float, line: int | None = None, name: str = "SGD") -> None:
        """optimizer.step()."""
        site = self.site(line)
        self.span("optimizer", self._subjects.number("optimizer", name, name, None, site), ms, line=line)

    def train(self, forward_ms: float = 4.0, backward_ms: float = 8.0, optimizer_ms: float = 1.0) -> None:
        """Forward, backward, optimizer."""
        self.forward(forward_ms)
        self.backward(backward_ms)
        self.optimizer(optimizer_ms)

    def call(
        self, kind: str, api: str, ms: float, line: int | None, function: str = "main", *, cpu_ms: float | None = None
    ) -> None:
        """A call that has a span of its own: save, log, sleep, external."""
        subject = self._subjects.number(
            kind,  # type: ignore[arg-type]
            (api, line),
            api,
            lambda: {"api": api},
            self.site(line, function),
        )
        self.span(kind, subject, ms, line=line, function=function, cpu_ms=cpu_ms)

    def save(self, ms: float, line: int | None = None, function: str = "main") -> None:
        """torch.save."""
        self.call("save", "torch.save", ms, line, function)

    def log(self, ms: float, line: int | None = None, function: str = "main", api: str = "print") -> None:
        """print, or another logging call."""
        self.call("log", api, ms, line, function)

    def sleep(self, ms: float, line: int | None = None, function: str = "main") -> None:
        """time.sleep."""
        self.call("sleep", "time.sleep", ms, line, function, cpu_ms=0.0)

    def external(self, ms: float, line: int | None = None, function: str = "main", api: str = "subprocess.run") -> None:
        """A subprocess or network call."""
        self.call("external", api, ms, line, function, cpu_ms=0.0)

    def collect(self, ms: float, generation: int = 2) -> None:
        """A garbage collection."""
        attrs = {"generation": generation}
        self.span("gc", self._subjects.number("gc", generation, f"generation {generation}", lambda: attrs), ms)

    def evaluate(
        self,
        loader: Loader,
        batches: int,
        *,
        fetch_ms: float = 1.0,
        forward_ms: float = 5.0,
        python_ms: float = 0.0,
        grad: bool = False,
        line: int | None = None,
        function: str = "evaluate",
        above: Sequence[tuple[str, int, str]] = (),
    ) -> None:
        """One evaluation: a pass over `loader` with the model in eval mode, called on `line`, from `above`."""
        with self.epoch(loader):
            for _ in range(batches):
                self.batch(loader, fetch_ms)
                self.forward(forward_ms, line, function, training=False, grad=grad, above=above)
                if python_ms:
                    self.python(python_ms)

    # -- the end ----------------------------------------------------------------------------------------------------

    def settings(self, **values: Any) -> None:
        """torch's global settings, as the State record will say."""
        self._state.update(values)

    def write_chunk(self, final: bool = False) -> None:
        """What the session's background thread does once a second."""
        self._journal.write(*self._totals.add(self.recorder.take()))
        still_open = self.recorder.open_rows()
        self._journal.write(*self._totals.chunk(self.now_ns, still_open, final=final), *self._sampled(), vital=True)
        self._next_chunk_ns = self.now_ns + self._chunk_ns

    def records(self, shutdown_ms: float = 20.0) -> RunRecords:
        """End the run and read its folder."""
        self.recorder.close_all()
        self.spend(shutdown_ms, sampled=False)  # a real sampler tells it apart by chunk only
        self.write_chunk(final=True)
        if self.source:
            self._journal.write(Source(file=SCRIPT, text=self.source))
        for file, text in self.imported.items():
            self._journal.write(Source(file=file, text=text))
        self._journal.write(State(at_ns=0, values=self._state))
        for loader in self._loaders:
            self._write_workers(loader)
        ended_ns = self.now_ns
        costs = {"slowprobe.spans": float(self.recorder.closed), "slowprobe.span_ns": self._span_cost_ns, **self.tried}
        self._journal.write(Calibration(values=costs))
        self._journal.write(End(at_ns=ended_ns, detached_ns=ended_ns + 1_000_000), vital=True)
        self._journal.write(Exit(at_ns=ended_ns + 3_000_000, exit_code=0), vital=True)
        self._journal.close()
        assert self.recorder.fault is None
        assert self._journal.fault == "closed"
        return load_run(self.folder)

    def evidence(self) -> Evidence:
        """End the run; its evidence."""
        return Evidence(self.records())

    def _stack(self, frames: list[tuple[str, int, str]]) -> int:
        key = ("\n".join(map(str, frames)), 0, "")
        if key not in self._frames:
            self._frames[key] = len(self._frames)
            first = 100 * self._frames[key]
            rows = [(first + index, *frame) for index, frame in enumerate(frames)]
            record = Frames(frames=rows, stacks=[(self._frames[key], [row[0] for row in rows])])
            self._journal.write(record)
        return self._frames[key]

    def _sampled(self) -> list[Record]:
        rows = [[*split_key(key), int(is_open), stack, *row] for (key, is_open, stack), row in self._samples.items()]
        self._samples.clear()
        since, self._sampled_since_ns = self._sampled_since_ns, self.now_ns
        return [Samples(start_ns=since, end_ns=self.now_ns, rows=rows)] if rows else []

    def _write_workers(self, loader: Loader) -> None:
        for number, batches in enumerate(loader.made):
            worker = number % loader.num_workers
            path = self.folder / WORKERS / f"{loader.subject}-{worker}-{number}.jsonl"
            journal = JournalWriter(path)
            journal.write(
                WorkerHello(
                    pid=100 + number,
                    worker=worker,
                    num_workers=loader.num_workers,
                    loader=loader.subject,
                    at_ns=round(loader.spawn_ms * 1e6),
                    spawned_ns=0,
                )
            )
            if loader.gained:
                self._write_resources(journal, loader.gained)
            if batches:
                start, fetch, fetch_cpu, collate, size, digest, index = (
                    list(column) for column in zip(*batches, strict=True)
                )
                count = len(start)
                journal.write(
                    WorkerBatches(
                        every=1,
                        start=start,
                        fetch=fetch,
                        fetch_cpu=fetch_cpu,
                        collate=collate,
                        size=size,
                        number=list(range(count)),
                        tensor_bytes=[loader.tensor_bytes] * count,
                        tensors=[loader.tensors] * count,
                        digest=digest,
                    )
                )
                if loader.hand_over_ms:
                    wall = [round(loader.hand_over_ms * 1e6)] * count
                    journal.write(
                        WorkerHandOvers(
                            number=list(range(count)),
                            index=index,
                            start=start,
                            wall=wall,
                            cpu=wall,
                            payload=[loader.payload_bytes] * count,
                        )
                    )
            journal.write(*loader.resources, *(loader.looked_at if number == 0 else ()))
            if number < loader.num_workers:
                self._write_worker_samples(journal, loader, worker)
            journal.close()

    def _write_resources(self, journal: JournalWriter, gained: dict[str, Any]) -> None:
        counters = {name: value for name, value in gained.items() if name != "open_sites"}
        nothing = dict.fromkeys(counters, 0)
        journal.write(WorkerResources(at_ns=0, cpu_ns=0, **nothing))
        journal.write(WorkerResources(at_ns=self.now_ns, cpu_ns=0, **counters, open_sites=gained.get("open_sites", [])))

    def _write_worker_samples(self, journal: JournalWriter, loader: Loader, worker: int) -> None:
        mine = [(key, row) for key, row in loader.sampled.items() if key[0] == worker]
        if not mine:
            return
        frames = sorted({frame for key, _ in mine for frame in key[2]})
        journal.write(
            Frames(
                frames=[(number, *frame) for number, frame in enumerate(frames)],
                stacks=[(index, [frames.index(frame) for frame in key[2]]) for index, (key, _) in enumerate(mine)],
            ),
            Samples(
                start_ns=0,
                end_ns=self.now_ns,
                rows=[
                    [KIND[key[1]], loader.subject, 1, index, *row, row[2]]  # type: ignore[index]
                    for index, (key, row) in enumerate(mine)
                ],
            ),
        )
