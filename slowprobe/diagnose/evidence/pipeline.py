"""How batches are made and handed over."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.spans import SpanEvidence
from slowprobe.diagnose.evidence.windows import WindowEvidence
from slowprobe.run.worker_records import WorkerHello
from slowprobe.timeline.after_fork import PAGE_S, copied_s
from slowprobe.timeline.batch_costs import batch_costs
from slowprobe.timeline.facts import step_cores
from slowprobe.timeline.hotspots import LineTime, UserCode, worker_line_times
from slowprobe.timeline.input_curve import InputCurve, input_curve, most_workers
from slowprobe.timeline.loader_model import LoaderModel
from slowprobe.timeline.lock_waits import lock_wait_s
from slowprobe.timeline.making_stacks import StackTime, making_stacks
from slowprobe.timeline.pauses import pauses_of
from slowprobe.timeline.receiving import collecting, receiving
from slowprobe.timeline.repeated_items import RepeatedItems, repeated_items
from slowprobe.timeline.step_alone import StepAlone, step_alone
from slowprobe.timeline.uncontended import Machine
from slowprobe.timeline.worker_memory import PrivateGrowth, private_growth


class PipelineEvidence(SpanEvidence, WindowEvidence):
    """How batches are made and handed over."""

    @cached_property
    def worker_lines(self) -> list[LineTime]:
        """The same inside loader workers."""
        return worker_line_times(self.worker_recordings, UserCode(self.run.manifest))

    @cached_property
    def making_stacks(self) -> dict[int, list[StackTime]]:
        """The stacks on which batches were made and iterators started, by loader."""
        return making_stacks(self.recording, self.worker_recordings, UserCode(self.run.manifest))

    @cached_property
    def receiving(self) -> dict[int, float]:
        """CPU seconds in which the training thread takes a batch from a worker, by loader."""
        return receiving(self.recording, self.loaders)

    @cached_property
    def collecting(self) -> dict[int, dict[str, float]]:
        """Seconds of collections while the training thread takes batches from workers, by loader and scope."""
        return collecting(self.recording, self.labels, self.partition, self.loaders)

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
        threads = self.operator_threads or round(self.cores)
        used = step_cores(self.recording, self.roles.primary)
        machine = Machine(self.cores_per_rank, used, threads, self.step_alone)
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
                pauses_of(self.costs),
            )
        return models

    @cached_property
    def step_alone(self) -> StepAlone | None:
        """What a step takes that nothing shares its cores with; None where nothing did, or it could not be tried."""
        try:
            return step_alone(self.costs, self.ops.shares)
        except EvidenceMissing:
            return None

    @cached_property
    def input_curves(self) -> dict[int, InputCurve]:
        """Predicted step time against num_workers, by loader; without those whose batches were not seen being made."""
        return {
            loader: input_curve(model, most_workers(model, self.available_bytes))
            for loader, model in self.loader_models.items()
        }

    @cached_property
    def worker_starts(self) -> int:
        """How many worker processes recorded themselves."""
        return sum(worker.run.last(WorkerHello) is not None for worker in self.worker_recordings)
