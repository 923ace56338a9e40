"""A debugging aid is switched on while training.

What it is: torch.autograd.detect_anomaly, a trace or profile function (debugger, coverage), Python's development mode,
or environment variables for debugging.

Why it is slow: anomaly detection records a Python traceback for every operator and checks every gradient for NaN; trace
functions run Python code for every line.

How it is seen: the switches themselves, read while the loop runs; the line named is the block around the steps, or the
switch that stays on. For anomaly detection the traceback of one autograd node is measured after the run, as a cost of
its frames and files, put at what stack samples find above the formatting of tracebacks in the loop, and multiplied by
the nodes of a step in the profiler window. Checks for NaN are operators of that window. Where there are no such
samples, a node is taken to cost what one cost in the short trial.

Stays quiet when: nothing of the kind is on. Environment variables alone are named but given no saving on a CPU.

Fix: remove it, or keep it to the steps that are being debugged.

Sources: PyTorch Performance Tuning Guide (disable debugging APIs); torch.autograd.detect_anomaly documentation.
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.loop_syntax import calls_of
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.diagnose.syntax import called_name, end_of
from slowprobe.run.record import Site
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
    needs=("steps", "settings", "costs", "ops", "partition", "source", "backwards", "tracebacks"),
)


def check(run: Evidence) -> Answer:
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


def _anomaly(run: Evidence) -> Diagnosis:
    site = _switched_on(run) or run.source.find("detect_anomaly")
    node_us = run.costs.get("anomaly.node_us")
    nodes = sum(op.count for op in run.ops.ops if op.name.startswith(_NODE))
    spent = {bucket: run.partition.bucket_s(bucket, "step") for bucket in ("forward", "backward", "python")}
    traceback_us = _traceback_us(run)
    basis = "calibrated replay"
    if traceback_us and nodes:
        made_s = traceback_us * nodes * run.steps.count / 1e6
        shares = run.tracebacks.shares if run.tracebacks is not None else {}
        saved = {bucket: made_s * share for bucket, share in shares.items() if bucket in spent}
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


def _switched_on(run: Evidence) -> Site | None:
    """The line that has anomaly detection on during the steps: a block around them, or a switch that is never put back.

    A block around something else (a check before training) is over by then.
    """
    backward = [facts.where for facts in run.backwards if facts.where is not None]
    switches: list[Site] = []
    for file in run.source.files:
        tree = run.source.tree(file)
        blocks = [node for node in ast.walk(tree) if isinstance(node, (ast.With, ast.AsyncWith))]
        heads = {id(item.context_expr): node for node in blocks for item in node.items}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not _switches_on(node):
                continue
            block = heads.get(id(node))
            if block is not None and any(_leads_to(run, file, block, site) for site in backward):
                return Site(file, node.lineno, "")
            if block is None and called_name(node) != "detect_anomaly":
                switches.append(Site(file, node.lineno, ""))
    return switches[0] if switches else None


def _switches_on(call: ast.Call) -> bool:
    """``set_detect_anomaly(True)``, ``detect_anomaly()``, ``Trainer(detect_anomaly=True)``."""
    if called_name(call) == "detect_anomaly":
        return True
    given = [word.value for word in call.keywords if word.arg in ("mode", "detect_anomaly")]
    if called_name(call) == "set_detect_anomaly":
        given = [*call.args[:1], *given]
    return bool(given) and not (isinstance(given[0], ast.Constant) and not given[0].value)


def _leads_to(run: Evidence, file: str, block: ast.With | ast.AsyncWith, site: Site) -> bool:
    """Whether a line runs inside a block: it stands there, or in a function that is called from there."""
    if file == site.file and block.lineno <= site.line <= end_of(block):
        return True
    seen: set[str] = set()
    function = run.source.function_around(site.file, site.line)
    while function is not None and function.name not in seen:
        seen.add(function.name)
        lines = list(calls_of(run.source.tree(file), function.name))
        if any(block.lineno <= line <= end_of(block) for line in lines):
            return True
        function = next(
            (around for line in lines if (around := run.source.function_around(file, line)) is not None), None
        )
    return False


def _left(saved_s: float, spent_s: float) -> Factor:
    left = max(0.05, 1 - saved_s / spent_s) if spent_s > 0 else 1.0
    return Factor(max(0.02, left - _SPREAD * (1 - left)), left, left + _SPREAD * (1 - left))


def _traceback_us(run: Evidence) -> float:
    """What the traceback of one node takes in the loop, by its frames and files; 0 where that was not measured."""
    made, costs = run.tracebacks, run.costs
    measured_us = costs.get("anomaly.traceback_us", 0.0)
    if made is None or not measured_us:
        return 0.0
    frames, files = made.frames - costs.get("anomaly.frames", 0.0), made.files - costs.get("anomaly.files", 0.0)
    more_us = frames * costs.get("anomaly.frame_us", 0.0) + files * costs.get("anomaly.file_us", 0.0)
    return float(max(_LEAST * measured_us, measured_us + more_us))


def _checks_ms(run: Evidence) -> float:
    """What looking for NaN takes of a step, as profiled: of operators that the loop calls itself, too, its part."""
    ops = {op.name: op for op in run.ops.ops if op.name in _CHECK}
    checks = ops[_CHECK[0]].count if _CHECK[0] in ops else 0.0
    return float(sum(op.self_ms * min(1.0, checks / op.count) for op in ops.values() if op.count))


def _tracing(run: Evidence) -> Diagnosis:
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
