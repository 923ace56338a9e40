"""Putting the items of a batch together takes a large part of making it.

What it is: collate_fn (the user's, or torch's default_collate) takes a fifth or more of the time in which a batch is
made.

Why it is slow: collating ought to be one copy. Lists turned into tensors, padding item by item and element loops run in
Python for every value; default_collate walks every item of every leaf.

How it is seen: the time of the collate calls against that of the dataset, in the training process or in the workers;
the hottest line of the user's collate function, from stack samples. The fix is replayed with the batch that much
cheaper.

Saving: a stated range, for it depends on what collate does. What remains of the time, measured on torch 2.13:
torch.tensor(list of arrays) against from_numpy(np.stack) 0.02; lists padded and turned into a tensor against
pad_sequence 0.07; padding by cat per item against pad_sequence 0.43; an element loop 0.01; default_collate of dicts of
numbers against one tensor an item 0.30; of large tensors, nothing to gain. A user's function: expected 0.3, from 0.02
to 0.8; default_collate: expected 0.6, from 0.3 to 1.0.

Stays quiet when: the loop does not wait for it (enough workers), or the replay saves less than 3 % of loop time.

Fix: stack arrays once and convert once; pad_sequence; let the dataset return whole batches (__getitems__).

Sources: PyTorch DataLoader documentation (working with collate_fn); torch.tensor's warning on lists of arrays.
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.edits import place
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.hot_lines import making_lines, shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import COVERING, candidates, saved_share
from slowprobe.diagnose.rules._list_conversion import conversions
from slowprobe.diagnose.rules._row_indexing import by_rows
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Reload

MIN_COLLATE = 0.20  # of making a batch; below, mend the dataset. Cheap items reach it too: see MIN_SAVING
MIN_SAVING = 0.03  # of loop time; with a range this wide, less would be a guess
OWN = Factor(0.02, 0.3, 0.8)  # see "Saving" above
DEFAULT = Factor(0.3, 0.6, 1.0)
OTHERS = 0.5  # of collating: where another rule names most of it, the rest is not worth a finding
MIN_SAMPLES = 5  # for naming a line

RULE = Rule(
    title="Collating takes much of making a batch",
    bottleneck="input",
    needs=("loaders", "lines", "worker_lines", "partition", "replay", "source", "cores"),
    before=COVERING,
)


def check(run: Any) -> Answer:
    """Find loaders whose batches cost much to put together."""
    if not run.loaders:
        return NotApplicable("there is no DataLoader")
    seen = candidates(run)
    if not seen:
        return NotChecked("how batches are made was not recorded")
    found = [diagnosis for loader in seen if (diagnosis := _diagnose(run, loader)) is not None]
    if found:
        return found
    share = max(_collate_share(loader) for loader in seen)
    if any(conversions(run, loader) for loader in seen):
        return Passed(f"collating takes {share:.0%} of making a batch; see list-to-tensor")
    waited = "" if share < MIN_COLLATE else ", and the loop hardly waits for it"
    return Passed(f"collating takes {share:.0%} of making a batch{waited}")


def _collate_share(loader: LoaderFacts) -> float:
    return float(loader.collate.mean()) / loader.make_s if loader.make_s else 0.0


def _diagnose(run: Any, loader: LoaderFacts) -> Diagnosis | None:
    share = _collate_share(loader)
    is_default = loader.collate_name in ("default_collate", "default_convert")
    change = Reload(loader.id, collate=DEFAULT if is_default else OWN)
    if share < MIN_COLLATE or saved_share(run, change) < MIN_SAVING:
        return None
    if sum(each.share for each in conversions(run, loader) if each.line.bucket == "collate") > OTHERS * share:
        return None  # list-to-tensor names the line and has the edit
    if by_rows(run, loader) is not None:
        return None  # per-item-indexing has the edit
    collate_ms, name = float(loader.collate.mean()) * 1000, loader.collate_name or "collate_fn"
    lines = _lines(run, loader)
    return Diagnosis(
        summary=(
            f"{name} takes {collate_ms:.1f} ms of the {(loader.make_s or 0) * 1000:.1f} ms in which a batch is made "
            f"({share:.0%}), and the loop waits for it."
        ),
        where=_where(lines, loader),
        fix=Fix(text=_advice(run, lines, is_default)),
        changes=[change],
        basis="stated range",
        evidence={
            "collate, ms a batch": round(collate_ms, 3),
            "dataset, ms a batch": round(float(loader.fetch.mean()) * 1000, 3),
            "share of making a batch": round(share, 4),
            "collate_fn": name,
            "num_workers": loader.num_workers,
            "batch size": loader.batch_size,
        },
    )


def _lines(run: Any, loader: LoaderFacts) -> list[LineTime]:
    lines = making_lines(run, loader.num_workers > 0)
    return [line for line in lines if line.bucket == "collate" and line.samples >= MIN_SAMPLES]


def _where(lines: list[LineTime], loader: LoaderFacts) -> list[Where]:
    found = shares({line.site: line.seconds for line in lines[:5]})
    return found or place(loader.where)


def _advice(run: Any, lines: list[LineTime], is_default: bool) -> str:
    if is_default:
        return "Let the dataset return whole batches (__getitems__, or batch_size=None with a BatchSampler)."
    text = run.source.line(lines[0].file, lines[0].line) if lines else ""
    if "pad" in text or "cat(" in text:
        return "Pad once for the whole batch: torch.nn.utils.rnn.pad_sequence(items, batch_first=True)."
    if "tensor(" in text or "tolist(" in text:
        return (
            "Stack the arrays once and convert once: torch.from_numpy(np.stack(items)); pad_sequence(items) where "
            "their lengths differ."
        )
    return "Copy each item once into one array for the batch, without a Python loop over its values."
