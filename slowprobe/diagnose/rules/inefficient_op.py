"""A large embedding table gets dense gradients, though a batch asks for few of its rows.

What it is: nn.Embedding with sparse=False (the default). Backward makes a gradient as large as the table, zeros for all
rows that the batch did not ask for, and the optimizer goes through all of it.

Why it is slow: that is memory traffic by the size of the table, each step, whatever the batch: 50 MB for 200,000 rows
of 64 numbers, several times over.

How it is seen: embedding_dense_backward in the step recorded with shapes, the size of what it makes, the sums of such
gradients where a table is used more than once, and what optimizers run on tensors of that size, at the times of steps
recorded without shapes (whether a gradient's memory is mapped anew in each step, page by page, depends on what else is
allocated). The fix is replayed on these parts of backward, optimizer and zero_grad. That the rest of the step finds its
data in the caches again is not counted.

Saving: what remains is in proportion to the rows that are asked for: three times their part is expected (sorting and
adding up rows that occur twice), at best their part, at worst a tenth of the table more.

Stays quiet when: it takes less than 5 % of loop time, a batch asks for more than a quarter of the rows, the table is
also an output layer (its gradient is dense anyway), gradients are clipped by norm (not for sparse ones), or embeddings
are sparse already. Other operators with cheaper forms (advanced indexing, one_hot) are not judged: what they would gain
differs from one size to the next.

Fix: nn.Embedding(rows, width, sparse=True) and an optimizer for its weight alone that takes sparse gradients: SGD,
Adagrad, or SparseAdam, which leaves the moments of other rows as they are, so that training differs slightly from Adam.

Sources: torch.nn.Embedding documentation (sparse); torch.optim.SparseAdam documentation.
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.syntax import called_name
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.op_tables import DenseTable

MIN_SHARE = 0.05  # of loop time
MAX_TOUCHED = 0.25  # of the rows; with more, sorting them costs what filling the rest does
TIMES = 3.0  # a sparse row over a dense one; see "Saving" above
WORST = 0.1
CLIPS = ("clip_grad_norm_", "clip_grad_value_")

RULE = Rule(
    title="A large embedding table gets dense gradients",
    bottleneck="compute",
    needs=("steps", "dense_tables", "optimizers", "partition", "source", "settings"),
)


def check(run: Evidence) -> Answer:
    """Find tables whose gradients are mostly zeros."""
    if run.settings.get("devices"):
        return NotChecked("operators run on an accelerator; their times on the host are not their work")
    tables = run.dense_tables
    if tables is None:
        return NotChecked("operators were recorded without shapes")
    if not tables:
        return NotApplicable("no embedding with dense gradients was seen")
    loop_s = run.partition.loop_s
    large = [table for table in tables if sum(_seconds(run, table).values()) >= MIN_SHARE * loop_s]
    if not large:
        share = max(sum(_seconds(run, table).values()) for table in tables) / loop_s
        return Passed(f"dense gradients of embeddings take {share:.1%} of loop time")
    open_ones = [table for table in large if table.touched <= MAX_TOUCHED and not table.multiplied]
    if not open_ones:
        return Passed("a batch asks for many of the tables' rows, or they are output layers, too")
    if run.source.find(*CLIPS):
        return Passed("gradients are clipped by norm, which needs dense ones")
    return [_diagnose(run, table) for table in open_ones]


def _seconds(run: Evidence, table: DenseTable) -> dict[str, float]:
    """What goes with the size of the table, by bucket."""
    elements = sum(int(facts.attrs.get("elements") or 0) for facts in run.optimizers)
    of_all = min(1.0, table.rows * table.width / elements) if elements else 0.0
    parts = {"backward": table.backward, "optimizer": table.optimizer, "zero_grad": of_all}
    return {bucket: part * run.partition.bucket_s(bucket, "step") for bucket, part in parts.items()}


def _diagnose(run: Evidence, table: DenseTable) -> Diagnosis:
    seconds = _seconds(run, table)
    spent, touched = sum(seconds.values()), table.touched
    left = Factor(touched, min(1.0, TIMES * touched), min(1.0, TIMES * touched + WORST))
    used = None if table.source is None else Site(*table.source)
    made = _constructor(run, used)
    kinds = sorted({str(facts.attrs.get("class")) for facts in run.optimizers})
    return Diagnosis(
        title=f"An embedding of {table.rows:,} rows gets dense gradients",
        summary=(
            f"A batch asks for {table.asked:,} rows of {table.rows:,} at most, and every step makes, adds and clears "
            f"gradients for all of them: {spent / run.partition.loop_s:.0%} of loop time."
        ),
        where=place(made, used),
        fix=Fix(
            text=(
                f"Give the embedding sparse=True, and its weight an optimizer of its own that takes sparse gradients "
                f"(now: {', '.join(kinds) or 'unknown'}): SGD without weight decay, Adagrad, or SparseAdam in place of "
                "Adam, which updates the rows of the batch only."
            ),
            diff=set_arguments(run.source, made, "Embedding", sparse="True") if made is not None else "",
        ),
        changes=[Scale(bucket, "step", part, left) for bucket, part in seconds.items() if part > 0],
        basis="stated range",
        evidence={
            "rows": table.rows,
            "width": table.width,
            "rows asked for in a step, at most": table.asked,
            "seconds": {
                "columns": ["part", "seconds"],
                "rows": [[bucket, round(part, 3)] for bucket, part in seconds.items()],
            },
        },
    )


def _constructor(run: Evidence, used: Site | None) -> Site | None:
    """Where the file of the look-up makes its only embedding; None where it makes several, or none."""
    if used is None:
        return None
    try:
        tree = ast.parse("\n".join(run.source.lines(used.file)))
    except (SyntaxError, ValueError):
        return None
    calls = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and called_name(node) == "Embedding"]
    return Site(used.file, calls[0], used.function) if len(calls) == 1 else None
