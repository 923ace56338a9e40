"""Forked workers copy the dataset's Python objects, page by page, until memory is short.

What it is: a dataset that holds very many Python objects (a list of paths, of dictionaries, of strings) in workers that
were forked. Forked processes share memory until one of them writes to it, and Python writes to an object whenever it is
looked at: it counts references in it.

Why it is slow: over a pass each worker copies what it touches, in the end the whole dataset. It takes no time to speak
of until memory runs out; then the machine swaps, or the kernel kills a worker ("killed by signal: Killed").

How it is seen: a worker's memory map says that its private memory grew and its resident memory did not: shared pages
became its own. (Where resident memory grows too, the dataset keeps new objects; that is no copying.) The
rate between the last two readings is projected to the end of the pass, at most to all that is still shared.

Saving: none is stated. Copying costs little; this is a risk, with the severity high where what is free would not do,
medium where the copies would take a tenth of the machine's memory.

Stays quiet when: workers are spawned, the growth ends below a tenth of the machine's memory, or memory was read less
than twice in each worker (runs under some 10 s, half a minute where processes are large: reading a map takes its time).

Fix: one array instead of many objects: numpy or Arrow arrays of strings or of encoded items with an array of offsets.

Sources: pytorch#13246 (copy-on-read of Python objects), pytorch#20433; detectron2's serialised dataset lists.
"""

from __future__ import annotations

from slowprobe.diagnose.edits import place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Risk
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.worker_memory import PrivateGrowth

MIN_SHARE = 0.10  # of the machine's memory; less is within what page cache and other processes come and go by
FREE_SHARE = 0.9  # of what was free: the rest goes to what else grows in a pass

RULE = Rule(
    title="Workers copy the dataset's Python objects",
    bottleneck="memory",
    needs=("loaders", "private_growth", "host", "available_bytes", "ranks_here", "partition", "source"),
)


def check(run: Evidence) -> Answer:
    """Find loaders whose forked workers grow by copying."""
    forked = [each for each in run.loaders if each.num_workers > 0 and each.making.context in ("fork", None)]
    if not forked:
        return NotApplicable("no loader has forked workers")
    seen = [(loader, run.private_growth[loader.id]) for loader in forked if loader.id in run.private_growth]
    memory = float(run.host.get("memory_bytes") or 0) / run.ranks_here
    if not seen or not memory:
        return NotChecked("the workers' memory was not read twice; that takes a run of 10 to 30 s")
    found = [diagnosis for loader, growth in seen if (diagnosis := _diagnose(run, loader, growth, memory)) is not None]
    most = max(growth.copied_bytes + _to_come(run, loader, growth) for loader, growth in seen)
    return found or Passed(
        f"workers copy {most / 1e6:.0f} MB of what they share in a pass, {most / memory:.1%} of memory"
    )


def _to_come(run: Evidence, loader: LoaderFacts, growth: PrivateGrowth) -> float:
    """What will be copied until the pass is over: what is touched twice is copied once."""
    done = loader.batches / max(loader.passes, 1)
    if loader.passes > 1 or loader.length is None or done >= loader.length:
        return 0.0
    left_s = (loader.length - done) * run.partition.loop_s / max(loader.batches, 1)
    return float(min(growth.rate * left_s, growth.shared_bytes))


def _diagnose(run: Evidence, loader: LoaderFacts, growth: PrivateGrowth, memory: float) -> Diagnosis | None:
    to_come = _to_come(run, loader, growth)
    total, free = growth.copied_bytes + to_come, run.available_bytes
    short = free is not None and to_come > FREE_SHARE * free
    if not short and total < MIN_SHARE * memory:
        return None
    found = run.source.find_class(loader.items_of)
    ahead = f", and {to_come / 1e9:.1f} GB more until the pass is over" if to_come else ""
    return Diagnosis(
        summary=(
            f"{growth.workers} forked workers copied {growth.copied_bytes / 1e9:.2f} GB of the dataset in "
            f"{growth.over_s:.0f} s{ahead}: Python writes a reference count into each object that they look at."
        ),
        where=place(Site(found[0], found[1].lineno, found[1].name) if found is not None else None, loader.where),
        fix=Fix(
            text=(
                "Keep the items in 1 array each instead of in many Python objects: self.paths = np.array(paths) for "
                "strings; for anything else one np.uint8 array of pickled items with their offsets, or an Arrow table. "
                "Arrays have one reference count, so workers go on sharing them."
            ),
        ),
        changes=[],
        risk=Risk(
            "high" if short else "medium",
            f"{'memory runs out' if short else f'{total / memory:.0%} of memory'} before the pass is over"
            if to_come
            else f"{total / memory:.0%} of memory is held twice",
        ),
        evidence={
            "copied, MB": round(growth.copied_bytes / 1e6, 1),
            "MB/s a worker": round(growth.rate / growth.workers / 1e6, 2),
            "to come in this pass, MB": round(to_come / 1e6, 1),
            "still shared, MB": round(growth.shared_bytes / 1e6, 1),
            "new objects kept, MB": round(growth.kept_bytes / 1e6, 1),
            "memory of the machine, MB": round(memory / 1e6),
            "least that was free, MB": round(free / 1e6) if free is not None else "unknown",
            "num_workers": loader.num_workers,
        },
    )
