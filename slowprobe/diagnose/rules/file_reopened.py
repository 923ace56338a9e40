"""The dataset opens the same file again for every item.

What it is: h5py.File, lmdb.open, zarr.open, np.load, pandas' readers or open with the same arguments each time, in
__getitem__ or below it; and what is read from it next, where that is the same each time, too (an array of an archive,
an unpickled file).

Why it is slow: opening reads and parses the file's header and index (np.load and pandas: the whole file) for every
item; kept open, an item costs its own bytes only.

How it is seen: stack samples on the lines while batches are made, in workers or the training process. That it is the
same file is read off the code: its arguments depend on no index, loop or other parameter of the item, and nothing keeps
what was opened (a condition around it, a cached function). The fix is replayed with the lines cheaper.

Saving: lines that only open, read all of a file or read the same each time are gone: kept, what they gave is looked up
in a microsecond (up to 0.02 of their time). Where a line opens a file and reads the item from it, a stated range: 0.1
of its time is expected to remain, from nothing to 0.5.

Stays quiet when: it takes less than a tenth of making a batch, each item opens its own file (small-files), or the loop
does not wait for batches. More workers would only do it at several places at once.

Fix: open on first use, once in every worker process (a handle must not be carried over a fork):

    @functools.cache
    def opened(process, *arguments, **options):
        return h5py.File(*arguments, **options)

    rows = opened(os.getpid(), self.path, "r")["rows"]

Sources: h5py documentation (multiprocessing); PyTorch forum, "DataLoader, when num_worker > 0, there is bug" (open in
__getitem__ once); LMDB documentation (open an environment once a process).
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edits import diff, statement_lines
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.making_parts import MIN_SAMPLES, Part, cheaper, examined, hardly_waits, of_batch, part_of
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import COVERING
from slowprobe.diagnose.same_file import opener_at
from slowprobe.diagnose.same_reading import reader_at, reads_items
from slowprobe.run.record import Site
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor
from slowprobe.timeline.making_stacks import StackTime

MIN_PART = 0.1  # of making a batch; opening is pure loss, so a tenth of it is worth an edit
KEPT, READ = Factor(0.0, 0.0, 0.02), Factor(0.0, 0.1, 0.5)  # see "Saving" above
KEEP_OPEN = "Open it once in every worker process, on first use, and keep it open."
KEEP_DATA = "Read it once, in __init__ or on first use in every worker process, and keep what was read."
LEVELS = 3  # from the call up to the dataset's __getitem__

RULE = Rule(
    title="The same file is opened for every item",
    bottleneck="input",
    needs=("loaders", "making_stacks", "replay", "source"),
    closer_than=("slow-transform", "small-files", "storage-bound", "repeated-deterministic-prep"),
    before=COVERING,
)


def check(run: Evidence) -> Answer:
    """Find lines that open one file over and over."""
    return examined(run, _diagnose)


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | Passed | NotChecked:
    if loader.id not in run.making_stacks:
        return NotChecked("no stack samples were taken while batches were made")
    openers: dict[tuple[Site, ...], tuple[str, ast.Call] | None] = {}
    rereading: set[Site] = set()

    def opens(stack: StackTime) -> bool:
        sites = callers(stack)
        if sites not in openers:
            openers[sites] = opener_at(run.source, sites)
            if openers[sites] is None and (reader := reader_at(run.source, sites)) is not None:
                openers[sites] = reader
                rereading.add(sites[0])
        return openers[sites] is not None

    part = part_of(run, loader, "fetch", opens)
    share = of_batch(loader, part)
    if share < MIN_PART or part.samples < MIN_SAMPLES:
        return Passed(f"opening one file again takes {share:.0%} of making a batch")
    change = cheaper(loader, part, _remaining(run, part, openers, rereading))
    reason = hardly_waits(run, change)
    if reason:
        return Passed(f"opening one file again takes {share:.0%} of making a batch, but {reason}")
    site = part.site
    name = next(found[0] for sites, found in openers.items() if found is not None and sites[0] == site)
    per_item = loader.making.opens_per_item
    again = site in rereading
    return Diagnosis(
        title=f"{name} opens the same file for every item",
        summary=(
            f"{name}{', and reading the same from it,' if again else ''} takes {share:.0%} of making a batch "
            f"({share * (loader.make_s or 0) * 1000:.1f} of {(loader.make_s or 0) * 1000:.1f} ms), for "
            f"{'what could be kept' if again else 'a file that could stay open'}: "
            f"{run.source.line(site.file, site.line) if site else ''}"
        ),
        where=part.where,
        fix=Fix(text=KEEP_DATA, diff=_cached(run, site)) if again else Fix(text=KEEP_OPEN, diff=_diff(run, site, name)),
        changes=[change],
        basis="stated range" if change.fetch.worst - change.fetch.best > 0.1 else "replay",
        evidence={
            "share of making a batch": round(share, 4),
            "ms a batch": round(share * (loader.make_s or 0) * 1000, 3),
            "files opened by Python code, an item": "not counted" if per_item is None else round(per_item, 2),
            "off the CPU": round(part.waiting, 3),
            "num_workers": loader.num_workers,
        },
    )


def _remaining(
    run: Evidence, part: Part, openers: dict[tuple[Site, ...], tuple[str, ast.Call] | None], rereading: set[Site]
) -> Factor:
    """What remains of the lines together."""
    names = {sites[0]: found[0] for sites, found in openers.items() if found is not None}
    seconds = sum(part.lines.values())
    reads = [
        site
        for site in part.lines
        if site not in rereading and (site not in names or reads_items(run.source, site, names[site]))
    ]
    share = sum(part.lines[site] for site in reads) / seconds if seconds else 0.0
    return Factor(
        *(share * getattr(READ, case) + (1 - share) * getattr(KEPT, case) for case in ("best", "expected", "worst"))
    )


def callers(stack: StackTime) -> tuple[Site, ...]:
    """The user's lines from the innermost outwards."""
    users = [index for index in range(stack.user, -1, -1) if stack.users[index]][: LEVELS + 1]
    return tuple(site for index in users if (site := stack.site_at(index)) is not None)


def _cached(run: Evidence, site: Site | None) -> str:
    """The function around a line, cached: where it takes nothing but its object, and gives what was read."""
    function = run.source.function_around(site.file, site.line) if site is not None else None
    if site is None or function is None or function.name.startswith("__") or isinstance(function, ast.AsyncFunctionDef):
        return ""
    takes = [argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)]
    gives = any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(function))
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function))
    if takes not in ([], ["self"]) or not gives or yields or function.decorator_list:
        return ""
    head = run.source.lines(site.file)[function.lineno - 1].strip()
    return diff([head], ["@functools.cache", head])


def _diff(run: Evidence, site: Site | None, name: str) -> str:
    """The call put through a cache; not for open(), whose position in the file would be shared, nor for archives."""
    if site is None or name == "open" or name.endswith(("ZipFile", "tarfile.open")):
        return ""
    lines = statement_lines(run.source, site)
    text = "\n".join(lines)
    if f"{name}(" not in text:
        return ""
    edited = text.replace(f"{name}(", "opened(os.getpid(), ", 1)
    with_block = edited.lstrip().startswith("with ")
    if with_block:  # its end would close the file
        head, _, rest = edited.partition("opened(")
        inner, found, tail = rest.rpartition(" as ")
        if not found:
            return ""
        edited = f"{head}contextlib.nullcontext(opened({inner}) as {tail}"
    mapped = name.endswith("np.load") and "mmap_mode" not in text and ".npz" not in text
    options = '*arguments, mmap_mode="r", **options' if mapped else "*arguments, **options"
    helper = [
        "@functools.cache",
        "def opened(process, *arguments, **options):",
        f"    return {name}({options})",
        "",
        "",
    ]
    return diff(lines, [*helper, *edited.splitlines()])
