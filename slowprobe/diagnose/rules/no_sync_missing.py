"""Gradients are exchanged between processes after every micro-batch, though they are used once for several.

What it is: gradient accumulation with DistributedDataParallel without `no_sync()`: several backward passes for each
step of the optimizer, and an all-reduce of all gradients in each of them.

Why it is slow: the sums that the optimizer uses are the same when only the last pass exchanges them. Each of the others
copies all gradients into buckets, sends them, waits for the slowest process and copies them back.

How it is seen: of each backward pass, whether the forward pass before it asked for the exchange, and whether the next
thing to use gradients is another backward pass. In the profiler window: the collectives that the backward engine
launched, the time of them in which the training thread ran no operator, and the copies to and from buckets.

Saving: a replay without that time in the passes whose gradients are only added to (3 of 4 with four micro-batches). At
worst what a collective takes longer than the shortest of its bucket is waiting for a process that is always slower, and
stays; at best what ran beside collectives was held up by all of their time, for they take a core, too. Measured with
two processes of one thread on two cores, three layers of 2048, four micro-batches: 1.57 predicted; 1.58 between the
recorded loops, 1.8 between the bare ones.

Stays quiet when: an exchange is used by the next step of the optimizer or dropped by zero_grad, several models are
wrapped, or less than 3 % of the time could go. On an accelerator the exposed part of communication is replayed.

Fix: forward and backward of all micro-batches but the last under `with model.no_sync():`. Both belong under it: what
decides is the forward pass. It keeps what the processes add up apart until then: no more memory is needed.

Sources: torch.nn.parallel.DistributedDataParallel documentation (no_sync); PyTorch Performance Tuning Guide (skip
unnecessary all-reduce).
"""

from __future__ import annotations

import ast
from typing import Any

from slowprobe.diagnose.device_parts import share as share_of
from slowprobe.diagnose.edits import diff, place, statement_lines
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.run.replica_record import Replicas
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Change, Factor, Scale

MIN_NEEDLESS = 0.25  # of the exchanges; two passes an update make half, fewer are odd micro-batches at an epoch's end
MIN_SHARE = 0.03  # of loop time; below, nobody would feel it
HIDDEN = 0.3  # of communication on an accelerator that is needless, at worst; the rest waits for a slower rank

RULE = Rule(
    title="Gradients are exchanged after every micro-batch",
    bottleneck="communication",
    needs=(
        "steps",
        "replicas",
        "accumulation",
        "exchange",
        "device",
        "forwards",
        "backwards",
        "partition",
        "settings",
        "source",
    ),
)


def check(run: Evidence) -> Answer:
    """Count exchanges whose result is only added to by the next one."""
    replicas = run.replicas
    if replicas is None:
        return NotApplicable("no model is wrapped in DistributedDataParallel")
    if replicas.world_size < 2:
        return NotApplicable("one process trains: nothing is exchanged")
    if replicas.models > 1:
        return NotChecked("several models are wrapped; which of them a backward pass belongs to is not known")
    needless = needless_share(run, replicas)
    if needless < MIN_NEEDLESS:
        return Passed(f"{needless:.0%} of the exchanges of gradients are followed by another before they are used")
    changes, share, seen = _on_device(run, needless) if run.settings.get("devices") else _on_cpu(run, needless)
    if share < MIN_SHARE:
        return Passed(f"exchanges that no_sync() would spare take {share:.1%} of the time")
    return _diagnose(run, replicas, needless, changes, share, seen)


def needless_share(run: Evidence, replicas: Replicas) -> float:
    """Of the exchanges, those whose gradients only the next backward pass adds to."""
    counted = run.accumulation
    if not counted.backwards or not replicas.backwards or not replicas.synced:
        return 0.0
    exchanges = replicas.synced / replicas.backwards
    needed = 1 - counted.added / counted.backwards
    return float(max(0.0, 1 - needed / exchanges))


def _on_cpu(run: Evidence, needless: float) -> tuple[list[Change], float, dict[str, Any]]:
    found = run.exchange
    if found is None or not found.step_ms:
        return [], 0.0, {}
    steps_s = run.partition.scope_s("step")
    waited_s, copied_s = (steps_s * ms / found.step_ms for ms in (found.exposed_ms, found.copied_ms))
    known_s = min(waited_s, run.partition.bucket_s("communication", "step"))
    backward_s = run.partition.bucket_s("backward", "step")
    rest_s = min(waited_s - known_s, backward_s)
    copied_s = min(copied_s, backward_s - rest_s)
    hidden_s = min(steps_s * found.hidden_ms / found.step_ms, backward_s - rest_s - copied_s)
    waiting = Factor(1 - needless, 1 - needless, 1 - needless * found.surely)
    gone = Factor(1 - needless, 1 - needless, 1 - needless)
    beside = Factor(1 - needless, 1.0, 1.0)
    parts = (
        ("communication", known_s, waiting),
        ("backward", rest_s, waiting),
        ("backward", copied_s, gone),
        ("backward", hidden_s, beside),
    )
    changes: list[Change] = [Scale(bucket, "step", seconds, left) for bucket, seconds, left in parts if seconds > 0]
    seen = {
        "collectives that nothing hid, ms a profiled step": round(found.exposed_ms, 3),
        "copies to and from buckets, ms a profiled step": round(found.copied_ms, 3),
        "a profiled step, ms": round(found.step_ms, 3),
    }
    return changes, needless * (known_s + rest_s + copied_s) / run.partition.loop_s, seen


def _on_device(run: Evidence, needless: float) -> tuple[list[Change], float, dict[str, Any]]:
    facts = run.device
    if facts is None:
        return [], 0.0, {}
    exposed = share_of(facts, facts.partition.exposed_communication_ns)
    left = Factor(1 - needless, 1 - needless, 1 - needless * HIDDEN)
    return (
        [Faster("communication", left)],
        needless * exposed,
        {"exposed communication, of the time": round(exposed, 4)},
    )


def _diagnose(
    run: Evidence, replicas: Replicas, needless: float, changes: list[Change], share: float, seen: dict[str, Any]
) -> Diagnosis:
    passes = run.accumulation.passes_an_update
    backward = next((facts.where for facts in run.backwards if facts.where is not None), None)
    forward = next((facts.where for facts in run.forwards if facts.attrs.get("training")), None)
    lines = _together(run, forward, backward)
    count, name = max(2, round(passes)), _name(run, replicas)
    header = f"with {name}.no_sync() if (i + 1) % {count} else contextlib.nullcontext():  # i: of the micro-batch"
    return Diagnosis(
        title=f"Gradients are exchanged {count} times for one update",
        summary=(
            f"The optimizer uses the sum of {passes:.1f} backward passes, and {needless:.0%} of the exchanges between "
            f"{replicas.world_size} processes only add to the next one: {share:.0%} of the time."
        ),
        where=place(backward, forward, replicas.site),
        fix=Fix(
            text=(
                f"Run forward and backward of all micro-batches but the last under {name}.no_sync(): the sums are the "
                "same, and exchanged once."
            ),
            diff=diff(lines, [header, *(f"    {line}" for line in lines)]) if lines else f"+{header}",
        ),
        changes=changes,
        evidence={
            "backward passes an update": round(passes, 2),
            "exchanges that are not needed, of all": round(needless, 4),
            "processes": replicas.world_size,
            "gradients, bytes": replicas.parameter_bytes,
            **seen,
        },
    )


def _together(run: Evidence, forward: Any, backward: Any) -> list[str]:
    """The statements of the forward and the backward pass, where they follow each other in one function."""
    second = statement_lines(run.source, backward)
    if forward is None or backward is None or forward == backward:
        return second
    first = statement_lines(run.source, forward)
    near = forward.file == backward.file and forward.function == backward.function
    return [*first, *second] if near and 0 < backward.line - forward.line <= len(first) else []


def _name(run: Evidence, replicas: Replicas) -> str:
    """What the script calls the wrapped model."""
    try:
        statement = ast.parse("\n".join(statement_lines(run.source, replicas.site))).body[0]
    except (SyntaxError, IndexError):
        return "model"
    return ast.unparse(statement.targets[0]) if isinstance(statement, ast.Assign) else "model"
