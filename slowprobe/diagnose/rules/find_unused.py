"""DistributedDataParallel looks for unused parameters in every pass, and there are none.

What it is: `find_unused_parameters=True`, often kept to silence an error of an earlier model, where every parameter
gets a gradient in every pass.

Why it is slow: each forward pass walks the graph of the whole backward pass, and each backward pass ends with one more
exchange, of which parameters were used: a collective that nothing hides. Buckets are not ordered anew by the first
pass, either.

How it is seen: torch's own reducer says which parameters it found unused and whether that was the same in every pass;
no parameter and always the same means none ever. The exposed time of the last collective of each backward pass is from
the profiler window.

Saving: a replay without that last collective. It runs beside the others, on the same cores and the same network: of the
time that nothing hides, its share of the time in collectives is expected to go, taken as short as the shortest in the
window, since longer ones may have waited for another process. At worst only what it takes after all others have ended
goes; at best all of its time, and the walk through the graph as much again, which no recording divides from the forward
pass. Where a step is no longer than its messages that is too careful: two processes on two cores with steps of 3 ms
gained 1.22 to 1.47 in three pairs, and 1.02 to 1.15 was predicted.

Stays quiet when: parameters were unused in some pass, the graph is declared static (then nobody looks), several models
are wrapped, operators run on an accelerator, or less than 1 % of the loop could go.

Fix: leave find_unused_parameters out. Where some parameters are never used, always the same, static_graph=True spares
the search, too.

Sources: torch.nn.parallel.DistributedDataParallel documentation (find_unused_parameters, static_graph); the reducer's
own warning ("did not find any unused parameters in the forward pass"); composer#9 (5 %).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.run.replica_record import Replicas
from slowprobe.timeline.exchanges import Exchange
from slowprobe.timeline.loop_changes import UNCHANGED, Factor, Scale

MIN_PASSES = 16  # that the reducer looked at; after fewer, a branch that is taken now and then may still come

RULE = Rule(
    title="Unused parameters are looked for in every pass",
    bottleneck="communication",
    needs=("steps", "replicas", "exchange", "partition", "settings", "source"),
)


def check(run: Evidence) -> Answer:
    """Ask the reducer whether the search has ever found any."""
    replicas = run.replicas
    if replicas is None:
        return NotApplicable("no model is wrapped in DistributedDataParallel")
    if replicas.models > 1:
        return NotChecked("several models are wrapped")
    if not replicas.find_unused or replicas.static_graph:
        return Passed("no pass looks for unused parameters")
    if replicas.same_graph is None or replicas.synced < MIN_PASSES:
        return NotChecked("whether parameters are unused now and then cannot be told")
    if replicas.unused_bytes or not replicas.same_graph:
        always = (
            "the same in every pass: static_graph=True would spare the search" if replicas.same_graph else "varying"
        )
        return Passed(f"some parameters are unused, {always}")
    if run.settings.get("devices"):
        return NotChecked("no parameter was unused; what the search takes on an accelerator is not known")
    found = run.exchange
    if found is None or not found.step_ms:
        return NotChecked("no parameter was unused; the profiler window shows no exchange of gradients")
    return _diagnose(run, replicas, found)


def _diagnose(run: Evidence, replicas: Replicas, found: Exchange) -> Diagnosis:
    partition = run.partition
    last_ms = max(found.last_ms, found.exposed_ms * found.last_surely)
    most_ms = max(last_ms, found.exposed_ms * found.last_share)
    last_s = partition.scope_s("step") * last_ms / found.step_ms
    most_s = partition.scope_s("step") * most_ms / found.step_ms
    waiting_s = min(most_s, partition.bucket_s("communication", "step"))
    backward_s = min(most_s - waiting_s, partition.bucket_s("backward", "step"))
    walk_s = min(most_s, partition.bucket_s("forward", "step"))
    left = Factor(0.0, 1 - last_ms / most_ms, 1 - found.last_ms / most_ms) if most_ms else UNCHANGED
    parts = (
        ("communication", waiting_s, left),
        ("backward", backward_s, left),
        ("forward", walk_s, Factor(0.0, 1.0, 1.0)),
    )
    edit = set_arguments(run.source, replicas.site, "DistributedDataParallel", find_unused_parameters="False")
    return Diagnosis(
        summary=(
            f"In {replicas.synced} passes the reducer found no unused parameter. The exchange about it, at the end of "
            f"each backward pass, takes {last_s / partition.loop_s:.1%} of loop time, and each forward pass walks "
            "the whole graph."
        ),
        where=place(replicas.site),
        fix=Fix(
            text=(
                "Leave find_unused_parameters out. Where a branch of the model may leave parameters out later in "
                "training, keep it: without it such a pass ends in an error."
            ),
            diff=edit,
        ),
        changes=[Scale(bucket, "step", seconds, factor) for bucket, seconds, factor in parts if seconds > 0],
        evidence={
            "passes looked at": replicas.synced,
            "processes": replicas.world_size,
            "last collective of a pass, ms a profiled step": round(last_ms, 3),
            "a profiled step, ms": round(found.step_ms, 3),
        },
    )
