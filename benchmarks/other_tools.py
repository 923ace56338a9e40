"""Other tools on the planted loops: how each is run, and which bottleneck class its first diagnosis stands for.

Only the first answer counts, and it is read generously: an answer that is wider than a class of ours is right for each
class that it may mean. Each tool runs with an interpreter of its own that has torch and the tool; this module starts it
and imports nothing of it.

- TraceML names its primary diagnosis. A residual is everything outside the phases it times; with compute-bound, the
  optimizer as its largest phase counts as the optimizer's class.
- TensorBoard's PyTorch Profiler plugin (torch-tb-profiler) gives recommendations; the one about data loading, given
  from 5 % of the step on, means input. Where it recommends nothing, the largest part of its average step is its answer:
  "CPU Exec" or "Kernel" is whatever operators may cost, "Other" is whatever happens outside of them.
- gpuprof gives insights with severities: the first of the highest. What it says of waiting for the loader means input.
  Without a GPU it makes up samples of one, on which none of its rules fires; what it estimates as cost is no answer.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from planted_runs import ROOT, Outcome, ended

OPERATORS = ("compute", "memory", "precision", "compile", "optimizer")
OUTSIDE = ("host", "sync", "logging", "checkpoint", "evaluation", "external", "startup")
TRACEML_CLASSES = {
    "INPUT_BOUND": ("input",),
    "H2D_BOUND": ("transfer",),
    "RESIDUAL_HEAVY": OUTSIDE,
    "COMPUTE_BOUND": ("compute", "memory", "precision", "compile"),
}
OPTIMIZER_PHASE = ("optimizer",)  # compute-bound, with the optimizer as the largest phase
PLUGIN_CLASSES = {
    "DataLoader": ("input",),
    "CPU Exec": OPERATORS,
    "Kernel": OPERATORS,
    "Memcpy": ("transfer",),
    "Memset": ("memory", "optimizer"),
    "Communication": ("communication",),
    "Runtime": ("host", "sync"),
    "Other": OUTSIDE,
}
GPUPROF_CLASSES = {  # by words of the title
    "waiting on the loader": ("input",),
    "Dataloader stall": ("input",),
    "Dataloader-worker imbalance": ("input",),
    "Prefetch queue": ("input",),
    "Cache thrashing": ("input",),
    "Cold-cache": ("input",),
    "Host memory pressure": ("memory",),
    "Kernel drift": ("memory", "compute"),
    "Python overhead": OUTSIDE,
    "high tail latency": OUTSIDE,
    "JIT compile": ("compile", "startup"),
    "filter it from averages": ("compile", "startup"),
    "checkpointing": ("compute",),
    "Attention": ("compute",),
    "NCCL": ("communication",),
}
NO_ANSWER = ("No major bottlenecks", "Estimated cost")
SEVERITIES = ("high", "medium", "low")


def traceml(python: str, script: Path, limit_s: float) -> Outcome:
    """TraceML's primary diagnosis."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(python).with_name("traceml")), "run", "--logs-dir", folder, "--finalize-timeout-sec", "60"]
        launcher = Path(__file__).with_name("traceml_steps.py")
        failure = _run([*command, "--run-name", "planted", str(launcher), "--args", str(script)], folder, limit_s)
        found = next(iter(Path(folder).rglob("final_summary.json")), None)
        if found is None:
            return {"failure": failure or "no summary"}
        return traceml_answer(json.loads(found.read_text())["primary_diagnosis"])


def traceml_answer(primary: dict[str, Any]) -> Outcome:
    """What the primary diagnosis of TraceML's final summary stands for."""
    kind, text = primary["kind"], primary["summary"]
    classes = TRACEML_CLASSES.get(kind, ())
    if kind == "COMPUTE_BOUND" and "optimizer" in text.lower():
        classes = OPTIMIZER_PHASE
    return {"says": f"{kind}: {text}", "classes": list(classes)}


def tb_profiler(python: str, script: Path, limit_s: float) -> Outcome:
    """What the plugin recommends, or else the largest part of its average step."""
    return _asked(python, "tb_profiler_steps.py", script, limit_s, plugin_answer)


def plugin_answer(shown: dict[str, Any]) -> Outcome:
    """What the plugin's overview stands for."""
    for text in shown["recommendations"]:
        if "input data loading" in text:
            return {"says": text, "classes": ["input"]}
    name, percent = max(shown["parts"].items(), key=lambda part: part[1])
    return {"says": f"no recommendation; {name} {percent:.0f} %", "classes": list(PLUGIN_CLASSES.get(name, ()))}


def gpuprof(python: str, script: Path, limit_s: float) -> Outcome:
    """The first of gpuprof's gravest insights."""
    return _asked(python, "gpuprof_run.py", script, limit_s, gpuprof_answer)


def gpuprof_answer(report: dict[str, Any]) -> Outcome:
    """What gpuprof's insights stand for."""
    insights = [insight for insight in report["insights"] if not insight["title"].startswith(NO_ANSWER)]
    if not insights:
        return {"says": "no insight", "classes": []}
    title = min(insights, key=lambda insight: SEVERITIES.index(insight["severity"]))["title"]
    classes = next((classes for words, classes in GPUPROF_CLASSES.items() if words in title), ())
    return {"says": title, "classes": list(classes)}


TOOLS: dict[str, Callable[[str, Path, float], Outcome]] = {
    "TraceML": traceml,
    "torch-tb-profiler": tb_profiler,
    "gpuprof": gpuprof,
}


def _asked(
    python: str, launcher: str, script: Path, limit_s: float, answer: Callable[[dict[str, Any]], Outcome]
) -> Outcome:
    """What the tool's launcher wrote down."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "answer.json"
        failure = _run([python, str(Path(__file__).with_name(launcher)), str(script), str(written)], folder, limit_s)
        if not written.exists():
            return {"failure": failure or "no answer"}
        return answer(json.loads(written.read_text()))


def _run(command: list[str], folder: str, limit_s: float) -> str:
    """How the command failed, if it did."""
    try:
        return ended(command, Path(folder), limit_s, PYTHONPATH=str(ROOT / "benchmarks"))[1]
    except FileNotFoundError:
        return f"no {Path(command[0]).name} there"


def right_class(outcome: Outcome, expected: str) -> bool:
    """Whether the first diagnosis stands for the planted bottleneck class."""
    if "classes" in outcome:
        return expected in outcome["classes"]
    findings = outcome.get("findings")
    return bool(findings) and findings[0]["bottleneck"] == expected
