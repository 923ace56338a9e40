"""Where in the partition the time of operators is: the profiler window knows them, the partition knows the run."""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence


def step_seconds(run: Evidence, step_ms: float, forward_ms: float, backward_ms: float = 0.0) -> dict[str, float]:
    """Seconds of the run's steps in such operators, by bucket; `step_ms`: of the window in which they were timed.

    What is called outside a module is in Python's bucket.
    """
    steps_s = run.partition.scope_s("step")
    free_s = run.partition.bucket_s("python", "step")
    found: dict[str, float] = {}
    for bucket, ms in (("forward", forward_ms), ("backward", backward_ms)):
        wanted_s = steps_s * ms / step_ms if step_ms else 0.0
        inside_s = min(wanted_s, run.partition.bucket_s(bucket, "step"))
        outside_s = min(wanted_s - inside_s, free_s)
        free_s -= outside_s
        for name, seconds in ((bucket, inside_s), ("python", outside_s)):
            if seconds > 0:
                found[name] = found.get(name, 0.0) + seconds
    return found
