"""What the loop's calls took, by user line."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.recorded import RecordedRun
from slowprobe.run.record import Site
from slowprobe.timeline.contention import OtherWork, other_work
from slowprobe.timeline.evaluation_stacks import evaluation_stacks
from slowprobe.timeline.facts import EvaluationFacts, SpanFacts, call_facts, evaluation_facts, span_facts
from slowprobe.timeline.flame import Call, flame
from slowprobe.timeline.hotspots import LineTime, UserCode, label_contexts, line_times


class SpanEvidence(RecordedRun):
    """What the loop's calls took, by user line."""

    @cached_property
    def optimizers(self) -> list[SpanFacts]:
        """Every optimizer; seconds are the self time of its steps (a closure's forward and backward are not in it)."""
        return span_facts(self.recording, self.partition, "optimizer")

    @cached_property
    def step_lengths(self) -> dict[int, list[float]]:
        """Seconds of each recorded optimizer step in order, by subject; none where some steps were not kept."""
        spans, found = self.recording.spans, {}
        for kind, subject in self.recording.keys("optimizer"):
            mine = (spans.kind == kind) & (spans.subject == subject)
            if int(mine.sum()) == self.recording.totals[kind, subject].count:
                found[subject] = (spans.duration[mine] / 1e9).tolist()
        return found

    @cached_property
    def forwards(self) -> list[SpanFacts]:
        """Outermost modules, one entry a mode (training, grad)."""
        return span_facts(self.recording, self.partition, "forward")

    @cached_property
    def backwards(self) -> list[SpanFacts]:
        """Backward calls by user line."""
        return span_facts(self.recording, self.partition, "backward")

    @cached_property
    def zero_grads(self) -> list[SpanFacts]:
        """zero_grad by class of its owner and by set_to_none."""
        return span_facts(self.recording, self.partition, "zero_grad")

    @cached_property
    def saves(self) -> list[SpanFacts]:
        """Checkpoint calls by user line."""
        return call_facts(self.recording, self.partition, self.labels, "save")

    @cached_property
    def logs(self) -> list[SpanFacts]:
        """print, logging and tracker calls by user line."""
        return call_facts(self.recording, self.partition, self.labels, "log")

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
    def evaluation_stacks(self) -> list[tuple[Site, ...]]:
        """The user's lines that lead to an evaluation inside the loop, outermost first; most sampled first."""
        return evaluation_stacks(self.recording, self.labels, self.partition)

    @cached_property
    def other_threads(self) -> OtherWork | None:
        """What other Python threads of the process did while the loop ran; None where none was at work."""
        return other_work(self.recording, self.labels, UserCode(self.run.manifest))

    @cached_property
    def flame(self) -> Call:
        """The lines of the loop by what called them, from stack samples of the training thread."""
        label_of = label_contexts(self.recording, self.labels, self.partition)
        return flame(self.recording, label_of, self.partition.seconds, UserCode(self.run.manifest))

    @cached_property
    def lines(self) -> list[LineTime]:
        """The user's source lines by time, from stack samples of the training thread."""
        found = line_times(self.recording, self.labels, self.partition)
        if not found:
            raise EvidenceMissing("no stack samples in the user's code")
        return found
