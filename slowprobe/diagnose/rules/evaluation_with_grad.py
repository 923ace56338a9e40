"""Evaluation runs with gradients on, and builds a graph that nobody uses.

What it is: forward passes of an evaluation outside torch.no_grad() and torch.inference_mode(). model.eval() changes
dropout and batch norm; it does not turn gradients off.

Why it is slow: every operation then saves its inputs and allocates graph nodes, activations stay in memory until the
result is dropped, and memory that stays in use is memory the allocator has to fetch anew. A loss that is summed over
batches keeps the graphs of the whole evaluation alive.

How it is seen: the grad mode at the entry of each outermost module call, and which calls belong to an evaluation (fed
by a loader that no backward pass follows, or in eval mode outside a training step).

Saving: what a kept graph costs most is memory that was not in use: its pages are counted while the model is called in
eval mode, and what the first touch of a page takes is measured after the run. They go, but for what the operators need
without a graph, too (half in the worst case: each tensor beyond 32 MB is new memory either way). Of the rest, and where
pages are not counted (model.eval() forgotten, Windows), a stated range. What was saved, as a share of the forward time
with gradients; CPU time, one thread, torch 2.13, interleaved medians (first: each graph dropped at once; second: losses
summed):

    Linear+LayerNorm+GELU blocks  16 wide, 64k points 0.28, 0.59   64 wide 0.22, 0.30   256 wide 0.07, 0.12
    wide MLP (1024)               0.00, 0.00
    convnets                      32 channels 0.13, 0.50   64 channels 0.12, 0.38
    transformer encoders          post-norm 0.12, 0.13     pre-norm 0.06, 0.14
    LSTM (128)                    0.22, 0.37

Where matrix products dominate nothing is gained but memory; many small or elementwise operations gain most. Expected
are the medians: 0.12 (from 0 to 0.3), and, where pages are not counted, 0.3 (from 0 to 0.6) if the source shows losses
summed without item() or detach().

Stays quiet when: evaluation runs under no_grad or inference_mode, no parameter wants a gradient (no graph is built),
the eval-mode call is a part of the training step (a frozen teacher), or such passes take less than 3 % of loop time.

Fix: with torch.inference_mode(): around the call, or @torch.inference_mode() on the evaluation function.

Sources: PyTorch Performance Tuning Guide (disable gradient calculation for validation or inference).
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edits import wrap_statement
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import in_trainer, shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.syntax import called_name, has_line, names_in
from slowprobe.run.record import Site
from slowprobe.timeline.after_fork import PAGE_S
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.loop_changes import Factor, Scale

DROPPED = Factor(0.7, 0.88, 1.0)  # of forward time; measured, see "Saving" above
SUMMED = Factor(0.4, 0.7, 1.0)
PAGES_LEFT = Factor(0.0, 0.05, 0.5)  # of the time for pages that were not in use; see "Saving" above
_LEAVES_GRAPH = (
    ".item(",
    ".detach(",
    "float(",
    ".data",
    ".numpy(",
    ".tolist(",
    "argmax(",
    ".max(1",
    " == ",
    "accuracy",
)
MIN_SHARE = 0.03  # of loop time in such passes; below, even the best case saves less than 2 %

RULE = Rule(
    title="Evaluation runs with gradients on",
    bottleneck="evaluation",
    needs=("evaluation", "backwards", "partition", "source", "costs"),
)


def check(run: Evidence) -> Answer:
    """Find forward passes of evaluations that build a graph."""
    evaluation = run.evaluation
    if not evaluation.total_s or not evaluation.forwards:
        return NotApplicable("no evaluation inside the training loop")
    with_grad = [
        facts for facts in evaluation.forwards if facts.attrs.get("grad") and facts.attrs.get("trainable", 1) != 0
    ]
    if not with_grad:
        return Passed("evaluation runs without gradients")
    seconds = sum(facts.evaluation_s for facts in with_grad)
    loop_s = run.partition.loop_s
    if seconds < MIN_SHARE * loop_s:
        return Passed(
            f"gradients are on in evaluation, but its forward passes take {seconds / loop_s:.1%} of loop time"
        )
    first = with_grad[0].where
    summed = first is not None and _sums_losses(run, first)
    pages_s = _pages_s(run, with_grad)
    changes = [Scale("evaluation", "off_step", seconds, SUMMED if summed else DROPPED)]
    if pages_s is not None:
        pages_s = min(pages_s, seconds)
        changes = [
            Scale("evaluation", "off_step", pages_s, PAGES_LEFT),
            Scale("evaluation", "off_step", seconds - pages_s, DROPPED),
        ]
    return Diagnosis(
        summary=(
            f"Evaluation calls the model with gradients on: {seconds:.2f} s of forward passes, {seconds / loop_s:.0%} "
            "of loop time, build a graph that is thrown away."
        ),
        where=shares({facts.where: facts.evaluation_s for facts in with_grad if facts.where is not None}),
        fix=Fix(
            text="Evaluate under torch.inference_mode(): around the call, or as a decorator of the function.",
            diff="" if in_trainer(run, first) else wrap_statement(run.source, first, "with torch.inference_mode():"),
        ),
        changes=changes,
        basis="stated range" if pages_s is None else "calibrated replay",
        evidence={
            "evaluation, share of loop time": round(evaluation.total_s / loop_s, 4),
            "forward passes with gradients, s": round(seconds, 3),
            "calls": sum(facts.calls for facts in with_grad),
            "graphs kept by summed losses": summed,
            "memory that was not in use before, s": None if pages_s is None else round(pages_s, 3),
            "model in eval mode": all(facts.attrs.get("training") is False for facts in with_grad),
        },
    )


def _pages_s(run: Evidence, passes: list[SpanFacts]) -> float | None:
    """Seconds for the first touch of the pages that these passes took in evaluations; None where nobody counted."""
    pages = [run.costs.get(f"forward.{facts.subject}.page_faults") for facts in passes]
    if None in pages:
        return None
    shares = [facts.evaluation_s / facts.seconds if facts.seconds else 0.0 for facts in passes]
    counted = sum(count * share for count, share in zip(pages, shares, strict=True) if count is not None)
    return counted * (run.costs.get("memory.fault_us") or run.costs.get("page_us", PAGE_S * 1e6)) / 1e6


def _sums_losses(run: Evidence, call: Site) -> bool:
    """Whether the loop around the call adds up, or collects, what is computed from its result, with the graphs."""
    around = run.source.loop_around(call.file, call.line)
    if around is None:
        return False
    statements = [
        node
        for node in ast.walk(run.source.tree(call.file))
        if isinstance(node, ast.stmt) and not hasattr(node, "body") and around[0] <= node.lineno <= around[1]
    ]
    made: set[str] = set()
    for node in sorted(statements, key=lambda node: node.lineno):
        value = getattr(node, "value", None)
        if not isinstance(value, ast.expr) or any(word in ast.unparse(value) for word in _LEAVES_GRAPH):
            continue
        reads = names_in(value)
        if not has_line(node, call.line) and not made & reads:
            continue
        if isinstance(node, ast.AugAssign) or (isinstance(value, ast.Call) and called_name(value) == "append"):
            return True
        if isinstance(node, ast.Assign):
            targets = names_in(*node.targets)
            if targets & reads and isinstance(value, ast.BinOp):  # total = total + loss
                return True
            made |= targets
    return False
