"""A debugging aid is switched on while training.

What it is: torch.autograd.detect_anomaly, a trace or profile function (debugger, coverage), Python's development mode,
or environment variables for debugging.

Why it is slow: anomaly detection records a Python traceback for every operator and checks every gradient for NaN; trace
functions run Python code for every line.

How it is seen: the switches themselves, read while the loop runs. For anomaly detection the traceback of one autograd
node is measured after the run, as a cost of its frames and files, put at what stack samples find above the formatting
of tracebacks in the loop, and multiplied by the nodes of a step in the profiler window. Checks for NaN are operators of
that window. Where there are no such samples, a node is taken to cost what one cost in the short trial.

Stays quiet when: nothing of the kind is on. Environment variables alone are named but given no saving on a CPU.

Fix: remove it, or keep it to the steps that are being debugged.

Sources: PyTorch Performance Tuning Guide (disable debugging APIs); torch.autograd.detect_anomaly documentation.
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.timeline.loop_changes import Factor, Scale

UNMEASURED = Factor(0.3, 0.5, 0.9)  # of forward and backward stays; 0.2 was measured on a tiny model, 0.9 on large ones
TRACED = Factor(0.4, 0.7, 0.95)  # of Python between operators stays once a debugger or coverage is off
_SPREAD = 0.4  # a deeper call stack makes each traceback dearer than the measured one, a shallow one cheaper
_LEAST = 0.3  # of the traceback that was measured: even an empty one is made and kept
_CHECK = ("aten::isnan", "aten::ne", "aten::_is_any_true", "aten::any", "aten::item", "aten::_local_scalar_dense")
_NODE = "autograd::engine::evaluate_function"

RULE = Rule(
    title="A debugging aid slows training down",
    bottleneck="host",
    needs=("steps", "settings", "costs", "ops", "partition", "source", "tracebacks"),
)


def check(run: Any) -> Answer:
    """Read the switches."""
    found = []
    if run.settings.get("anomaly"):
        found.append(_anomaly(run))
    if run.settings.get("tracing"):
        found.append(_tracing(run))
    names = run.settings.get("debug_env") or []
    if not found:
        return Passed(f"on, without cost here: {', '.join(names)}" if names else "no debugging aid is on")
    return found


def _anomaly(run: Any) -> Diagnosis:
    site = run.source.find("detect_anomaly")
    node_us = run.costs.get("anomaly.node_us")
    nodes = sum(op.count for op in run.ops.ops if op.name.startswith(_NODE))
    spent = {bucket: run.partition.bucket_s(bucket, "step") for bucket in ("forward", "backward", "python")}
    traceback_us = _traceback_us(run)
    basis = "calibrated replay"
    if traceback_us and nodes:
        made_s = traceback_us * nodes * run.steps.count / 1e6
        saved = {bucket: made_s * share for bucket, share in run.tracebacks.shares.items() if bucket in spent}
        saved["backward"] = saved.get("backward", 0.0) + _checks_ms(run) * run.steps.count / 1000
        left = {bucket: _left(seconds, spent[bucket]) for bucket, seconds in saved.items()}
    elif node_us and nodes and (total := spent["forward"] + spent["backward"]):
        left = dict.fromkeys(("forward", "backward"), _left(node_us * nodes * run.steps.count / 1e6, total))
    else:
        left = dict.fromkeys(("forward", "backward"), UNMEASURED)
        basis = "stated range"
    line = run.source.line(site.file, site.line) if site else ""
    return Diagnosis(
        title="Anomaly detection is on",
        summary=(
            f"torch.autograd.detect_anomaly records a traceback for each of {nodes:.0f} operators a step and checks "
            "each of their gradients."
        ),
        where=place(site),
        fix=Fix(
            text="Switch it off; turn it on again only to find a NaN.",
            diff=diff([line], ["# " + line]) if line else "",
        ),
        changes=[Scale(bucket, "step", spent[bucket], factor) for bucket, factor in left.items() if spent[bucket] > 0],
        basis=basis,  # type: ignore[arg-type]
        evidence={
            "autograd nodes a step": round(nodes),
            "extra cost of a node, measured apart, µs": round(node_us, 1) if node_us else "not measured",
            "traceback of a node of this loop, µs": round(traceback_us, 1) if traceback_us else "not measured",
        },
    )


def _left(saved_s: float, spent_s: float) -> Factor:
    left = max(0.05, 1 - saved_s / spent_s) if spent_s > 0 else 1.0
    return Factor(max(0.02, left - _SPREAD * (1 - left)), left, left + _SPREAD * (1 - left))


def _traceback_us(run: Any) -> float:
    """What the traceback of one node takes in the loop, by its frames and files; 0 where that was not measured."""
    made, costs = run.tracebacks, run.costs
    measured_us = costs.get("anomaly.traceback_us", 0.0)
    if made is None or not measured_us:
        return 0.0
    frames, files = made.frames - costs.get("anomaly.frames", 0.0), made.files - costs.get("anomaly.files", 0.0)
    more_us = frames * costs.get("anomaly.frame_us", 0.0) + files * costs.get("anomaly.file_us", 0.0)
    return max(_LEAST * measured_us, float(measured_us + more_us))


def _checks_ms(run: Any) -> float:
    """What looking for NaN takes of a step, as profiled: of operators that the loop calls itself, too, its part."""
    ops = {op.name: op for op in run.ops.ops if op.name in _CHECK}
    checks = ops[_CHECK[0]].count if _CHECK[0] in ops else 0.0
    return float(sum(op.self_ms * min(1.0, checks / op.count) for op in ops.values() if op.count))


def _tracing(run: Any) -> Diagnosis:
    site = run.source.find("settrace", "setprofile", "pdb")
    return Diagnosis(
        title="A debugger, profiler or coverage tool traces every line",
        summary="A Python trace function is set on the training thread: it runs for every call and line.",
        where=place(site),
        fix=Fix(text="Run training without the debugger, coverage or profiler."),
        changes=[Scale("python", "step", run.partition.bucket_s("python", "step"), TRACED)],
        basis="stated range",
        evidence={"trace function": "set"},
    )
