"""What tensors the steps work on: batches as they arrive, operators by the shapes of their inputs."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.spans import SpanEvidence
from slowprobe.diagnose.evidence.windows import WindowEvidence
from slowprobe.errors import SlowprobeError
from slowprobe.run.loader_records import Padding
from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import UserCode
from slowprobe.timeline.made_tensors import MadeTensor, made_tensors
from slowprobe.timeline.op_doubles import DoubleWork, double_work
from slowprobe.timeline.op_tables import DenseTable, dense_tables
from slowprobe.timeline.op_tree import OpTree, build_tree
from slowprobe.timeline.padding import PaddingFacts, padding_facts
from slowprobe.trace.reader import read_trace


class StepTensorEvidence(SpanEvidence, WindowEvidence):
    """What tensors the steps work on: batches as they arrive, operators by the shapes of their inputs."""

    @cached_property
    def padding(self) -> dict[int, PaddingFacts]:
        """How long the rows of batches are, by loader; without those whose batches are no sequences."""
        return {
            loader.id: facts
            for loader in self.loaders
            if (facts := padding_facts(self.recording, loader.id)) is not None
        }

    @cached_property
    def padded_inputs(self) -> tuple[Site | None, PaddingFacts] | None:
        """The same of what a model was given in a loop without a loader, and where; None where it was no sequences."""
        seen = {
            -record.loader: facts
            for record in self.run.of(Padding)
            if record.loader < 0 and (facts := padding_facts(self.recording, record.loader)) is not None
        }
        model = max(seen, key=lambda number: (seen[number].batches, -number), default=None)
        return None if model is None else (self.recording.subject(model).site, seen[model])

    @cached_property
    def double_work(self) -> list[DoubleWork] | None:
        """Operators of the annotated step that compute in float64, by line; None without recorded types."""
        return double_work(self.annotated_ops, self.clean_ops, UserCode(self.run.manifest))

    @cached_property
    def made_tensors(self) -> dict[tuple[str, int], list[MadeTensor]]:
        """What the annotated step made of lists and arrays, by file and line; none where no step was annotated."""
        try:
            return made_tensors(self.annotated_ops, UserCode(self.run.manifest))
        except EvidenceMissing:
            return {}

    @cached_property
    def dense_tables(self) -> list[DenseTable] | None:
        """Embedding tables whose gradients are made whole in the annotated step; None without recorded shapes."""
        return dense_tables(self.annotated_ops, self.clean_ops, UserCode(self.run.manifest))

    @cached_property
    def annotated_ops(self) -> OpTree:
        """The operators of the annotated step, with the shapes of their inputs."""
        return self._operators("annotated", "no step was recorded with shapes")

    @cached_property
    def clean_ops(self) -> OpTree:
        """The operators of the steps that were recorded without shapes, which take what they take."""
        return self._operators("clean", "no profiler window was recorded")

    def _operators(self, role: str, missing: str) -> OpTree:
        window = self.windows.get(role)
        if window is None or window.path is None or not (self.run.folder / window.path).is_file():
            raise EvidenceMissing(missing)
        try:
            return build_tree(read_trace(self.run.folder / window.path))
        except SlowprobeError as error:
            raise EvidenceMissing(str(error)) from None
