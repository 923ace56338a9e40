"""Putting the items of a batch together takes a large part of making it.

What it is: collate_fn (the user's, or torch's default_collate) takes a fifth or more of the time in which a batch is
made.

Why it is slow: collating ought to be one copy. Lists turned into tensors, padding item by item and element loops run in
Python for every value; default_collate walks every item of every leaf.

How it is seen: the time of the collate calls against that of the dataset, in the training process or in the workers;
the hottest lines of the user's collate function, from stack samples, and from their syntax how they put the batch
together. The fix is replayed with the batch that much cheaper. Of a loop over elements the first line named is the one
with most samples, not its head.

Saving: a batch of the recorded shapes, stacked and padded in one piece after the run, takes so many milliseconds; twice
as much is expected to remain (1.3 to 4 times) of an element loop, of lists and of padding item by item. Where that was
not tried, what remains by kind with pad_sequence in its place, measured on torch 2.13: of an element loop 0.01 to 0.05;
of lists padded and turned into a tensor 0.01 to 0.43; of padding by cat, or copying into rows, item by item 0.5 to 0.6.
Of default_collate of dicts of numbers 0.30 remained with one tensor an item. Code of another kind: a stated range,
expected 0.3, from 0.02 to 0.8; default_collate: expected 0.6, from 0.3 to 1.0, and no less than the batch stacked.

Stays quiet when: the loop does not wait for it (enough workers), the replay saves less than 3 % of loop time, or its
hot lines are one copy already (torch.stack, pad_sequence; default_collate of large tensors).

Fix: stack arrays once and convert once; pad_sequence; let the dataset return whole batches (__getitems__).

Sources: PyTorch DataLoader documentation (working with collate_fn); torch.tensor's warning on lists of arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

from slowprobe.diagnose.edits import place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.hot_lines import making_lines, shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import COVERING, candidates, saved_share
from slowprobe.diagnose.rules._collate_kinds import Way, left_of_all, tried, ways
from slowprobe.diagnose.rules._list_conversion import conversions
from slowprobe.diagnose.rules._row_indexing import by_rows
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Reload

MIN_COLLATE = 0.20  # of making a batch; below, mend the dataset. Cheap items reach it too: see MIN_SAVING
MIN_SAVING = 0.03  # of loop time; with a range this wide, less would be a guess
DEFAULT = Factor(0.3, 0.6, 1.0)
OTHERS = 0.5  # of collating: where another rule names most of it, the rest is not worth a finding
MIN_SAMPLES = 5  # for naming a line

RULE = Rule(
    title="Collating takes much of making a batch",
    bottleneck="input",
    needs=("loaders", "lines", "worker_lines", "partition", "replay", "source", "cores", "costs"),
    before=COVERING,
)


def check(run: Evidence) -> Answer:
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


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | None:
    share = _collate_share(loader)
    if share < MIN_COLLATE:  # of nothing at all no part remains
        return None
    is_default = loader.collate_name in ("default_collate", "default_convert")
    lines = _lines(run, loader)
    found = [] if is_default else ways(run, loader, lines)
    change = Reload(loader.id, collate=_default_left(run, loader) if is_default else left_of_all(found))
    if saved_share(run, change) < MIN_SAVING:
        return None
    if sum(each.share for each in conversions(run, loader) if each.line.bucket == "collate") > OTHERS * share:
        return None  # list-to-tensor names the line and has the edit
    if by_rows(run, loader) is not None:
        return None  # per-item-indexing has the edit
    collate_ms, name = float(loader.collate.mean()) * 1000, loader.collate_name or "collate_fn"
    return Diagnosis(
        summary=(
            f"{name} takes {collate_ms:.1f} ms of the {(loader.make_s or 0) * 1000:.1f} ms in which a batch is made "
            f"({share:.0%}), and the loop waits for it."
        ),
        where=_where(lines, loader),
        fix=Fix(text=_advice(found, is_default)),
        changes=[change],
        basis="stated range" if tried(run, loader, "stacked") is None else "calibrated replay",
        evidence={
            "collate, ms a batch": round(collate_ms, 3),
            "dataset, ms a batch": round(float(loader.fetch.mean()) * 1000, 3),
            "share of making a batch": round(share, 4),
            "collate_fn": name,
            "num_workers": loader.num_workers,
            "batch size": loader.batch_size,
        },
    )


def _lines(run: Evidence, loader: LoaderFacts) -> list[LineTime]:
    lines = making_lines(run, loader.num_workers > 0)
    return [line for line in lines if line.bucket == "collate" and line.samples >= MIN_SAMPLES]


def _where(lines: list[LineTime], loader: LoaderFacts) -> list[Where]:
    found = shares({line.site: line.seconds for line in lines[:5]})
    return found or place(loader.where)


def _default_left(run: Evidence, loader: LoaderFacts) -> Factor:
    """Of default_collate: it copies what it collates, and that remains."""
    least_ms = tried(run, loader, "stacked")
    least = min(1.0, least_ms / (float(loader.collate.mean()) * 1000)) if least_ms else 0.0
    return Factor(*(max(least, each) for each in (DEFAULT.best, DEFAULT.expected, DEFAULT.worst)))


def _advice(found: Sequence[Way], is_default: bool) -> str:
    if is_default:
        return "Let the dataset return whole batches (__getitems__, or batch_size=None with a BatchSampler)."
    kind = found[0].kind if found else "other"
    if kind in ("padding", "rows"):
        return "Pad once for the whole batch: torch.nn.utils.rnn.pad_sequence(items, batch_first=True)."
    if kind == "lists":
        return (
            "Stack the arrays once and convert once: torch.from_numpy(np.stack(items)); pad_sequence(items) where "
            "their lengths differ."
        )
    if kind == "elements":
        return (
            "Copy each item as a whole, without a Python loop over its values: torch.stack(items); "
            "torch.nn.utils.rnn.pad_sequence(items, batch_first=True) where their lengths differ."
        )
    return "Copy each item once into one array for the batch, without a Python loop over its values."
