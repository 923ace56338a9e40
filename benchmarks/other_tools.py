"""Other tools on the planted loops: how each is run, and which bottleneck class its first diagnosis stands for."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from planted_runs import ROOT, Outcome, ended

TRACEML = "TraceML"
# What TraceML's kinds stand for, read generously: a residual is everything outside the phases it times.
TRACEML_CLASSES = {
    "INPUT_BOUND": ("input",),
    "H2D_BOUND": ("transfer",),
    "RESIDUAL_HEAVY": ("host", "sync", "logging", "checkpoint", "evaluation", "external", "startup"),
    "COMPUTE_BOUND": ("compute", "memory", "precision", "compile"),
}
OPTIMIZER_PHASE = ("optimizer",)  # compute-bound, with the optimizer as the largest phase


def traceml(python: str, script: Path, limit_s: float) -> Outcome:
    """TraceML's primary diagnosis, with its step around what planted loops do between two batches.

    It sees steps only where the script says so; traceml_steps.py says it for any script.
    """
    launcher = Path(__file__).with_name("traceml_steps.py")
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "traceml_ai.launcher", "run"]
        if (entry := Path(python).with_name("traceml")).exists():
            command = [str(entry), "run"]
        logs = ["--logs-dir", folder, "--finalize-timeout-sec", "60", "--run-name", "planted"]
        _, failure = ended(
            [*command, *logs, str(launcher), "--args", str(script)],
            Path(folder),
            limit_s,
            PYTHONPATH=str(ROOT / "benchmarks"),
        )
        found = next(iter(Path(folder).rglob("final_summary.json")), None)
        if found is None:
            return {"failure": failure or "no summary"}
        primary = json.loads(found.read_text())["primary_diagnosis"]
    kind, text = primary["kind"], primary["summary"]
    classes = TRACEML_CLASSES.get(kind, ())
    if kind == "COMPUTE_BOUND" and "optimizer" in text.lower():
        classes = OPTIMIZER_PHASE
    return {"says": f"{kind}: {text}", "classes": list(classes)}


def right_class(outcome: Outcome, expected: str) -> bool:
    """Whether the first diagnosis stands for the planted bottleneck class."""
    if "classes" in outcome:
        return expected in outcome["classes"]
    findings = outcome.get("findings")
    return bool(findings) and findings[0]["bottleneck"] == expected
