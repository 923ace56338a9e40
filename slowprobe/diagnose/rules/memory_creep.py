"""Memory grows with every step, because the graphs of past steps are kept.

What it is: a loss or an output that is collected or summed up as a tensor, `losses.append(loss)` or `total += loss`,
holds the graph of its step: its nodes, and with retain_graph=True (or what a custom function kept) the activations.

Why it is slow: memory that is never freed is fetched anew from the system in each step, and the run ends in swapping or
out of memory.

How it is seen: the resident memory of the training process, read twice a second at first, grows all through the loop,
and the source of the loop keeps what backward was called on, or an output it was computed from, without detach(),
item() or float(): in a list, a dictionary or a sum, or by a call of your own function or method that does so.

Stays quiet when: memory levels off, grows by less than 100 MB or 5 %, or no such line is in the training loop (what is
made anew in each step is not kept): growth alone names no cause. What the graphs take in time is not known, so no
saving is claimed.

Fix: losses.append(loss.detach()), or loss.item() where a number is needed.

Sources: PyTorch FAQ (my model reports out of memory: don't accumulate history across your training loop).
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edits import place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Risk
from slowprobe.diagnose.kept_graphs import kept_graphs
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule

MIN_STEPS = 50  # fewer, and caches that fill up look the same
MIN_BYTES = 100e6  # allocators keep tens of MB for themselves
MIN_SHARE = 0.05  # of what the process had at first

RULE = Rule(
    title="Memory grows with every step",
    bottleneck="memory",
    needs=("steps", "memory_growth", "backwards", "source"),
)


def check(run: Evidence) -> Answer:
    """Look for growth, and for the line that keeps graphs."""
    if run.steps.count < MIN_STEPS:
        return NotChecked(f"{run.steps.count} steps are too few to see memory grow")
    growth = run.memory_growth
    grown_mb = growth.grown_bytes / 1e6
    if growth.grown_bytes < max(MIN_BYTES, MIN_SHARE * growth.first_bytes):
        return Passed(f"memory grew by {max(0.0, grown_mb):.0f} MB in the loop")
    if not growth.steady:
        return Passed(f"memory grew by {grown_mb:.0f} MB in the loop, and levelled off")
    backwards = dict.fromkeys(each.where for each in run.backwards if each.where is not None)
    kept = [found for where in backwards for found in kept_graphs(run.source, where)]
    if not kept:
        return Passed(f"memory grew by {grown_mb:.0f} MB in the loop; its source shows nothing that keeps a graph")
    places = place(*dict.fromkeys(site for each in kept for site in (each.site, each.inner)))
    names = ", ".join(dict.fromkeys(ast.unparse(tensor) for each in kept for tensor in each.tensors))
    return Diagnosis(
        summary=(
            f"The training process grew by {grown_mb:.0f} MB in the loop, {growth.bytes_per_s / 1e6:.0f} MB a second, "
            f"and has not stopped: {names} is kept from each step, and holds the graph of its step."
        ),
        where=places,
        fix=Fix(
            text="Keep the value, not the graph: detach() where a tensor is wanted, item() where a number is.",
            diff="\n".join(dict.fromkeys(each.detached(run.source) for each in kept)),
        ),
        changes=[],
        evidence={
            "growth, MB": round(grown_mb),
            "MB a second": round(growth.bytes_per_s / 1e6, 1),
            "at the beginning, MB": round(growth.first_bytes / 1e6),
        },
        risk=Risk("medium", "the run ends out of memory if it goes on like this"),
    )
