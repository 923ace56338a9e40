"""Evidence: named facts about a run, each computed when a rule first asks for it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NoReturn

from slowprobe.errors import SlowprobeError
from slowprobe.run.reader import RunRecords
from slowprobe.run.schema import Resources, State, Window
from slowprobe.run.worker_records import WorkerHello
from slowprobe.timeline.after_fork import PAGE_S, copied_s
from slowprobe.timeline.batch_costs import batch_costs
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device_window import DeviceWindow
from slowprobe.timeline.facts import EvaluationFacts, SpanFacts, evaluation_facts, save_facts, span_facts, step_cores
from slowprobe.timeline.hotspots import LineTime, UserCode, line_times, worker_line_times
from slowprobe.timeline.input_curve import InputCurve, input_curve, most_workers
from slowprobe.timeline.labels import Labels, label_run
from slowprobe.timeline.loader_model import LoaderModel
from slowprobe.timeline.loaders import LoaderFacts, loader_facts
from slowprobe.timeline.lock_waits import lock_wait_s
from slowprobe.timeline.making_stacks import StackTime, making_stacks
from slowprobe.timeline.neighbours import Neighbours, neighbours
from slowprobe.timeline.ops import OpWindow, read_window
from slowprobe.timeline.partition import Partition, partition
from slowprobe.timeline.probe_cost import costs
from slowprobe.timeline.receiving import receiving
from slowprobe.timeline.recording import Recording
from slowprobe.timeline.repeated_items import RepeatedItems, repeated_items
from slowprobe.timeline.replay import Replay
from slowprobe.timeline.roles import Roles, assign_roles
from slowprobe.timeline.sources import SourceText
from slowprobe.timeline.step_stats import StepStats, step_stats
from slowprobe.timeline.uncontended import Machine
from slowprobe.timeline.worker_memory import PrivateGrowth, private_growth

EvidenceMissing = LookupError


class Evidence:
    """All evidence of one run. Attributes raise `EvidenceMissing` with a reason where the run does not hold them."""

    serious_s = 0.05
    """Saved in the recorded run, at least, for a finding to be serious: in a loop of milliseconds one collection is a
    tenth of it."""

    def __init__(self, run: RunRecords) -> None:
        self.run = run
        self.recording = Recording(run)

    @cached_property
    def worker_recordings(self) -> list[Recording]:
        """One recording a loader worker."""
        return [Recording(RunRecords(self.run.folder, self.run.manifest, records)) for records in self.run.workers]

    @cached_property
    def roles(self) -> Roles:
        """Which loader trains, what a step is."""
        return assign_roles(self.recording)

    @cached_property
    def labels(self) -> Labels:
        """Scope and bucket of everything that was recorded."""
        return label_run(self.recording, self.roles)

    @cached_property
    def partition(self) -> Partition:
        """The wall identity."""
        return partition(self.recording, self.labels)

    @cached_property
    def steps(self) -> StepStats:
        """The training steps."""
        return step_stats(self.recording, self.roles, self.labels, self.partition.probes)

    @cached_property
    def loaders(self) -> list[LoaderFacts]:
        """Every loader that was asked for batches."""
        return loader_facts(self.recording, self.worker_recordings, self.roles)

    @cached_property
    def optimizers(self) -> list[SpanFacts]:
        """Every optimizer; seconds are the self time of its steps (a closure's forward and backward are not in it)."""
        return span_facts(self.recording, self.partition, "optimizer")

    @cached_property
    def forwards(self) -> list[SpanFacts]:
        """Outermost modules, one entry a mode (training, grad)."""
        return span_facts(self.recording, self.partition, "forward")

    @cached_property
    def backwards(self) -> list[SpanFacts]:
        """Backward calls by user line."""
        return span_facts(self.recording, self.partition, "backward")

    @cached_property
    def saves(self) -> list[SpanFacts]:
        """Checkpoint calls by user line."""
        return save_facts(self.recording, self.partition, self.labels)

    @cached_property
    def logs(self) -> list[SpanFacts]:
        """print, logging and tracker calls by user line."""
        return span_facts(self.recording, self.partition, "log")

    @cached_property
    def sleeps(self) -> list[SpanFacts]:
        """time.sleep by user line (not inside a dataset)."""
        return span_facts(self.recording, self.partition, "sleep")

    @cached_property
    def externals(self) -> list[SpanFacts]:
        """Subprocess and network calls by user line."""
        return span_facts(self.recording, self.partition, "external")

    @cached_property
    def compiles(self) -> list[SpanFacts]:
        """torch.compile compilations."""
        return span_facts(self.recording, self.partition, "compile")

    @cached_property
    def evaluation(self) -> EvaluationFacts:
        """The evaluations inside the training loop."""
        return evaluation_facts(self.recording, self.partition, self.labels, self.steps.count)

    @cached_property
    def lines(self) -> list[LineTime]:
        """The user's source lines by time, from stack samples of the training thread."""
        found = line_times(self.recording, self.labels, self.partition)
        if not found:
            raise EvidenceMissing("no stack samples in the user's code")
        return found

    @cached_property
    def worker_lines(self) -> list[LineTime]:
        """The same inside loader workers."""
        return worker_line_times(self.worker_recordings, UserCode(self.run.manifest))

    @cached_property
    def making_stacks(self) -> dict[int, list[StackTime]]:
        """The stacks on which batches were made and iterators started, by loader."""
        return making_stacks(self.recording, self.worker_recordings, UserCode(self.run.manifest))

    @cached_property
    def windows(self) -> dict[str, Window]:
        """The profiler windows by role."""
        return {window.role: window for window in self.run.of(Window)}

    @cached_property
    def ops(self) -> OpWindow:
        """Operators in the profiler window."""
        clean, annotated = self.windows.get("clean"), self.windows.get("annotated")
        if clean is None or clean.path is None or not (self.run.folder / clean.path).is_file():
            raise EvidenceMissing("no profiler window was recorded")
        path = self.run.folder / annotated.path if annotated is not None and annotated.path else None
        try:
            return read_window(
                self.run.folder / clean.path,
                path if path is not None and path.is_file() else None,
                UserCode(self.run.manifest),
            )
        except SlowprobeError as error:
            raise EvidenceMissing(str(error)) from None

    @cached_property
    def device_window(self) -> DeviceWindow | None:
        """The profiler window of a run that has an accelerator; None without one."""
        if not self.settings.get("devices"):
            return None
        clean = self.windows.get("clean")
        if clean is None or clean.path is None or not (self.run.folder / clean.path).is_file():
            raise EvidenceMissing("no profiler window was recorded")
        try:
            return DeviceWindow(self.run.folder / clean.path)
        except SlowprobeError as error:
            raise EvidenceMissing(str(error)) from None

    @property
    def device(self) -> DeviceFacts | None:
        """What the accelerator did in the profiler window; None where there is none."""
        return None if self.device_window is None else self.device_window.facts

    recorded_by_profiler = False
    """A run has recordings of its own; what a profiler window shows is a part of them."""

    @property
    def ranks(self) -> NoReturn:
        """Several ranks are compared by ``slowprobe analyze``."""
        raise EvidenceMissing("one rank was recorded; slowprobe analyze compares the traces of several")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """torch's global settings once the loop ran."""
        state = self.run.last(State)
        if state is None:
            raise EvidenceMissing("the loop ended before torch's settings were read")
        return dict(state.values)

    @cached_property
    def host(self) -> dict[str, Any]:
        """The machine."""
        return dict(self.run.manifest.host)

    @cached_property
    def cores(self) -> float:
        """Cores this process may use: affinity, and the cgroup's quota where there is one."""
        cores = float(self.host.get("cores") or 1)
        quota = self.host.get("quota_cores")
        return min(cores, float(quota)) if quota else cores

    @cached_property
    def costs(self) -> dict[str, float]:
        """Values measured on this machine after the run."""
        return costs(self.recording)

    @cached_property
    def source(self) -> SourceText:
        """The user's source files as they ran."""
        return SourceText(self.run)

    @cached_property
    def receiving(self) -> dict[int, float]:
        """CPU seconds in which the training thread takes a batch from a worker, by loader."""
        return receiving(self.recording, self.loaders)

    @cached_property
    def private_growth(self) -> dict[int, PrivateGrowth]:
        """How workers' memory became their own while they worked, by loader; without those not read twice."""
        return {
            loader.id: found for loader in self.loaders if (found := private_growth(self.worker_recordings, loader))
        }

    @cached_property
    def repeated_items(self) -> dict[int, RepeatedItems]:
        """What came out the same each time, by loader; without those of which nothing was compared."""
        return {
            loader.id: found
            for loader in self.loaders
            if (found := repeated_items(self.recording, self.worker_recordings, loader.id)) is not None
        }

    @cached_property
    def loader_models(self) -> dict[int, LoaderModel]:
        """The loaders as models, by loader; without those whose batches were not seen being made."""
        state = self.run.last(State)
        threads = int((state.values.get("num_threads") if state is not None else 0) or round(self.cores))  # type: ignore[arg-type]
        machine = Machine(self.cores_per_rank, step_cores(self.recording, self.roles.primary), threads)
        models = {}
        for loader in self.loaders:
            if loader.make_s is None or not len(loader.wait) or loader.watched:
                continue
            hand_over_ms = self.costs.get(f"loader.{loader.id}.hand_over_ms")
            models[loader.id] = LoaderModel(
                loader,
                batch_costs(loader),
                machine,
                None if hand_over_ms is None else hand_over_ms / 1e3,
                None if loader.num_workers else lock_wait_s(self.recording, loader.id),
                copied_s(self.optimizers, self.costs.get("page_us", PAGE_S * 1e6) / 1e6),
            )
        return models

    @cached_property
    def input_curves(self) -> dict[int, InputCurve]:
        """Predicted step time against num_workers, by loader; without those whose batches were not seen being made."""
        return {
            loader: input_curve(model, most_workers(model, self.available_bytes))
            for loader, model in self.loader_models.items()
        }

    @cached_property
    def available_bytes(self) -> int | None:
        """The least memory that was free while the run was recorded, for this rank; None where it was not read."""
        read = [record.available_bytes for record in self.run.of(Resources) if record.available_bytes]
        return min(read) // self.ranks_here if read else None

    @cached_property
    def ranks_here(self) -> int:
        """How many ranks share this machine."""
        return max(1, int(self.host.get("local_world_size") or self.run.manifest.world_size))

    @cached_property
    def cores_per_rank(self) -> float:
        """This rank's part of the cores."""
        return max(1.0, self.cores / self.ranks_here)

    @cached_property
    def replay(self) -> Replay:
        """The recorded loop, ready to be replayed with changes."""
        try:
            device = self.device_window
        except EvidenceMissing:
            device = None  # then no rule has a change for it
        return Replay(self.partition, self.loaders, self.loader_models, device)

    @cached_property
    def neighbours(self) -> Neighbours | None:
        """What other processes took of the machine."""
        return neighbours(self.recording, self.worker_recordings)

    @cached_property
    def worker_starts(self) -> int:
        """How many worker processes recorded themselves."""
        return sum(worker.run.last(WorkerHello) is not None for worker in self.worker_recordings)
