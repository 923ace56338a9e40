"""Records a script as the tutorial of TensorBoard's PyTorch Profiler plugin does, and asks the plugin what it shows.

    python tb_profiler_steps.py script.py ANSWER.json

Twenty steps after the first few, profiler.step() at the end of each loop body. The plugin's own classes read the trace:
its recommendations and the parts of its average step. Of what torch records by now as annotations it would drop the
batches of loaders, and with them its only recommendation for a run on one CPU: they are put back as it knows them.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from loop_steps import LoopSteps

FIRST_STEPS, WARMUP_STEPS, STEPS = 5, 2, 20
ONCE_OPERATORS = ("enumerate(DataLoader)#", "Optimizer.")  # names that older traces have among the operators


def record(script: str, folder: str) -> None:
    """Run the script under torch.profiler, with the plugin's trace handler."""
    profiler = torch.profiler.profile(
        schedule=torch.profiler.schedule(wait=FIRST_STEPS, warmup=WARMUP_STEPS, active=STEPS, repeat=1),
        on_trace_ready=torch.profiler.tensorboard_trace_handler(folder),
    )
    LoopSteps(lambda fed: None, profiler.step).watch()
    sys.argv = [script]
    sys.path.insert(0, str(Path(script).parent))
    with profiler:
        runpy.run_path(script, run_name="__main__")


def as_once(trace: Path) -> None:
    """Write the trace again with loaders and optimizers among the operators."""
    document = json.loads(trace.read_text())
    for event in document["traceEvents"]:
        if event.get("cat") == "user_annotation" and event["name"].startswith(ONCE_OPERATORS):
            event["cat"] = "cpu_op"
    trace.write_text(json.dumps(document))


def read(trace: Path, cache: str) -> dict[str, Any]:
    """The overview that the plugin draws from the trace."""
    from torch_tb_profiler.profiler.data import RunProfileData
    from torch_tb_profiler.profiler.run_generator import RunGenerator

    data = RunProfileData.parse("worker", None, str(trace), cache)
    shown = RunGenerator("worker", None, data).generate_run_profile().overview
    parts = {part["name"]: float(part["extra"]) for part in shown["performance"][0]["children"]}
    said = [re.sub("<[^>]*>", "", text) for text in data.recommendations]
    return {"recommendations": said, "parts": parts, "steps": len(data.steps_names)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as traces, tempfile.TemporaryDirectory() as kept:
        script, answer = sys.argv[1:3]
        record(script, traces)
        found = sorted(Path(traces).rglob("*.pt.trace.json"))
        if not found:
            raise SystemExit("no trace: fewer steps than the schedule waits for")
        as_once(found[0])
        Path(answer).write_text(json.dumps(read(found[0], kept)))
