"""One line of the dataset takes much of the time in which a batch is made.

What it is: a line, a loop or a function below the dataset's __getitem__ (a transform, a decoder, a file read) in which
a quarter or more of making a batch is spent, while the loop waits for batches.

Why it is slow: it runs once for every item, so its cost is multiplied by the batch size; more workers spread it over
cores, but do not make it less.

How it is seen: stack samples of the training process inside the dataset, or of the workers, weighted by the recorded
cost of each batch; the CPU time of those samples tells computing from waiting for a disk or the network. The fix is
replayed: the same batches, this line cheaper.

Saving: a stated range, for what an edit can do depends on the line. Of a loop over an array's values, one operation on
the array leaves 0.001 to 0.15 of the time (measured for 400 to 10,000 values, NumPy 2): expected 0.05, from 0.005 to
0.2. The same of what calls Python for each row or value: np.apply_along_axis left 0.01 to 0.07 for rows of 11 to 200
values (0.1 to 0.5 for rows of 2,000; of sorting, 0.9), np.vectorize, np.frompyfunc and map(lambda) 0.002 to 0.17 for
100 to 10,000 values; pandas' apply and iterrows were not measured. Otherwise 0.8 remains when a cheaper operation is
all there is, 0.5 is expected, and nothing remains when the result can be cached. Where the line is one statement
without a loop that computes, nothing is known about how to make it cheaper: then it is of low severity unless the least
of the range, a fifth of its time, is worth 5 % of loop time.

Stays quiet when: the loop does not wait for batches (enough workers), other settings of the loader would hide most of
the line's cost (workers-zero, workers-too-few, prefetch-shallow, head-of-line; not asked of values one by one, whose
work can go), or no line stands out.

Fix: on the CPU: vectorise it, do it once and keep the result, or use a cheaper operation. Waiting: a local copy of the
data, fewer and larger files, more workers (they wait at the same time).

Sources: LotusTrace (per-transform times); TensorFlow data performance guide (caching, vectorising); DS-Analyzer.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass

from slowprobe.diagnose.element_calls import element_call_at
from slowprobe.diagnose.element_loops import is_element_loop
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import making_lines, shares
from slowprobe.diagnose.making_parts import storage_wait
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import BESIDE_WORKERS, candidates, saved_share, saved_share_beside_workers
from slowprobe.diagnose.rules._list_conversion import conversions
from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Reload
from slowprobe.timeline.making_stacks import StackTime

MIN_PART = 0.25  # of making a batch; where costs are spread more evenly no single edit helps much
MIN_SAVING = 0.05  # of loop time, beside what workers would save: medium severity
MIN_LEFT = 0.5  # of what the line would save alone; where workers win back more, their absence is the cause
MIN_SAMPLES = 10  # a tenth of a second
MOSTLY_WAITING = 0.6  # off the CPU; a line that computes is off it for half of its time with two processes to a core
REMAINING, VECTORISED = Factor(0.0, 0.5, 0.8), Factor(0.005, 0.05, 0.2)  # see "Saving" above
ENTRIES = ("__getitem__", "__getitems__", "__iter__", "__next__")  # all of the dataset is below these: no cause

RULE = Rule(
    title="One line of the dataset takes much of making a batch",
    bottleneck="input",
    needs=("loaders", "lines", "worker_lines", "making_stacks", "source", *BESIDE_WORKERS),
)


@dataclass(frozen=True)
class _Spot:
    """Lines that belong together: one line, a loop, or a function."""

    name: str
    lines: list[LineTime]
    share: float
    """Of the dataset's time."""
    by_element: bool = False
    """Python is called for each element or row."""
    inner: tuple[Site, ...] = ()
    """The lines below whose time it is."""

    @property
    def waiting(self) -> float:
        seconds = sum(line.seconds for line in self.lines)
        return sum(line.waiting * line.seconds for line in self.lines) / seconds if seconds else 0.0


def check(run: Evidence) -> Answer:
    """Find the line that batches are slow for."""
    if not run.loaders:
        return NotApplicable("there is no DataLoader")
    seen = candidates(run)
    if not seen:
        return NotChecked("how batches are made was not recorded")
    spots = {
        kind: _hottest(run, kind, [loader for loader in seen if (loader.num_workers > 0) == kind])
        for kind in (True, False)
    }
    if not any(spots.values()):
        return Passed("no line of the user's code stands out in making batches")
    found = []
    for loader in seen:
        spot = spots[loader.num_workers > 0]
        diagnosis = _diagnose(run, loader, spot) if spot is not None else None
        if diagnosis is not None:
            found.append(diagnosis)
    return found or Passed("no line takes a large part of making batches that the loop waits for")


def _hottest(run: Evidence, in_workers: bool, loaders: list[LoaderFacts]) -> _Spot | None:
    total = sum(loader.fetch_s or 0.0 for loader in loaders)
    if total <= 0:
        return None
    calling = _calling(run, loaders)
    if calling is not None and calling.share * _fetch_share(loaders) >= MIN_PART:
        return calling
    source = making_lines(run, in_workers)
    converting = [each.line for loader in loaders for each in conversions(run, loader)]  # list-to-tensor has the edit
    lines = [
        line
        for line in source
        if line.bucket == "fetch"
        and line.samples >= MIN_SAMPLES / 3
        and line not in converting
        and not line.callee.endswith("__next__")  # the training loop's own line: a library's dataset is below it
    ]
    narrow = _best(_by_loop(run, lines), total)
    if narrow is not None and narrow.share * _fetch_share(loaders) >= MIN_PART:
        return narrow
    return _best(_by_function(lines), total)


def _calling(run: Evidence, loaders: list[LoaderFacts]) -> _Spot | None:
    """The line that has Python called for each element, with all the time below it."""
    stacks = [stack for loader in loaders for stack in run.making_stacks.get(loader.id, ()) if stack.bucket == "fetch"]
    groups: dict[Site, list[StackTime]] = defaultdict(list)
    for stack in stacks:
        site = element_call_at(run.source, stack)
        if site is not None:
            groups[site].append(stack)
    if not groups:
        return None
    site = max(groups, key=lambda site: sum(stack.seconds for stack in groups[site]))
    mine, whole = groups[site], sum(stack.seconds for stack in stacks)
    samples, seconds = sum(stack.samples for stack in mine), sum(stack.seconds for stack in mine)
    if samples < MIN_SAMPLES or not whole or not seconds:
        return None
    leaf = sum(stack.seconds for stack in mine if not stack.below)
    waiting = max(0.0, 1 - sum(stack.cpu_s for stack in mine) / seconds)
    scaled = seconds / whole * sum(loader.fetch_s or 0.0 for loader in loaders)
    callee = max(mine, key=lambda stack: stack.seconds).below[:1]
    line = LineTime(
        *(site.file, site.line, site.function, "making", "fetch"),
        *(scaled, samples, waiting, leaf / seconds, callee[0].function if callee else ""),
    )
    inner = tuple({stack.site for stack in mine if stack.site is not None})
    return _Spot(f"line {site.line} of {site.function}", [line], min(1.0, seconds / whole), True, inner)


def _fetch_share(loaders: list[LoaderFacts]) -> float:
    return max(float(loader.fetch.mean()) / (loader.make_s or 1.0) for loader in loaders)


def _best(groups: dict[str, list[LineTime]], total: float) -> _Spot | None:
    enough = {name: lines for name, lines in groups.items() if sum(line.samples for line in lines) >= MIN_SAMPLES}
    if not enough:
        return None
    name = max(enough, key=lambda name: sum(line.seconds for line in enough[name]))
    return _Spot(name, enough[name], min(1.0, sum(line.seconds for line in enough[name]) / total))


def _by_loop(run: Evidence, lines: list[LineTime]) -> dict[str, list[LineTime]]:
    """Lines by the innermost loop around them; alone where there is none, or where the loop is the dataset itself."""
    groups: dict[str, list[LineTime]] = defaultdict(list)
    for line in lines:
        loop = run.source.loop_around(line.file, line.line)
        yields = loop is not None and any(
            "yield" in text for text in run.source.lines(line.file)[loop[0] - 1 : loop[1]]
        )
        if loop is None or yields:
            groups[f"line {line.line} of {line.function}"].append(line)
        else:
            groups[f"the loop in lines {loop[0]}-{loop[1]} of {line.function}"].append(line)
    return groups


def _by_function(lines: list[LineTime]) -> dict[str, list[LineTime]]:
    groups: dict[str, list[LineTime]] = defaultdict(list)
    for line in lines:
        if line.function.rpartition(".")[2] not in ENTRIES:
            groups[line.function].append(line)
    return groups


def _diagnose(run: Evidence, loader: LoaderFacts, spot: _Spot) -> Diagnosis | None:
    make_s = loader.make_s or 0.0
    part = spot.share * float(loader.fetch.mean()) / make_s
    by_values = spot.by_element or all(is_element_loop(run, line) for line in spot.lines[:5])
    remains = VECTORISED if by_values else REMAINING
    change = Reload(loader.id, fetch=remains.of_part(spot.share))
    if part < MIN_PART:
        return None
    if by_values and saved_share(run, change) < MIN_SAVING:
        return None
    beside_workers = saved_share_beside_workers(run, loader, change, overlap=True)
    if not by_values and beside_workers < max(MIN_SAVING, MIN_LEFT * saved_share(run, change)):
        return None
    waiting = _waiting(loader, spot)
    waits = waiting >= MOSTLY_WAITING
    text = run.source.line(spot.lines[0].file, spot.lines[0].line)
    return Diagnosis(
        title="A file or network read holds up the batches" if waits else "",
        summary=(
            f"{spot.name[0].upper()}{spot.name[1:]} takes {part:.0%} of making a batch ({part * make_s * 1000:.1f} of "
            f"{make_s * 1000:.1f} ms), {'waiting for I/O' if waits else 'computing'} "
            f"{waiting if waits else 1 - waiting:.0%} of that time{f': {text}' if text else ''}."
        ),
        where=shares({line.site: line.seconds for line in spot.lines[:5]}),
        fix=Fix(text=_advice(spot, waits)),
        changes=[change],
        basis="stated range",
        covers=spot.inner,
        offer=not (by_values or waits or _loops(run, spot)) and _least(run, loader, spot) < MIN_SAVING,
        evidence={
            "share of making a batch": round(part, 4),
            "ms a batch": round(part * make_s * 1000, 3),
            "off the CPU": round(spot.waiting, 3),
            "of it not for want of a core": round(waiting, 3),
            "in Python itself": round(_python_share(spot), 3),
            "library function below": spot.lines[0].callee or "none",
            "num_workers": loader.num_workers,
        },
    )


def _loops(run: Evidence, spot: _Spot) -> bool:
    """Whether Python itself goes through something there: several lines, a loop, a comprehension."""
    if len(spot.lines) > 1 or spot.name.startswith("the loop"):
        return True
    first, last = run.source.statement(spot.lines[0].site)
    return any(
        isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)) and first <= node.lineno <= last
        for node in ast.walk(run.source.tree(spot.lines[0].file))
    )


def _least(run: Evidence, loader: LoaderFacts, spot: _Spot) -> float:
    """What the least of the range saves, of loop time, beside workers."""
    worst = Factor(REMAINING.worst, REMAINING.worst, REMAINING.worst)
    return saved_share_beside_workers(run, loader, Reload(loader.id, fetch=worst.of_part(spot.share)), overlap=True)


def _waiting(loader: LoaderFacts, spot: _Spot) -> float:
    """Off the CPU, at most what the whole dataset waits for other things than a core."""
    known = storage_wait(loader)
    return spot.waiting if known is None else min(spot.waiting, known / spot.share)


def _python_share(spot: _Spot) -> float:
    seconds = sum(line.seconds for line in spot.lines)
    return sum(line.leaf_share * line.seconds for line in spot.lines) / seconds if seconds else 0.0


def _advice(spot: _Spot, waits: bool) -> str:
    if waits:
        return (
            "Keep the data where reading it is quick: a local or in-memory copy, or fewer and larger files. More "
            "workers wait at the same time, so they help as well."
        )
    if spot.by_element:
        return "It calls Python for each row or value: put one operation on the whole array, or column, in its place."
    if len(spot.lines) > 1 or spot.name.startswith("the loop"):
        return "Replace the loop by one array operation; or do it once for each item and keep the result."
    return "Use a cheaper operation here; or, where the result is the same each time, compute it once and keep it."
