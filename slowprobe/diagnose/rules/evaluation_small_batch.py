"""Evaluation runs in batches much smaller than training's.

What it is: an evaluation loader whose batch size is a quarter of the training loader's or less, often the default of 1.

Why it is slow: each forward pass pays for its operators' start, whatever the number of samples; training has shown that
larger batches fit into memory, and evaluation without gradients needs less.

How it is seen: the batch sizes of both loaders (or of their batch samplers), and the time of a forward pass for each
sample, in training and in evaluation, of a model of the same class. The fix is replayed: evaluation's forward passes at
training's time a sample, which is no less than what they would take, since they keep no graph; what stands between them
shrinks alike. Where both loaders make their batches alike and without workers, so does asking for them.

Stays quiet when: evaluation takes less than 5 % of loop time, a sample takes 80 % as long or more in training's
batches, the samples differ in size (whole images or sequences, which do not stack), or there are several evaluation
loaders, or modes, whose forward passes are not told apart.

Fix: the training loader's batch_size, or twice that, for the evaluation loader.

Sources: PyTorch Lightning and Hugging Face Trainer (eval_batch_size apart from train_batch_size).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._evaluation_call import loop_call_of
from slowprobe.run.record import Site
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.05  # of loop time, in evaluation
MIN_TIMES = 4  # training's batch over evaluation's; with less, operators' start is shared by nearly as many samples
SMALL_SHARE = 0.20  # of what is left of the loop: as evaluation-too-often, which has nothing to say below that
MAX_RATIO = 0.8  # of evaluation's time a sample; above, the gain is within the spread of forward passes
SAME_SIZE = 1.25  # of a sample's bytes in one loader and the other
WITHOUT_GRAPH = 0.7  # of a forward pass with gradients, at best

RULE = Rule(
    title="Evaluation runs in small batches",
    bottleneck="evaluation",
    needs=("steps", "evaluation", "evaluation_stacks", "forwards", "loaders", "partition", "source"),
    closer_than=("evaluation-too-often",),
    before=("evaluation-too-often",),
)


def check(run: Evidence) -> Answer:
    """Compare a sample's time in both loops."""
    evaluation, loop_s = run.evaluation, run.partition.loop_s
    if not evaluation.total_s:
        return NotApplicable("no evaluation inside the training loop")
    if evaluation.total_s < MIN_SHARE * loop_s:
        return Passed(f"evaluating takes {evaluation.total_s / loop_s:.1%} of loop time")
    primary = next((loader for loader in run.loaders if loader.primary), None)
    evaluating = [loader for loader in run.loaders if loader.role == "evaluation" and loader.samples]
    if primary is None or not primary.samples or not evaluating:
        return NotApplicable("batch sizes of the training and the evaluation loader are not known")
    small = [loader for loader in evaluating if loader.samples and loader.samples * MIN_TIMES <= primary.samples]
    if not small:
        sizes = ", ".join(str(loader.samples) for loader in evaluating)
        return Passed(f"evaluation's batches hold {sizes} samples, training's {primary.samples}")
    if len(evaluating) > 1:
        return NotChecked("several evaluation loaders: whose forward passes take how long is not told apart")
    pair = _same_model(run)
    if pair is None:
        return NotChecked("no model of the same class runs in training and in evaluation")
    loader = small[0]
    here, there = _sample_bytes(loader), _sample_bytes(primary)
    if not here or not there:
        return NotChecked("the size of a sample was not read in both loaders")
    if max(here, there) > SAME_SIZE * min(here, there):
        return Passed(f"evaluation's samples have {here:,.0f} bytes, training's {there:,.0f}: they may not stack")
    return _diagnose(run, loader, primary, *pair)


def _diagnose(
    run: Evidence, loader: LoaderFacts, primary: LoaderFacts, training: SpanFacts, evaluating: SpanFacts
) -> Answer:
    small, large = loader.samples or 1, primary.samples or 1
    now_ms = evaluating.total_s / evaluating.calls / small * 1000
    then_ms = training.total_s / training.calls / large * 1000
    ratio = then_ms / now_ms
    if ratio > MAX_RATIO:
        return Passed(f"a sample's forward pass takes {ratio:.0%} as long in training's larger batches")
    loop_s, forward_s = run.partition.loop_s, evaluating.evaluation_s
    # Metrics and Python between the passes are paid for each batch, too.
    between_s = max(0.0, run.evaluation.total_s - forward_s - loader.wait_s - loader.start_s)
    making = _making_ratio(loader, primary)
    gone_s = (forward_s + between_s) * (1 - ratio) + loader.wait_s * (1 - making)
    left_s = run.evaluation.total_s - gone_s
    shared = loader.where == primary.where  # one function makes both: its line says nothing of this one's batches
    argument = loader.batch_size is not None and not shared
    edit = set_arguments(run.source, loader.where, loader.class_name, batch_size=str(large)) if argument else ""
    given = f"batch_size={large}" if loader.batch_size is not None else f"a batch sampler of batches of {large}"
    return Diagnosis(
        summary=(
            f"Evaluation takes {run.evaluation.total_s / loop_s:.0%} of loop time in batches of {small}. A sample's "
            f"forward pass takes {now_ms:.3g} ms there and {then_ms:.3g} ms in training's batches of {large}."
        ),
        where=place(evaluating.where, loader.where) if shared else place(loader.where, evaluating.where),
        fix=Fix(text=f"Give the evaluation loader {given}: training shows that it fits.", diff=edit),
        changes=[
            Scale("evaluation", "off_step", forward_s, Factor(ratio * WITHOUT_GRAPH, ratio, (1 + ratio) / 2)),
            Scale("evaluation", "off_step", between_s, Factor(min(ratio, small / large), ratio, 1.0)),
            Scale("evaluation", "off_step", loader.wait_s, Factor(making, making, 1.0)),
        ],
        evidence={
            "batch size in evaluation": small,
            "batch size in training": large,
            "forward pass of a sample in evaluation, ms": round(now_ms, 4),
            "forward pass of a sample in training, ms": round(then_ms, 4),
            "evaluation, share of loop time": round(run.evaluation.total_s / loop_s, 4),
            "of it in forward passes, s": round(forward_s, 3),
        },
        covers=_calls(run, evaluating) if left_s < SMALL_SHARE * (loop_s - gone_s) else (),
    )


def _making_ratio(loader: LoaderFacts, primary: LoaderFacts) -> float:
    """What a sample's part of asking for a batch comes to in training's batches; 1.0 where they are not made alike."""
    alike = (loader.dataset_name, loader.collate_name) == (primary.dataset_name, primary.collate_name)
    if not alike or loader.num_workers or primary.num_workers or not loader.wait_s or not primary.batches:
        return 1.0
    here = loader.wait_s / loader.batches / (loader.samples or 1)
    return min(1.0, primary.wait_s / primary.batches / (primary.samples or 1) / here)


def _same_model(run: Evidence) -> tuple[SpanFacts, SpanFacts] | None:
    """The forward passes of one class in training, and those in evaluation that take most time."""
    evaluating = max(run.evaluation.forwards, key=lambda facts: facts.evaluation_s, default=None)
    if evaluating is None or evaluating.evaluation_s < 0.9 * evaluating.seconds:
        return None  # the same mode in training and in evaluation: their times are mixed
    training = [
        facts
        for facts in run.forwards
        if facts.name == evaluating.name and facts.attrs.get("training") and not facts.evaluation_s
    ]
    return (max(training, key=lambda facts: facts.seconds), evaluating) if training else None


def _calls(run: Evidence, evaluating: SpanFacts) -> list[Site]:
    """Where the loop calls the evaluation: once it is quick, nothing is to be said about how often it is called."""
    turn = loop_call_of(run, evaluating.where)
    return [turn.site] if turn is not None else []


def _sample_bytes(loader: LoaderFacts) -> float:
    return (loader.making.batch_bytes or 0.0) / (loader.samples or 1)
