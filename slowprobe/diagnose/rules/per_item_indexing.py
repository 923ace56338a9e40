"""A dataset that is in memory is indexed item by item.

What it is: a TensorDataset, or a dataset whose __getitem__ only indexes tensors or arrays, or a Subset of one
(random_split), in a DataLoader that asks it for one row after the other and collates them.

Why it is slow: each row costs a few microseconds of Python and torch calls, twice: to index it and to stack it. One
index with the whole batch's row numbers does the same in one call a tensor.

How it is seen: the dataset is a TensorDataset, or the source of its __getitem__ indexes nothing but attributes that are
tensors or arrays; an item costs less than 50 µs and has at most 8 KB; and the loop waits for its batches. The fix is
replayed: the same steps, batches that much cheaper.

Saving: after the run, rows of the recorded shapes are indexed at once, arrays by a list and tensors by a tensor made of
one; twice what that takes is expected to remain
(1.3 to 4 times). Where it was not tried, what remains was measured on torch 2.13 for batches of 16 to 512: 0.04-0.21
for arrays, 0.12-0.42 for tensors with rows of up to 256 bytes, 0.33-0.61 with rows of 4 KB. Expected 0.25.

Stays quiet when: rows are large (copying them is the cost; indexing 48 KB rows by a list was slower), there is a
collate function or a transform of one's own, or the replay saves less than 3 % of loop time. workers-zero and
collate-heavy leave such a loader to this rule: workers would spend more on handing batches over.

Fix: DataLoader(dataset, batch_size=None, sampler=BatchSampler(RandomSampler(dataset), batch_size=n, drop_last=False)).
The order of the samples stays the same; torch's Subset hands such a list of rows on. A TensorDataset is better indexed
by a tensor: DataLoader(range(len(dataset)), batch_size=n, collate_fn=lambda rows: dataset[torch.tensor(rows)]).

Sources: PyTorch documentation of DataLoader (disabling automatic batching).
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edits import diff, place, statement_lines
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import COVERING, candidates, saved_share
from slowprobe.diagnose.rules._row_indexing import batched, by_rows
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Reload

MIN_SAVING = 0.03  # of loop time; with a range this wide, less would be a guess

SUBSET_ADVICE = " The Subset hands the list on, as indices of the dataset below it."
TENSOR_ADVICE = (
    "Index once a batch: let the DataLoader give row numbers, and index the tensors in collate_fn by all of them at "
    "once, as one tensor (a list is read by Python again for each tensor). A Subset's rows are its indices."
)

RULE = Rule(
    title="Data in memory is indexed item by item",
    bottleneck="input",
    needs=("loaders", "source", "replay", "partition", "cores", "costs"),
    before=COVERING,
)


def check(run: Evidence) -> Answer:
    """Find in-memory datasets that the loop waits for."""
    if not run.loaders:
        return NotApplicable("there is no DataLoader")
    seen = candidates(run)
    if not seen:
        return NotChecked("how batches are made was not recorded")
    if all(not loader.making.batch_bytes for loader in seen):
        return NotChecked("the size of the batches was not recorded")
    rows = [(loader, names) for loader in seen if (names := by_rows(run, loader)) is not None]
    if not rows:
        return Passed("no dataset only indexes small rows of tensors or arrays")
    found = [diagnosis for loader, names in rows if (diagnosis := _diagnose(run, loader, names)) is not None]
    slowest = max(loader.make_s or 0.0 for loader, _ in rows)
    return found or Passed(
        f"batches are indexed row by row in {slowest * 1000:.2f} ms, which the loop hardly waits for"
    )


def _diagnose(run: Evidence, loader: LoaderFacts, names: list[str]) -> Diagnosis | None:
    left, is_tried = batched(run, loader)
    change = Reload(loader.id, fetch=left, collate=left)
    if saved_share(run, change) < MIN_SAVING:
        return None
    make_s, size = loader.make_s or 0.0, loader.batch_size or 1
    return Diagnosis(
        summary=(
            f"{loader.items_of} is in memory ({', '.join(dict.fromkeys(names))}), but each of {size} items a batch "
            f"is indexed and collated by itself: {make_s * 1000:.2f} ms a batch, {make_s / size * 1e6:.1f} µs an item."
        ),
        where=place(loader.where),
        fix=Fix(
            text=TENSOR_ADVICE
            if loader.arrays == ("tensors",)
            else (
                f"Index once a batch: let a BatchSampler give the dataset {size} row numbers at a time, and turn "
                "automatic batching off. Without worker processes: handing such a batch over costs more than making it."
                + (SUBSET_ADVICE if loader.subset_of else "")
            ),
            diff=_edit(run, loader),
        ),
        changes=[change],
        basis="calibrated replay" if is_tried else "stated range",
        evidence={
            "making one batch, ms": round(make_s * 1000, 3),
            "of it in the dataset, ms": round(float(loader.fetch.mean()) * 1000, 3),
            "of it in collate, ms": round(float(loader.collate.mean()) * 1000, 3),
            "µs an item": round(make_s / size * 1e6, 2),
            "bytes an item": round((loader.making.batch_bytes or 0.0) / size),
            "batch size": size,
            "num_workers": loader.num_workers,
        },
    )


def _edit(run: Evidence, loader: LoaderFacts) -> str:
    """The user's DataLoader call with a BatchSampler; empty where its arguments are not to be seen."""
    lines = statement_lines(run.source, loader.where)
    text = "\n".join(lines)
    try:
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError):
        return ""
    call = next((each for each in calls if ast.unparse(each.func).endswith(loader.class_name)), None)
    if call is None or not 1 <= len(call.args) <= 2 or any(k.arg is None for k in call.keywords):
        return ""
    if loader.arrays == ("tensors",):
        return _indexed_by_tensor(lines, text, call, loader)
    given = {str(keyword.arg): ast.unparse(keyword.value) for keyword in call.keywords}
    dataset = ast.unparse(call.args[0])
    size = ast.unparse(call.args[1]) if len(call.args) == 2 else given.pop("batch_size", "1")
    shuffle, drop = given.pop("shuffle", "False"), given.pop("drop_last", "False")
    generator = f", generator={given['generator']}" if "generator" in given else ""
    random, ordered = f"RandomSampler({dataset}{generator})", f"SequentialSampler({dataset})"
    chosen = {"True": random, "False": ordered}.get(shuffle, f"{random} if {shuffle} else {ordered}")
    sampler = given.pop("sampler", chosen)
    rest = "".join(f", {name}={value}" for name, value in given.items())
    batches = f"sampler=BatchSampler({sampler}, batch_size={size}, drop_last={drop})"
    new = f"{ast.unparse(call.func)}({dataset}, batch_size=None, {batches}{rest})"
    old = ast.get_source_segment(text, call)
    if old is None:
        return ""
    names = [name for name in ("BatchSampler", "RandomSampler", "SequentialSampler") if name in new]
    needed = [f"from torch.utils.data import {', '.join(names)}"]
    return diff(lines, [*needed, *text.replace(old, new, 1).splitlines()])


def _indexed_by_tensor(lines: list[str], text: str, call: ast.Call, loader: LoaderFacts) -> str:
    """The user's DataLoader over row numbers, with a collate function that indexes the tensors by all of them."""
    dataset, old = ast.unparse(call.args[0]), ast.get_source_segment(text, call)
    if old is None or any(keyword.arg == "collate_fn" for keyword in call.keywords):
        return ""
    rows = f"{dataset}[torch.tensor(numbers)]"
    if loader.subset_of:
        rows = f"{dataset}.dataset[torch.tensor([{dataset}.indices[number] for number in numbers])]"
    others = [ast.unparse(each) for each in (*call.args[1:], *call.keywords)]
    given = ", ".join([f"range(len({dataset}))", *others, f"collate_fn=lambda numbers: {rows}"])
    return diff(lines, text.replace(old, f"{ast.unparse(call.func)}({given})", 1).splitlines())
