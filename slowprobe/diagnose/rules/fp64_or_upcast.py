"""Training computes in float64.

What it is: NumPy makes float64 arrays unless told otherwise; torch.from_numpy keeps the type. One such tensor turns
what it is added to or multiplied with into float64, or the whole model is made .double() to fit the data.

Why it is slow: twice the memory to move and half the numbers in a vector register; gradients are float64, too.

How it is seen: the types of operators' inputs in the annotated step: the work (without the cost of starting operators)
of those with float64 inputs, by the user's line, forward, backward and in the optimizer, at the times of steps that
were not annotated.

Saving: after the run the dearest of these operators are timed on the recorded shapes, in float64 and in float32, and
the work is replayed at what that leaves. Where they could not be tried, half of it is expected to remain (twice the
numbers in a register and in a cache line), from 0.35 (exponentials, caches that now suffice) to 0.8 (what waits for
something else).

Set by default: a script that calls torch.set_default_dtype(torch.float64) has chosen so. It is told what the choice
costs, at that line: an offer of low severity and no part of the verdict.

Stays quiet when: such work takes less than 5 % of a step. On an accelerator the host's times say nothing of it, and it
is not checked.

Fix: float32 where the tensor is made: torch.from_numpy(array.astype(np.float32)); net.float(); without the default.

Sources: torch documentation (type promotion); NumPy documentation (float64 as default).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.hot_lines import sampled_lines
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.op_doubles import DoubleWork
from slowprobe.timeline.tried_edits import tried_edit

MIN_SHARE = 0.05  # of a step
IN_SINGLE = Factor(0.35, 0.5, 0.8)  # see "Saving" above
MAX_PLACES = 4
SETS_DEFAULT = ("set_default_dtype(", "set_default_tensor_type(")
MAKES_DOUBLE = (".double()", "float64", "torch.double", "DoubleTensor")

RULE = Rule(
    title="Training computes in float64",
    bottleneck="precision",
    needs=("steps", "double_work", "optimizers", "partition", "source", "settings", "lines", "costs"),
)


def check(run: Evidence) -> Answer:
    """Add up the work on float64 tensors."""
    if run.settings.get("devices"):
        return NotChecked("operators run on an accelerator; their times on the host are not their work")
    work = run.double_work
    if work is None:
        return NotChecked("operators were recorded without types")
    share = sum(line.share for line in work)
    if share < MIN_SHARE:
        return Passed(f"work on float64 tensors takes {share:.1%} of a step")
    return _diagnose(run, work, share)


def _diagnose(run: Evidence, work: list[DoubleWork], share: float) -> Diagnosis:
    of_parameters = any("float64" in str(facts.attrs.get("dtypes")) for facts in run.optimizers)
    chosen = run.settings.get("default_dtype") == "torch.float64"
    made = run.source.find(*(SETS_DEFAULT if chosen else MAKES_DOUBLE)) if of_parameters or chosen else None
    first = [line for line in work if line.enters] if not of_parameters else []
    ordered = [*first, *(line for line in work if line not in first)][:MAX_PLACES]
    where = [Where(*line.source, round(line.share / share, 3)) for line in ordered]
    if made is not None:
        where.insert(0, Where(made.file, made.line, made.function))
    if chosen:
        del where[1:]  # lines that do the work are not what would be changed
    top = Site(where[0].file, where[0].line, where[0].function)
    text = run.source.line(top.file, top.line)
    tried = tried_edit(run.costs, "single")
    return Diagnosis(
        title=_title(chosen, of_parameters),
        summary=f"{share:.0%} of a step is work on float64 tensors: "
        + (
            "float64 is the default dtype."
            if chosen
            else "the parameters are float64."
            if of_parameters
            else f"they come in at {_name(top)}, and what follows."
        ),
        where=where,
        fix=_fix(chosen, of_parameters, text),
        changes=_changes(run, work),
        basis="stated range" if tried is None else "calibrated replay",
        offer=chosen,
        evidence={
            "work on float64, of a step": round(share, 4),
            "of it left in float32": "not tried" if tried is None else round(tried.left, 3),
            "parameters": ", ".join(sorted({str(facts.attrs.get("dtypes")) for facts in run.optimizers})) or "unknown",
            "lines": {
                "columns": ["line", "of a step", "operators"],
                "rows": [
                    [f"{line.source[0]}:{line.source[1]}", round(line.share, 4), ", ".join(line.ops)]
                    for line in work[:MAX_PLACES]
                ],
            },
        },
    )


def _title(chosen: bool, of_parameters: bool) -> str:
    if chosen:
        return "float64 is the default dtype"
    return "The model's parameters are float64" if of_parameters else RULE.title


def _fix(chosen: bool, of_parameters: bool, text: str) -> Fix:
    if chosen:
        what = (
            "If the result does not need the precision: leave the default dtype at float32. Data from NumPy then have "
            "to be made float32 where they come in (array.astype(np.float32))."
        )
        return Fix(text=what, diff=diff([text], [text.replace("float64", "float32")]) if "float64" in text else "")
    if of_parameters:
        what = (
            "Keep parameters and data in float32 (net.float(), torch.from_numpy(array.astype(np.float32))), unless "
            "the result needs the precision."
        )
    else:
        what = (
            "Make the float64 tensor on this line float32 where it is made: dtype=torch.float32, "
            "array.astype(np.float32), or .float()."
        )
    return Fix(text=what, diff=diff([text], ["# the same in float32"]) if text else "")


def _changes(run: Evidence, work: list[DoubleWork]) -> list[Scale]:
    """Shares of the recorded step, as seconds of the run's steps, in the buckets that the lines are sampled in."""
    waited = sum(run.partition.bucket_s(bucket, "step") for bucket in ("data_wait", "fetch", "collate"))
    steps_s = run.partition.scope_s("step") - waited
    bucket_of = {
        (line.file, line.line): line.bucket
        for line in sorted(sampled_lines(run), key=lambda line: line.seconds)
        if line.scope == "step" and line.bucket in ("forward", "python")
    }
    seconds: dict[str, float] = {}
    for line in work:
        bucket = bucket_of.get(line.source[:2], "forward")
        for name, share in ((bucket, line.forward), ("backward", line.backward), ("optimizer", line.optimizer)):
            seconds[name] = seconds.get(name, 0.0) + share * steps_s
    tried = tried_edit(run.costs, "single")
    left = IN_SINGLE if tried is None or tried.left >= 1 else tried.factor
    return [Scale(bucket, "step", spent, left) for bucket, spent in seconds.items() if spent > 0]


def _name(site: Site) -> str:
    return f"{site.file.rsplit('/', 1)[-1]}:{site.line}"
