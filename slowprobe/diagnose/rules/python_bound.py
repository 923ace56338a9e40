"""Python (or a library it calls) works on the training thread while no operator runs.

What it is: bookkeeping, metrics, NumPy or pure Python loops inside the step: time on the CPU in lines that launch no
torch operators, or few.

Why it is slow: the step is serial on the training thread; whatever Python does there comes on top of the model.

How it is seen: stack samples give the time of each line in the unprofiled run, the profiler window the operator time of
the same line; the difference is Python. Of a loop over elements the first line named is the one with most samples, not
its head.

Saving: what goes through elements one by one in Python (a comprehension, a loop, sorting by a key function) leaves
little as a few whole-tensor operators, the less the longer it takes. Seven such pieces of code on 200, 2,000 and 20,000
elements against their torch form, CPU time on one thread: of 1 ms and more 0.6 % to 37 % is left, median 4 %; of 0.1 to
1 ms 4 % to 26 %, median 10 %; below it pays less and less. Collections that set in on such a line go with its objects.
For what a library computes (NumPy, pandas) the range is wide, since it may be vectorised already.

Stays quiet when: it comes to less than 5 % of loop time, the time is spent off the CPU (that is waiting: external-wait,
checkpoint-blocking), the line logs, writes or saves, or works for that (logging-every-step, checkpoint-blocking), or it
belongs to a loop of small operators (tiny-op-loop, python-param-loops), or to the head of the training loop, where the
batch before is freed. Where one line is the whole training loop (model.fit of a trainer), the Python is the trainer's
own, and the rule says that it does not judge it.

Fix: vectorise with torch or NumPy, do it every N steps, or move it into the dataset's workers.

Sources: Scalene's split of Python and native time; TensorFlow profiler, "All Others" time.
"""

from __future__ import annotations

import re

from slowprobe.diagnose.edits import diff
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.hot_lines import stretched, trainer_lines
from slowprobe.diagnose.op_loops import op_loops
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._spoken_for import spoken_for
from slowprobe.diagnose.turns import loop_that_calls, turn_of
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.05  # of loop time
MIN_SAMPLES = 10  # of a line; a share from fewer is off by a third or more
FEW_SAMPLES = 30  # of all lines: below, a line of a tenth of the step is seen three times, give or take two
MIN_PYTHON = 0.6  # of a line's time; below, it is its operators that cost
MAX_WAITING = 0.5  # off the CPU, beyond what a busy machine does to every line; above, the line waits for something
MOSTLY_LEAF = 0.5  # of a line's samples; in fewer, it calls a generator of the user's
MAX_PLACES = 5
VECTORISED = Factor(0.05, 0.2, 0.6)  # of what a library computes, or takes less than 0.1 ms a step
BY_ELEMENT = ((1.0, Factor(0.01, 0.04, 0.4)), (0.1, Factor(0.04, 0.1, 0.5)))  # from so many ms a step; see "Saving"
_WRITES = re.compile(r"\.write\(|\.flush\(|fsync|print\(|log(ger|ging)?\.|json\.dump|torch\.save|\.writerow")
_LIBRARY = re.compile(r"\b(?:np|numpy|scipy|sklearn|pd|cv2)\.\w")
_ELEMENTS = re.compile(
    r"\bfor\b.+\bin\b|\blambda\b|\b(?:sorted|sum|map|filter|zip|list|tuple|dict|set|Counter)\(|\.(?:sort|tolist)\("
)
_BUCKETS = ("python", "forward")
_MODULE_CALL = "Module._wrapped_call_impl"

RULE = Rule(
    title="Python work on the training thread holds the step up",
    bottleneck="host",
    needs=(
        "steps",
        "ops",
        "lines",
        "source",
        "partition",
        "optimizers",
        "backwards",
        "settings",
        "saves",
        "logs",
        "compiled_lines",
    ),
)


def check(run: Evidence) -> Answer:
    """Find lines with CPU time that is not their operators'."""
    loop_s = run.partition.loop_s
    elsewhere = {(line.file, line.line) for loop in op_loops(run) for line in loop.lines}
    # Where steps differ in length (episodes, sequences), the recorded one stands for as much time as it took.
    like_it = run.steps.count * max(1.0, run.steps.mean_ms() / run.ops.step_ms if run.ops.step_ms else 1.0)
    operators_s = {
        (line.file, line.line): (line.forward_ms + line.launch_gap_ms) * like_it / 1000 for line in run.ops.lines
    }
    on_cpu, others, heads = 1 - stretched(run), spoken_for(run), _heads(run)
    found: list[tuple[LineTime, float]] = []
    trainers, trainers_s = trainer_lines(run), 0.0
    thin_s, thin_samples = 0.0, 0
    for line in run.lines:
        key = (line.file, line.line)
        if line.scope != "step" or line.bucket not in _BUCKETS or key in elsewhere:
            continue
        if key in heads and line.leaf_share >= MOSTLY_LEAF:
            continue  # the batch before is freed there: pages of shared memory that go back to the system
        if line.package == "torch" and line.leaf_share < MOSTLY_LEAF and key not in operators_s:
            continue  # operators of a step unlike the recorded one (a rollout): how much of this they are is not known
        if line in others or line.callee == _MODULE_CALL:
            continue  # a layer of torch's own: its time is its operators', whatever the one recorded step says
        if key in run.compiled_lines and line.package == "torch":
            continue  # compiled code, or torch.compile on its way into it
        if 1 - line.waiting < (1 - MAX_WAITING) * on_cpu or _WRITES.search(run.source.line(*key)):
            continue
        python_s = line.seconds - operators_s.get(key, 0.0)
        if python_s < MIN_PYTHON * line.seconds:
            continue
        if key in trainers:
            trainers_s += python_s if line.samples >= MIN_SAMPLES else 0.0
        elif line.samples < MIN_SAMPLES:
            thin_s, thin_samples = thin_s + python_s, thin_samples + line.samples
        else:
            found.append((line, python_s))
    total = sum(seconds for _, seconds in found)
    if total < MIN_SHARE * loop_s <= trainers_s:
        return NotChecked(
            f"{trainers_s / loop_s:.0%} of loop time is Python inside the library that runs the training loop"
        )
    sampled = sum(line.samples for line in run.lines if line.scope == "step")
    if not found and sampled < FEW_SAMPLES:
        return NotChecked(f"only {sampled} stack samples in the steps: too few to see Python's lines")
    if total < MIN_SHARE * loop_s <= total + thin_s and thin_samples < FEW_SAMPLES:
        return NotChecked(
            f"{(total + thin_s) / loop_s:.0%} of loop time, most of it by {thin_samples} stack samples: too few to tell"
        )
    if total < MIN_SHARE * loop_s:
        return Passed(f"Python outside operators takes {total / loop_s:.1%} of loop time")
    return _diagnose(run, sorted(found, key=lambda entry: -entry[1]), total, loop_s)


def _heads(run: Evidence) -> set[tuple[str, int]]:
    """The first lines of the loops around backward passes: ``for batch in loader:``."""
    sites = [facts.where for facts in run.backwards if facts.where is not None]
    around = [(site.file, run.source.loop_around(site.file, site.line)) for site in sites]
    return {(file, lines[0]) for file, lines in around if lines is not None}


def _diagnose(run: Evidence, found: list[tuple[LineTime, float]], total: float, loop_s: float) -> Diagnosis:
    top, _ = found[0]
    code = run.source.line(top.file, top.line)
    calls = f", in {top.callee}()" if top.callee else ""
    return Diagnosis(
        summary=(
            f"{total / loop_s:.0%} of loop time passes in Python code between operators, most of it at "
            f"{top.file.rsplit('/', 1)[-1]}:{top.line}{calls}."
        ),
        where=[
            Where(line.file, line.line, line.function, round(seconds / total, 3))
            for line, seconds in found[:MAX_PLACES]
        ],
        fix=Fix(
            text=(
                "Do this work with whole-tensor operators instead of Python, only every N steps, or ahead of time in "
                "the dataset, where worker processes can do it meanwhile."
            ),
            diff=diff([code], ["# the same on whole tensors, every N steps, or in the dataset"]) if code else "",
        ),
        changes=_changes(run, found),
        basis="stated range",
        evidence={
            "share of loop time": round(total / loop_s, 4),
            "lines": {
                "columns": ["line", "seconds", "of loop time", "samples"],
                "rows": [
                    [f"{line.file}:{line.line}", round(seconds, 3), round(seconds / loop_s, 4), line.samples]
                    for line, seconds in found[:MAX_PLACES]
                ],
            },
        },
    )


def _changes(run: Evidence, found: list[tuple[LineTime, float]]) -> list[Scale]:
    """By bucket, what goes through elements one by one and what does not; with the first, its collections."""
    by_element = {(line.file, line.line): seconds for line, seconds in found if _goes_through_elements(run, line)}
    one_by_one = [entry for entry in found if (entry[0].file, entry[0].line) in by_element]
    ms = sum(seconds for _, seconds in one_by_one) * 1000 / max(run.steps.count, 1)
    factor = next((factor for least, factor in BY_ELEMENT if ms >= least), VECTORISED)
    changes = []
    for bucket in _BUCKETS:
        alone = sum(seconds for line, seconds in one_by_one if line.bucket == bucket)
        rest = sum(seconds for line, seconds in found if line.bucket == bucket) - alone
        changes += [
            Scale(bucket, "step", alone, factor, pause=True),
            Scale(bucket, "step", rest, VECTORISED, pause=True),
        ]
    collected = sum(
        line.seconds
        for line in run.lines
        if line.bucket == "gc" and line.scope == "step" and (line.file, line.line) in by_element
    )
    changes.append(Scale("gc", "step", collected, factor))
    return [change for change in changes if change.seconds > 1e-9]


def _goes_through_elements(run: Evidence, line: LineTime) -> bool:
    """Whether the line is Python's own work on many elements: no library below it, and a loop on it or around it."""
    first, last = run.source.statement(line.site)
    text = " ".join(run.source.lines(line.file)[first - 1 : last]).partition("#")[0]
    if line.package or _LIBRARY.search(text):
        return False
    if _ELEMENTS.search(text):
        return True
    around, turn = run.source.loop_around(line.file, line.line), turn_of(run.source, line.site)
    if around is not None and not (turn is not None and turn.loop is not None and turn.loop.lineno == around[0]):
        return True
    return loop_that_calls(run.source, line.file, line.line) is not None
