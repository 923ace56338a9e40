"""Makes runs in which torch.compile was at work."""

from __future__ import annotations

from typing import Any

from synthetic import SCRIPT, SyntheticRun

from slowprobe.diagnose.evidence import Evidence
from slowprobe.run.compile_record import Compilations

SOURCE = """\
class Net:
    def forward(self, inputs):
        for layer in self.layers:
            inputs = layer(inputs)
            self.largest = inputs.max().item()
        return inputs

model = torch.compile(Net())
for inputs in loader:
    model(inputs).backward()
    optimizer.step()
"""
STEPS = 50


def record(tmp_path, compile_ms: list[float], noted: bool = True, source: str = SOURCE, **notes: Any) -> Evidence:
    """Fifty steps of 20 ms; the first ones compile before."""
    run = SyntheticRun(tmp_path, source)
    for step in range(STEPS):
        if step < len(compile_ms):
            run.call("compile", "torch.compile", compile_ms[step], 10)
        run.forward(8.0, 10)
        run.backward(10.0, 10)
        run.optimizer(2.0, 11)
    evidence = run.evidence()
    vars(evidence)["compilations"] = Compilations(limit=8, **notes) if noted else None
    return evidence


def compilation(number: str, seconds: float, reason: str = "", gave_up: bool = False) -> Any:
    """A row of `Compilations.rows`."""
    return (number, "forward", SCRIPT, 2, seconds, reason, gave_up)
