"""Every worker of an IterableDataset makes the same batches.

What it is: a DataLoader with several workers over an IterableDataset whose __iter__ does not ask which worker it runs
in. Each worker has a copy of the dataset and iterates all of it.

Why it is slow: a pass over the loader has num_workers times the batches of a pass over the data. The loop trains on
each sample that many times an epoch, and workers, instead of making other batches, make the same ones again.

How it is seen: a digest of the first three batches that each worker made: they are equal from worker to worker, though
they differ from batch to batch.

Saving: a pass becomes num_workers times shorter, by replay. At worst it becomes no shorter than the workers were busy:
when each of them must still read everything to get at its part.

Stays quiet when: the workers' batches differ (a split, or shuffling with a seed of each worker's own), all batches of a
worker are alike (constant data tells nothing), or there is one worker.

Fix: split by torch.utils.data.get_worker_info() in __iter__, best by files or ranges, so that no worker reads what it
does not yield; for Hugging Face datasets more shards than workers; with several ranks split_dataset_by_node.

Sources: PyTorch documentation of IterableDataset (multi-process loading).
"""

from __future__ import annotations

import ast
import math

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Risk, Where
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._same_batches import first_digests, same_batches
from slowprobe.run.record import Site
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Change, Factor, Fewer, Scale
from slowprobe.timeline.recording import KIND

ROLES = ("training", "evaluation")

RULE = Rule(
    title="Every loader worker makes the same batches",
    bottleneck="input",
    needs=("loaders", "partition", "source"),
)


def check(run: Evidence) -> Answer:
    """Find loaders whose workers do not share the data out."""
    loaders = [each for each in run.loaders if each.iterable and each.num_workers > 1 and each.role in ROLES]
    if not loaders:
        return NotApplicable("no IterableDataset is read by several workers")
    same = {loader.id: same_batches(loader) for loader in loaders}
    found = [_diagnose(run, loader) for loader in loaders if same[loader.id]]
    if found:
        return found
    if not any(told is False for told in same.values()):
        return NotChecked("fewer than two different batches were recorded of each worker, so they cannot be compared")
    return Passed("the first batches of different workers differ")


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis:
    workers, name = loader.num_workers, loader.dataset_name
    where, edit = _edit(run, name)
    ends = bool(run.partition.by_key.get((KIND["loader_end"], loader.id)))
    batches = loader.batches / max(loader.passes, 1)
    return Diagnosis(
        summary=(
            f"The first batches of all {workers} workers are the same: {name} does not split its data among them. "
            f"Of {batches:.0f} batches a pass {batches / workers:.0f} are different; "
            + (
                f"each sample is trained on {workers} times an epoch."
                if loader.role == "training"
                else "the rest is evaluated again."
            )
        ),
        where=[*where, *place(loader.where)],
        fix=Fix(
            text=(
                f"Let each worker yield one item in {workers}, offset by its id; where skipping an item costs as much "
                "as making it, split the files or the range instead. A pass then has each sample once: schedules that "
                "count batches or epochs need a look."
            ),
            diff=edit,
        ),
        changes=_shorter(run, loader) if ends else [],
        risk=Risk("medium", f"each sample is repeated {workers} times"),
        evidence={
            "num_workers": workers,
            "batches a pass": round(batches, 1),
            "batches a worker": ", ".join(str(worker.batches) for worker in loader.making.workers[:8]),
            "batches of each worker compared": min(len(each) for each in first_digests(loader).values()),
            "the pass ends by itself": "yes" if ends else "no, so no saving is stated",
        },
    )


def _shorter(run: Evidence, loader: LoaderFacts) -> list[Change]:
    """A pass with one batch in num_workers; nothing where another loader feeds the same steps."""
    if [each.id for each in run.loaders if each.role == loader.role] != [loader.id]:
        return []
    once = 1 / loader.num_workers
    busy = [worker.busy_share for worker in loader.making.workers if not math.isnan(worker.busy_share)]
    left = Factor(once, once, max(once, sum(busy) / len(busy)) if busy else 1.0)
    if loader.role == "training":
        return [Fewer(left)]
    seconds = run.partition.seconds.get(("off_step", "evaluation"), 0.0)
    return [Scale("evaluation", "off_step", seconds, left)] if seconds > 0 else []


def _edit(run: Evidence, name: str) -> tuple[list[Where], str]:
    """The outermost loop of the dataset's __iter__ that yields, with its items shared out; without one, the method."""
    found = run.source.find_class(name)
    methods = [node for node in ast.walk(found[1]) if isinstance(node, ast.FunctionDef)] if found else []
    method = next((node for node in methods if node.name == "__iter__"), None)
    if found is None or method is None:
        return [], ""
    file, lines = found[0], run.source.lines(found[0])
    where = place(Site(file, method.lineno, f"{name}.__iter__"))
    loops = [node for node in ast.walk(method) if isinstance(node, ast.For)]
    loop = next((node for node in loops if _yields(node)), loops[0] if loops else None)
    if loop is not None and _yields(loop):
        where = place(Site(file, loop.lineno, f"{name}.__iter__"))
    if loop is None or loop.iter.lineno != loop.iter.end_lineno or loop.lineno != loop.iter.lineno:
        return where, ""
    line = lines[loop.lineno - 1]
    begin, end = loop.iter.col_offset, loop.iter.end_col_offset or 0
    text = line.encode()
    items = text[begin:end].decode()
    shared = text[:begin].decode() + f"itertools.islice({items}, first, None, step)" + text[end:].decode()
    indent = line[: len(line) - len(line.lstrip())]
    added = [
        f"{indent}worker = torch.utils.data.get_worker_info()",
        f"{indent}first, step = (worker.id, worker.num_workers) if worker is not None else (0, 1)",
        shared,
    ]
    return where, diff([line], added)


def _yields(loop: ast.For) -> bool:
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(loop))
