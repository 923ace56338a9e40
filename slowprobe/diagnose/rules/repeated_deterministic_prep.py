"""Items, or their first transforms, come out the same in every pass and are made anew each time.

What it is: the dataset reads, decodes, resizes or tokenizes an item afresh in each epoch, though only what comes after
it (a random crop, a flip) differs between epochs, or nothing does.

Why it is slow: the loop pays in every pass for what could be done once and kept.

How it is seen: sixteen items, spread over the dataset, are known by their index in every pass and worker; a digest of
each item, and of what each transform made of it, is compared between passes. The replay leaves out, from the second
pass on, what the part that is always the same costs: all of the item, or all but the transforms whose outputs change
(at least, the transforms that do not). What remains is a look-up, at 1 µs an item: 0.1 µs were measured with
functools.cache, and an item that has left the processor's caches takes longer.

Stays quiet when: there was one pass; items differ from their first transform on; later passes are cheap already (a
cache is there); the loop hardly waits for batches; or workers would hide the cost. It does not see samplers that give
no indices, batches that a dataset makes as a whole, and objects that are no tensor, array, image, number or text.

Fix: keep what is made: functools.cache on __getitem__ without workers; with them a list of prepared items, made before
the loader is; a file of uint8 (numpy.memmap) where memory is too small.

Sources: Plumber and tf.data (cache what is deterministic); CoorDL; PyTorch forum answers on caching in a Dataset.
"""

from __future__ import annotations

from collections import defaultdict

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import shares
from slowprobe.diagnose.making_parts import examined, part_of, passes_for, warm_ratio
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import BESIDE_WORKERS
from slowprobe.run.record import Site
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Reload
from slowprobe.timeline.repeated_items import RepeatedItems, Repeats

LEAST_COMPARED = 8  # items; a flip leaves one in two as it was, eight of eight once in 256 runs
CACHED = 3.0  # first pass over later ones: from there on, most of the cost is gone already
LOOK_UP_S = 1e-6  # an item: a list's or a cache's look-up, and reading what was kept
SPARED = 0.9  # of it at worst: kept items are read from memory, and take it from the caches of the step
MEMORY_SHARE = 0.5  # of what is free; the rest is for the training

RULE = Rule(
    title="The same items are prepared anew in every epoch",
    bottleneck="input",
    needs=("loaders", "making_stacks", "source", "available_bytes", "repeated_items", *BESIDE_WORKERS),
    closer_than=("slow-transform", "decode-bound"),
)


def check(run: Evidence) -> Answer:
    """Find loaders whose items need not be made again."""
    return examined(run, _diagnose)


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | Passed | NotChecked:
    found: RepeatedItems | None = run.repeated_items.get(loader.id)
    if found is None:
        return NotChecked("no items were compared between passes (the loader gives no indices, or nothing to read)")
    if found.items.compared < LEAST_COMPARED:
        return NotChecked(f"{found.items.compared} items were made twice; {LEAST_COMPARED} are needed to tell")
    kept = _kept(loader, found)
    if kept is None:
        return Passed(f"{found.items.compared - found.items.equal} of {found.items.compared} items differ each time")
    ratio = warm_ratio(loader)
    if ratio is not None and ratio >= CACHED:
        return Passed(f"later passes take a {ratio:.0f}th of the first one's time for their items: they are kept")
    change = Reload(loader.id, cached=_without_look_up(loader, kept))
    reason = passes_for(run, loader, change)
    if reason:
        return Passed(f"items come out the same each time, but {reason}")
    whole = _always_equal(found.items)
    lines = part_of(run, loader, "fetch", lambda stack: stack.site is not None)
    names = _names(found)
    made = _making(run, loader)
    return Diagnosis(
        title="" if whole else "The first transforms give the same in every epoch",
        summary=(
            f"All of {found.items.compared} items that were looked at came out the same in each of {loader.passes} "
            "passes: they are made again each time."
            if whole
            else f"What {' and '.join(names)} give{'s' if len(names) == 1 else ''} is the same in each of "
            f"{loader.passes} passes; only what comes after changes. It is {kept.expected:.0%} of the dataset's time."
        ),
        where=shares(made) if made else [*lines.where, *place(_method(run, loader))],
        covers=(*lines.lines, *lines.inner),
        fix=Fix(text=_advice(run, loader, whole, names), diff=_edit(run, loader, whole)),
        changes=[change],
        evidence={
            "items compared": found.items.compared,
            "equal each time": found.items.equal,
            "transforms that give the same": ", ".join(names) or "none was seen by itself",
            "share of the dataset's time": round(kept.expected, 4),
            "passes": loader.passes,
            "all items, bytes": _all_bytes(loader) or "unknown",
            "free memory, bytes": run.available_bytes or "unknown",
            "num_workers": loader.num_workers,
        },
    )


def _always_equal(repeats: Repeats) -> bool:
    return repeats.compared >= LEAST_COMPARED and repeats.equal == repeats.compared


def _kept(loader: LoaderFacts, found: RepeatedItems) -> Factor | None:
    """The part of the dataset's time that need not be spent again; None where there is none. `best` is the most."""
    if _always_equal(found.items):
        return Factor(1.0, 1.0, 1.0)
    same = {key for key, repeats in found.transforms.items() if _always_equal(repeats)}
    if not same or not loader.fetch_s:
        return None
    timed = [((transform.name, transform.where) in same, transform.wall_s) for transform in loader.making.transforms]
    changing = sum(seconds for equal, seconds in timed if not equal) / loader.fetch_s
    least = sum(seconds for equal, seconds in timed if equal) / loader.fetch_s
    most = max(0.0, 1 - changing)
    return Factor(most, most, min(least, most))


def _without_look_up(loader: LoaderFacts, kept: Factor) -> Factor:
    look_up = LOOK_UP_S * (loader.batch_size or 1) / float(loader.fetch.mean())
    return Factor(*(max(0.0, each - look_up) for each in (kept.best, kept.expected, SPARED * kept.worst)))


def _names(found: RepeatedItems) -> list[str]:
    return sorted(name for (name, _), repeats in found.transforms.items() if _always_equal(repeats))


def _making(run: Evidence, loader: LoaderFacts) -> dict[Site, float]:
    """The lines of the dataset's __getitem__ below which its items are made, by seconds: there they can be kept."""
    found: dict[Site, float] = defaultdict(float)
    for stack in run.making_stacks.get(loader.id, ()):
        entries = (
            at
            for at, (frame, is_users) in enumerate(zip(stack.frames, stack.users, strict=True))
            if is_users and frame.function.rpartition(".")[2] in ("__getitem__", "__getitems__")
        )
        site = stack.site_at(next(entries, -1)) if stack.bucket == "fetch" else None
        if site is not None:
            found[site] += stack.seconds
    return dict(sorted(found.items(), key=lambda entry: -entry[1])[:5])


def _method(run: Evidence, loader: LoaderFacts) -> Site | None:
    """Where the dataset's __getitem__ is defined."""
    found = run.source.find_class(loader.items_of)
    if found is None:
        return None
    line = next((node.lineno for node in found[1].body if getattr(node, "name", "") == "__getitem__"), None)
    return None if line is None else Site(found[0], line, f"{loader.items_of}.__getitem__")


def _edit(run: Evidence, loader: LoaderFacts, whole: bool) -> str:
    if not whole or not _fits(run, loader):
        return ""
    method = _method(run, loader)
    if not loader.num_workers and method is not None:
        text = run.source.lines(method.file)[method.line - 1]
        return diff([text], [text[: len(text) - len(text.lstrip())] + "@functools.cache", text])
    return diff([], ["items = [dataset[index] for index in range(len(dataset))]  # then DataLoader(items, ...)"])


def _all_bytes(loader: LoaderFacts) -> int | None:
    size = loader.making.batch_bytes
    return None if size is None or not loader.length else round(size * loader.length)


def _fits(run: Evidence, loader: LoaderFacts) -> bool:
    size, free = _all_bytes(loader), run.available_bytes
    return size is None or free is None or size <= MEMORY_SHARE * free


def _advice(run: Evidence, loader: LoaderFacts, whole: bool, names: list[str]) -> str:
    size = _all_bytes(loader)
    amount = f" ({_amount(size)} in all)" if size and whole else ""
    what = "each prepared item" if whole else f"what {' and '.join(names)} made of each item"
    if not _fits(run, loader):
        return (
            f"Prepare {what} once{amount}, which memory does not hold: write it to a file before training, as uint8 "
            "where that is enough, and read it back with numpy.memmap."
        )
    if loader.num_workers:
        return (
            f"Keep {what}{amount}: prepare all of it in a list before the loader is made, which workers then share; "
            "what one worker keeps for itself the others do not see."
        )
    return f"Keep {what}{amount}: then only the first epoch pays for it."


def _amount(size: float) -> str:
    return f"{size / 1e9:.2g} GB" if size >= 1e8 else f"{size / 1e6:.2g} MB"
