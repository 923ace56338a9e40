"""Evidence: named facts about a run, each computed when a rule first asks for it."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.autograd import AutogradEvidence
from slowprobe.diagnose.evidence.compiled import CompiledEvidence
from slowprobe.diagnose.evidence.kernels import KernelEvidence
from slowprobe.diagnose.evidence.memory import MemoryEvidence
from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.pipeline import PipelineEvidence
from slowprobe.diagnose.evidence.replicas import ReplicaEvidence
from slowprobe.diagnose.evidence.run_level import RunLevelEvidence
from slowprobe.diagnose.evidence.step_tensors import StepTensorEvidence
from slowprobe.timeline.pauses import pauses_of
from slowprobe.timeline.replay import Replay

__all__ = ["Evidence", "EvidenceMissing"]


class Evidence(
    PipelineEvidence,
    KernelEvidence,
    AutogradEvidence,
    CompiledEvidence,
    StepTensorEvidence,
    MemoryEvidence,
    ReplicaEvidence,
    RunLevelEvidence,
):
    """All evidence of one run. Attributes raise `EvidenceMissing` with a reason where the run does not hold them."""

    @cached_property
    def replay(self) -> Replay:
        """The recorded loop, ready to be replayed with changes."""
        try:
            device = self.device_window
        except EvidenceMissing:
            device = None  # then no rule has a change for it
        try:
            steps = self.steps.count
        except EvidenceMissing:
            steps = 0
        return Replay(self.partition, self.loaders, self.loader_models, device, pauses_of(self.costs), steps)
