"""NumPy's BLAS and torch's operators take turns, each on threads of its own, and hold each other up.

What it is: linear algebra of NumPy, SciPy or scikit-learn in the training process (a product, a decomposition, a fit
in the dataset, the loss or a metric) between operators of torch.

Why it is slow: both keep as many threads as there are cores, and threads that have finished spin for a while in wait of
more work: OpenBLAS's for some 30 ms, torch's for one or two. A parallel operator ends with its slowest thread, and one
of its threads shares a core with a spinning one: it waits for a time slice of 4 ms, where the operator takes 0.1 ms. On
2 cores a product of 128 rows followed by torch's multiplication of 300,000 numbers takes 8 ms instead of 0.11 ms.

How it is seen: the CPU time of BLAS's threads while training runs (which they are is found out after the run), and such
a pair after the run, with all of BLAS's threads and with one. The step's dearest operators are called again after the
run, with no BLAS beside them.

Saving: operators at 1.1 times what they take after the run, from 0.95 to 1.5 (0.93 to 1.29 was seen in six loops
without workers, which leave them the caches). Lines that call BLAS lose as much, times what the call loses in the pair
for what the operator does, at best all that it does there, at worst nothing: large products gain by threads.

Stays quiet when: BLAS's threads are busy for less than 10 % of the loop, the pair is no quicker with one thread, both
savings together are below 5 %, or BLAS has no threads of its own (NumPy with MKL shares torch's).

Fix: os.environ["OPENBLAS_NUM_THREADS"] = "1" before NumPy is imported, or in the job's environment; or
threadpoolctl.threadpool_limits(1, "blas") before the loop. Where single calls take 10 ms and more, give torch one
thread instead.

Sources: threadpoolctl documentation; OpenBLAS FAQ (multi-threaded applications); NumPy documentation (number of threads
used for linear algebra).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import sampled_lines, scale_lines, shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Change, Factor, Scale

TRIED = {"best": 0.95, "expected": 1.1, "worst": 1.5}  # see "Saving" above
MIN_BUSY = 0.1  # of the loop: they hold nothing up for longer than they compute or spin
MIN_TRIED = 0.1  # of the annotated step's operators; which are held up there is chance, and so is their share
MIN_HELD = 1.5  # times as long as with one thread; less is noise, or a BLAS that does not spin
MIN_SAVING = 0.05  # of loop time: the setting is a whole process's
CALLS = (
    *(".linalg", "linalg.", " @ ", ".dot(", "np.matmul", "numpy.matmul", "einsum(", "tensordot(", "lstsq(", "eigh("),
    *("svd(", "inv(", "solve(", "cholesky(", "corrcoef(", "np.cov(", "polyfit(", ".fit(", "fit_transform(", "PCA("),
)
WORK = ("python", "forward", "backward", "optimizer")
SETTING = 'os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported'

RULE = Rule(
    title="NumPy's threads and torch's hold each other up",
    bottleneck="host",
    needs=("steps", "costs", "partition", "ops", "lines", "replay", "source"),
)


def check(run: Evidence) -> Answer:
    """Ask whether BLAS's threads were busy, and what the trials say of one thread."""
    threads, busy = run.costs.get("blas.threads"), run.costs.get("blas.busy", 0.0)
    if not threads:
        return NotApplicable("no BLAS with threads of its own beside torch's (looked for on Linux)")
    if busy < MIN_BUSY:
        return Passed(f"NumPy's BLAS kept its other threads busy for {busy:.1%} of the loop")
    call, after, call_alone, after_alone = (
        run.costs.get(f"blas.{name}_ms") for name in ("call", "after", "call_alone", "after_alone")
    )
    if not call or not after or not call_alone or not after_alone:
        return NotChecked("NumPy's BLAS was busy beside training, but the run ended before one thread could be tried")
    held = (call + after) / (call_alone + after_alone)
    if held < MIN_HELD:
        return Passed(f"a call of NumPy's BLAS and an operator take {held:.1f} times as long as with one thread")
    lines = [line for line in sampled_lines(run) if _calls_blas(run, line)]
    operators = _operators(run)
    lost_s = sum(change.seconds * (1 - change.factor.expected) for change in operators)
    lost_s *= max(0.0, call - call_alone) / max(after - after_alone, 0.1 * after)
    called_s = sum(line.seconds for line in lines)
    least = min(1.0, call_alone / call)
    left = Factor(least, max(least, 1 - lost_s / called_s) if called_s else 1.0, 1.0)
    changes: list[Change] = [*operators, *scale_lines(lines, left)]
    loop_s = run.partition.loop_s
    if run.replay.outlook(changes).saved_s < MIN_SAVING * loop_s:
        return Passed("one thread for NumPy's BLAS would hardly be felt in this loop")
    spent: dict[Site, float] = {}
    for line in lines:
        spent[line.site] = spent.get(line.site, 0.0) + line.seconds
    site = run.source.find("import numpy", "from numpy")
    return Diagnosis(
        summary=(
            f"NumPy's BLAS kept {threads:.0f} threads beside torch's, busy or spinning for {busy:.0%} of the loop. "
            f"Tried here, a small product and the operator after it take {call + after:.2f} ms in turn; "
            f"{call_alone + after_alone:.2f} ms with one thread for BLAS."
        ),
        where=shares(spent) or place(site),
        fix=Fix(
            text=(
                "One thread for NumPy's BLAS: OPENBLAS_NUM_THREADS=1, set before NumPy is imported. Where single calls "
                "take 10 ms and more, give torch one thread instead: torch.set_num_threads(1)."
            ),
            diff=_edit(run, site),
        ),
        changes=changes,
        basis="calibrated replay",
        evidence={
            "threads of BLAS": int(threads),
            "busy besides the caller's, of the loop": round(busy, 3),
            "a product and an operator in turn, ms": round(call + after, 3),
            "with one thread for BLAS, ms": round(call_alone + after_alone, 3),
            "lines that call BLAS, s": round(sum(spent.values()), 3),
        },
    )


def _calls_blas(run: Evidence, line: LineTime) -> bool:
    """Whether the statement holds linear algebra and nothing of torch's, by name."""
    first, last = run.source.statement(line.site)
    text = "\n".join(run.source.lines(line.file)[first - 1 : last])
    return "torch." not in text and line.package != "torch" and any(word in text for word in CALLS)


def _operators(run: Evidence) -> list[Scale]:
    """Operators at what they take where no BLAS is at work."""
    every, tried, now = (run.costs.get(f"operators.apart.{name}_ms") for name in ("all", "tried", "now"))
    if not every or not tried or not now or tried < MIN_TRIED * every:
        return []
    share = run.ops.shares.operators
    recorded_ms = share * sum(run.partition.bucket_s(bucket, "step") for bucket in WORK) / run.steps.count * 1e3
    if not recorded_ms:
        return []
    alone_ms = now + max(0.0, every - tried) * min(1.0, now / recorded_ms)  # the others are held up like all
    left = {case: min(1.0, alone_ms * times / recorded_ms) for case, times in TRIED.items()}
    factor = Factor(left["best"], left["expected"], left["worst"])
    return [
        Scale(bucket, "step", share * seconds, factor)
        for bucket in WORK
        if (seconds := run.partition.bucket_s(bucket, "step")) > 0
    ]


def _edit(run: Evidence, site: Site | None) -> str:
    line = [run.source.line(site.file, site.line)] if site is not None else []
    return diff(line, ["import os", SETTING, *line])
