"""Ranks of one machine that each run their operators on all of its cores."""

from __future__ import annotations

import math

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.step_alone import StepAlone
from slowprobe.timeline.uncontended import TRIED

MIN_SAVING = 0.10  # of loop time: the trials stray by as much, and the setting is a whole process's
SPARE = 1.05  # of the cores wanted at a time; up to there everything fits
_WORK = ("forward", "backward", "optimizer")


def is_crowded(run: Evidence) -> bool:
    """Whether the ranks' operators want more cores than there are; on a device they want none."""
    if run.ranks_here < 2 or run.settings.get("devices"):
        return False
    return (run.operator_threads or 1) * run.ranks_here > SPARE * run.cores


def crowded_ranks(run: Evidence) -> Answer:
    """Replay operators as they were tried alone, on this rank's part of the cores."""
    threads, alone = run.operator_threads or 1, run.step_alone
    said = f"{run.ranks_here} ranks with {threads} threads each on {run.cores:.1f} cores"
    if alone is None:
        return NotChecked(f"{said}, but operators could not be tried alone")
    count = max(1, math.floor(run.cores / run.ranks_here))
    factor = _factor(run, alone, threads, count)
    seconds = {bucket: alone.share * run.partition.bucket_s(bucket, "step") for bucket in _WORK}
    saved_s = (1 - factor.expected) * sum(seconds.values())
    if saved_s < MIN_SAVING * run.partition.loop_s:
        return Passed(f"{said}, but {count} each would gain {saved_s / run.partition.loop_s:.0%}")
    site, group = run.source.find("set_num_threads(", "OMP_NUM_THREADS"), run.source.find("init_process_group")
    by_call = site is None or "OMP" not in run.source.line(site.file, site.line)
    line = f"torch.set_num_threads({count})" if by_call else f'os.environ["OMP_NUM_THREADS"] = "{count}"'
    return Diagnosis(
        title="Ranks on one machine each run operators on all its cores",
        summary=(
            f"{said}: an operator ends with its slowest thread, and each thread shares its core with those of the "
            f"other rank{'s' if run.ranks_here > 2 else ''}."
        ),
        where=place(*([site] if site else []), group),
        fix=Fix(
            text=f"Give each rank its part of the cores: torch.set_num_threads({count}) in each process before the "
            f"loop, or OMP_NUM_THREADS={count} for all of them.",
            diff=diff([run.source.line(site.file, site.line)] if site else [], [line]),
        ),
        changes=[Scale(bucket, "step", spent, factor) for bucket, spent in seconds.items() if spent > 0],
        basis="calibrated replay",
        evidence={
            "ranks on this machine": run.ranks_here,
            "operator threads of each": threads,
            "cores": run.cores,
            "recommended operator threads": count,
            "operators, share of the step": round(alone.share, 3),
            "operators alone, ms a step": round(alone.operators_s * 1e3, 3),
            "times as long on one thread": round(alone.single, 2),
        },
    )


def _factor(run: Evidence, alone: StepAlone, threads: int, count: int) -> Factor:
    """What remains of the operators' time on `count` threads that nobody holds up."""
    steps_s = sum(run.partition.bucket_s(bucket, "step") for bucket in _WORK) / max(run.steps.count, 1)
    recorded_s = alone.share * steps_s
    region = alone.region(threads, count)
    left = {
        case: min(1.0, alone.operators_s * region * TRIED[case] / recorded_s) if recorded_s else 1.0 for case in TRIED
    }
    return Factor(left["best"], left["expected"], left["worst"])
