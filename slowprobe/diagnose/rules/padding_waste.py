"""The model works on padding.

What it is: the sequences of a batch are padded to one length, that of the longest or a fixed one, and a large part of
each batch is padding.

Why it is slow: the model computes on every column of a batch, padded or not, and attention on every pair of columns;
masks take padding out of the result, not out of the work.

How it is seen: the tensors of a few batches, as they arrive, or, where there is no loader, as the model is given them.
Of integers: runs of one value at one end of the rows, that occurs nowhere else; of samples or features: zeros that end
a row of 32 positions or more. The annotated step tells which part of the model's operator time is work on tensors with
a batch's rows and columns. The fix is replayed on that part of forward and backward.

Saving: by the lengths that were seen. Expected is what grouping rows of like length leaves (padding to the longest row
of each batch, where that is nearly as good), at best no padding at all, at worst half of that is gained: groups are
shuffled, and some work does not shrink with its columns. What fewer columns leave of the time is tried after the run:
the dearest operators on such tensors are timed with half and a quarter of the columns (attention falls faster than its
columns, a small product slower). Where they could not be tried, time is taken to fall with the columns.

Stays quiet when: less than 20 % of the columns are padding, packed or nested sequences are used, or the work does not
depend on the columns.

Fix: pad in collate_fn to the longest row of the batch (torch.nn.utils.rnn.pad_sequence), draw rows of like length
together (a batch sampler over lengths; group_by_length in transformers), or pack sequences.

Sources: lit-llama#396 (27 %); GLiNER#292; transformers documentation (dynamic padding, group_by_length).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.padding import PaddingFacts, share_of_shapes
from slowprobe.timeline.tried_edits import columns_left

MIN_WASTE = 0.20  # of the columns: less is what grouping by length leaves anyway
ENOUGH = 0.7  # of what grouping gains; where padding to the longest row alone gains that, it is advised alone
GAINED = 0.5  # of the expected gain, at worst; see "Saving" above
PACKED_OPS = ("_pack_padded_sequence", "_nested_", "varlen", "_embedding_bag")
PACKED_WORDS = ("pack_padded_sequence(", "pack_sequence(", "torch.nested.", "cu_seqlens", "varlen", "flex_attention(")
_BUCKETS = ("forward", "backward")

RULE = Rule(
    title="The model works on padding",
    bottleneck="compute",
    needs=("steps", "loaders", "padding", "padded_inputs", "annotated_ops", "partition", "source", "costs"),
)


def check(run: Evidence) -> Answer:
    """Compare the lengths of rows with the columns of the batches they come in."""
    seen = [(loader, run.padding[loader.id]) for loader in run.loaders if loader.primary and loader.id in run.padding]
    where, facts = (seen[0][0].where, seen[0][1]) if seen else (run.padded_inputs or (None, None))
    if facts is None:
        return NotApplicable("the batches hold no padded sequences")
    waste = 1 - facts.packed
    if waste < MIN_WASTE:
        return Passed(f"{waste:.0%} of the batches' columns are padding")
    tree = run.annotated_ops
    if any(word in name for name in set(tree.names) for word in PACKED_OPS) or run.source.find(*PACKED_WORDS):
        return Passed(f"{waste:.0%} of the batches' columns are padding, but packed sequences are used")
    share = share_of_shapes(tree, facts.shapes)
    if share is None:
        return NotChecked("operators were recorded without shapes")
    return _diagnose(run, where, bool(seen), facts, share)


def _diagnose(run: Evidence, where: Site | None, has_loader: bool, facts: PaddingFacts, share: float) -> Diagnosis:
    gain = 1 - facts.by_length
    alone = 1 - facts.to_longest >= ENOUGH * gain
    expected = facts.to_longest if alone else facts.by_length
    tried = columns_left(run.costs, expected)
    remains = expected if tried is None else tried
    best = facts.packed if tried is None else columns_left(run.costs, facts.packed) or 0.0
    left = Factor(min(best, remains), remains, 1 - GAINED * (1 - remains)).of_part(share)
    seconds = {bucket: run.partition.bucket_s(bucket, "step") for bucket in _BUCKETS}
    return Diagnosis(
        title=f"{1 - facts.packed:.0%} of each batch is padding",
        summary=(
            f"Rows of {facts.mean_length:.0f} on average come in batches of {facts.width:.0f} columns: "
            f"{1 - facts.packed:.0%} of what the model works on is padding. {share:.0%} of its operator time is work "
            "on tensors of that shape."
        ),
        where=place(where),
        fix=Fix(text=_advice(facts, alone, has_loader), diff=_edit(alone, has_loader)),
        changes=[Scale(bucket, "step", spent, left) for bucket, spent in seconds.items() if spent > 0],
        basis="stated range" if tried is None else "calibrated replay",
        evidence={
            "batches looked at": facts.batches,
            "rows": round(facts.rows, 1),
            "columns": round(facts.width, 1),
            "mean length": round(facts.mean_length, 1),
            "padding": round(1 - facts.packed, 4),
            "columns left, padded to the longest row of the batch": round(facts.to_longest, 4),
            "columns left, rows of like length together": round(facts.by_length, 4),
            "operator time on tensors of that shape": round(share, 4),
            "of it left with so many columns less": "not tried" if tried is None else round(tried, 4),
        },
    )


def _advice(facts: PaddingFacts, alone: bool, has_loader: bool) -> str:
    if alone:
        place_of_it = "in collate_fn" if has_loader else "where the batch is made"
        return (
            f"Pad {place_of_it}, to the longest row of the batch, not to {facts.width:.0f}: that leaves "
            f"{facts.to_longest:.0%} of the columns."
        )
    return (
        f"Draw rows of like length together, shuffled group by group, and pad to the longest of the batch: that leaves "
        f"{facts.by_length:.0%} of the columns. With transformers: group_by_length=True. Batches are then less random "
        "in length; see that the loss does not mind."
    )


def _edit(alone: bool, has_loader: bool) -> str:
    comment = "in collate_fn" if has_loader else "where the batch is made"
    padded = f"ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)  # {comment}"
    sorted_rows = "rows sorted by length within shuffled groups of some 50 batches"
    grouped = f"batch_sampler = ...  # {sorted_rows}" if has_loader else f"order = ...  # {sorted_rows}"
    return diff([], [padded] if alone else [grouped, padded])
