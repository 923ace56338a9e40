"""Another Python thread takes the interpreter from the training thread.

What it is: a thread of the same process (prefetching, logging, statistics, a server) runs Python code while the model
trains.

Why it is slow: only one thread runs Python at a time. The training thread needs the interpreter to start every operator
and gives it up in most of them; to get it back it waits until the other thread's turn is over, 5 ms by default.

How it is seen: stack samples of the other threads with their CPU time; and the training thread off the CPU within
steps, less the time in which it was ready and had no core. Both have to be there: a thread that leaves the interpreter
alone (NumPy, compression) uses CPU and keeps nobody waiting.

Saving: of that waiting a fifth is expected to remain when the thread's work is in another process (that has to be fed),
nothing at best, 0.7 at worst.

Stays quiet when: it comes to less than 5 % of loop time, the training thread waits in queues and locks of its own, no
other thread works, or the machine does not tell when a thread had no core.

Fix: multiprocessing.Process or a DataLoader's workers instead of threading.Thread.

Sources: Python documentation (sys.setswitchinterval); Beazley, "Understanding the Python GIL" (2010).
"""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import may_wait_for_device, shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.contention import OtherWork
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.05  # of loop time
MAX_WAITING = 0.95  # of a line; two threads that take turns leave each other more, so it waits for something else
MAX_PLACES = 4
REMAINING = Factor(0.0, 0.2, 0.7)  # see "Saving" above
BUCKETS = ("python", "forward", "backward", "optimizer", "zero_grad")
OWN_WAITS = ("get", "put", "wait", "acquire", "join", "result", "recv", "select", "poll", "sleep")

RULE = Rule(
    title="Another Python thread holds the training thread up",
    bottleneck="host",
    needs=("steps", "lines", "other_threads", "partition", "source", "settings"),
    closer_than=("external-wait",),
)


def check(run: Evidence) -> Answer:
    """Compare the training thread's waiting with the work of other threads."""
    other: OtherWork | None = run.other_threads
    if other is None:
        return NotApplicable("no other Python thread was at work")
    loop_s = run.partition.loop_s
    if other.cpu_s < MIN_SHARE * loop_s:
        return Passed(f"other Python threads used {other.cpu_s / loop_s:.1%} of the loop's time")
    if may_wait_for_device(run):
        return NotChecked("the training thread may wait for an accelerator, too")
    if other.run_delay_s is None:
        return NotChecked("this machine does not tell when a thread had no core")
    off = {bucket: _off_cpu_s(run, bucket) for bucket in BUCKETS}
    off_s = sum(off.values())
    lost_s = min(max(0.0, off_s - other.run_delay_s), other.cpu_s)
    if lost_s < MIN_SHARE * loop_s:
        return Passed(
            f"other Python threads used {other.cpu_s / loop_s:.0%} of the loop's time, "
            f"and the training thread waited for {lost_s / loop_s:.1%} of it"
        )
    return _diagnose(run, other, {bucket: seconds * lost_s / off_s for bucket, seconds in off.items()}, off_s)


def _off_cpu_s(run: Evidence, bucket: str) -> float:
    return sum(line.seconds * line.waiting for line in _held_up(run, bucket))


def _held_up(run: Evidence, bucket: str) -> list[LineTime]:
    lines: list[LineTime] = run.lines
    return [
        line
        for line in lines
        if (line.scope, line.bucket) == ("step", bucket)
        and line.waiting <= MAX_WAITING
        and line.callee.rpartition(".")[2] not in OWN_WAITS
    ]


def _diagnose(run: Evidence, other: OtherWork, lost: dict[str, float], off_s: float) -> Diagnosis:
    loop_s, lost_s = run.partition.loop_s, sum(lost.values())
    where = shares(dict(other.lines[:MAX_PLACES]))
    top = other.lines[0][0] if other.lines else None
    name = f"{top.function}() ({top.file.rsplit('/', 1)[-1]}:{top.line})" if top else f"{other.function}()"
    return Diagnosis(
        summary=(
            f"Another thread runs {name} for {other.cpu_s / loop_s:.0%} of the loop's time, and the training thread "
            f"waits for the interpreter meanwhile: {lost_s / loop_s:.0%} of it."
        ),
        where=where,
        fix=Fix(
            text=(
                "Move this work to another process: multiprocessing.Process or a pool in place of the thread, a "
                "DataLoader's workers where it prepares data."
            )
        ),
        changes=[Scale(bucket, "step", seconds, REMAINING) for bucket, seconds in lost.items() if seconds > 0],
        basis="stated range",
        covers=[line.site for bucket in lost for line in _held_up(run, bucket)],
        evidence={
            "CPU of other Python threads, seconds": round(other.cpu_s, 3),
            "training thread off the CPU in steps, seconds": round(off_s, 3),
            "of it ready without a core, seconds": round(other.run_delay_s or 0.0, 3),
            "innermost function": other.function,
        },
    )
