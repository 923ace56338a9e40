"""Loader workers, or other ranks, and the step's own threads want more cores than there are, and hold each other up.

What it is: num_workers processes that compute, beside operators on as many threads as there are cores; or ranks on one
machine that each run their operators on all of its cores.

Why it is slow: a parallel operator ends with its slowest thread. A thread that shares its core with a worker makes all
the others wait, spinning, on cores that the workers could use.

How it is seen: the CPU time of workers and step against the cores of this rank; the time in which workers were ready to
run and had no core, as the kernel counts it. After the run the step's dearest operators are called again, alone, on the
run's threads and on one: what they took beside the workers, over that, is how much a parallel region is held up (a
range stands for it where nothing could be tried). The recorded batches and steps are replayed with fewer threads, with
fewer workers, and with both; the best is recommended.

Stays quiet when: workers wait for a core for less than a fifth of their time, everything fits on the cores, a replay
gains less than 10 % or may lose (what fewer workers save only because fewer are started does not count: see
spawn-pickle and worker-restart-each-epoch), workers are started anew in each pass at a price, or other programs took
the cores.

Fix: torch.set_num_threads(n) in the training process (of each rank its part of the cores), or fewer workers.

Sources: PyTorch Performance Tuning Guide (threads of operators beside other processes); SageMaker Debugger (CPU use
above 100 %); PyTorch's warning on the number of workers.
"""

from __future__ import annotations

import math

from slowprobe.diagnose.edits import diff, place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._crowded_ranks import SPARE, crowded_ranks, is_crowded
from slowprobe.timeline.loader_model import LoaderModel
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Change, Reload, Threads

MIN_DELAY = 0.2  # of the workers' time; less is the ordinary taking of turns
MIN_SAVING = 0.10  # of loop time: the model strays by as much (docs/accuracy.md), and the setting is a whole process's

RULE = Rule(
    title="Workers and operator threads hold each other up",
    bottleneck="input",
    needs=(
        *("loaders", "loader_models", "replay", "neighbours", "cores_per_rank", "source"),
        *("ranks_here", "cores", "operator_threads", "step_alone", "partition", "steps", "settings"),
    ),
)


def check(run: Evidence) -> Answer:
    """Find loaders whose workers and whose steps want the same cores."""
    mine = [loader for loader in run.loaders if loader.primary and loader.num_workers and not loader.watched]
    if is_crowded(run):
        return crowded_ranks(run)
    if not mine:
        return NotApplicable("no training loader has worker processes, and no rank more threads than its cores")
    loader = mine[0]
    model, delay = run.loader_models.get(loader.id), delayed(loader)
    if model is None or delay is None:
        return NotChecked("how long workers waited for a core was not recorded")
    if delay < MIN_DELAY:
        return Passed(f"workers waited for a core in {delay:.0%} of their time")
    if run.neighbours is not None and run.neighbours.in_the_way:
        return NotChecked("other programs took the cores")
    wanted = _wanted(model, loader)
    if wanted <= SPARE * run.cores_per_rank:
        return Passed(f"workers and step want {wanted:.1f} of {run.cores_per_rank:.1f} cores")
    if _restarts(run, loader):
        return Passed("workers are started anew in every pass, which costs more: see worker-restart-each-epoch")
    return _best(run, loader, model, delay, wanted)


def _restarts(run: Evidence, loader: LoaderFacts) -> bool:
    """Whether keeping the workers saves as much as would be asked of this rule: fewer are also fewer to start."""
    if loader.persistent_workers or loader.passes < 2:
        return False
    kept = run.replay.outlook([Reload(loader.id, persistent_workers=True)])
    return bool(kept.saved_s >= MIN_SAVING * kept.before_s)


def delayed(loader: LoaderFacts) -> float | None:
    """Share of the time in which workers made batches that they had no core; None where the kernel did not count."""
    made_s = sum(worker.made_s for worker in loader.making.workers)
    delay_s = loader.making.run_delay_s
    return None if delay_s is None or made_s <= 0 else min(1.0, delay_s / made_s)


def _wanted(model: LoaderModel, loader: LoaderFacts) -> float:
    """Cores that are wanted while all workers and a parallel operator are at work."""
    alone = model.alone("expected")
    cpu_s, idle_s = float(alone.cpu.mean()), float(alone.idle.mean())
    return alone.cores.threads + loader.num_workers * (cpu_s / (cpu_s + idle_s) if cpu_s + idle_s > 0 else 1.0)


def _best(run: Evidence, loader: LoaderFacts, model: LoaderModel, delay: float, wanted: float) -> Diagnosis | Passed:
    cores, threads, workers = math.floor(run.cores_per_rank), model.alone("expected").cores.threads, loader.num_workers
    fewer_threads = sorted({each for each in (1, cores // 2, cores - workers, cores - 1) if 0 < each < threads})
    fewer_workers = sorted({each for each in (1, workers // 2, cores - 1) if 0 < each < workers})
    plans = [(count, workers) for count in fewer_threads]
    plans += [(threads, count) for count in fewer_workers]
    plans += [(count, other) for count in fewer_threads for other in fewer_workers]
    outlooks = {plan: run.replay.outlook(_changes(loader, threads, *plan)) for plan in plans}
    if not outlooks:
        return Passed(f"{threads} thread and {workers} worker are the least there can be")
    plan = min(outlooks, key=lambda each: outlooks[each].expected_s)
    outlook = outlooks[plan]
    steady_s = outlook.saved_s - model.starts_saved_s(plan[1])
    if steady_s < MIN_SAVING * outlook.before_s or outlook.worst_s > outlook.before_s:
        gain = max(0.0, steady_s) / outlook.before_s if outlook.before_s > 0 else 0.0
        return Passed(
            f"workers and step want {wanted:.1f} of {run.cores_per_rank:.1f} cores, but fewer of either are expected "
            f"to gain {gain:.0%}, and may lose"
        )
    return _diagnosis(run, loader, (threads, *plan), delay, wanted)


def _changes(loader: LoaderFacts, threads: int, count: int, workers: int) -> list[Change]:
    changes: list[Change] = [] if count == threads else [Threads(count)]
    return changes if workers == loader.num_workers else [*changes, Reload(loader.id, workers)]


def _diagnosis(
    run: Evidence, loader: LoaderFacts, plan: tuple[int, int, int], delay: float, wanted: float
) -> Diagnosis:
    threads, count, workers = plan
    site = run.source.find("set_num_threads(")
    texts, edits = [], []
    if count != threads:
        call = f"torch.set_num_threads({count}), once before the loop"
        texts.append(f"{count} thread{'s' if count > 1 else ''} for operators ({call})")
        edits.append(diff([run.source.line(site.file, site.line)] if site else [], [f"torch.set_num_threads({count})"]))
    if workers != loader.num_workers:
        texts.append(f"{workers} worker{'s' if workers > 1 else ''} instead of {loader.num_workers}")
        edits.append(set_arguments(run.source, loader.where, loader.class_name, num_workers=str(workers)))
    return Diagnosis(
        summary=(
            f"{loader.num_workers} workers and operators on {threads} threads want {wanted:.1f} cores, and there are "
            f"{run.cores_per_rank:.1f}: workers waited for a core in {delay:.0%} of their time."
        ),
        where=place(*([site] if site and count != threads else []), loader.where),
        fix=Fix(text=f"Use {' and '.join(texts)}.", diff="\n".join(edit for edit in edits if edit)),
        changes=_changes(loader, threads, count, workers),
        evidence={
            "workers waiting for a core, of their time": round(delay, 3),
            "cores wanted at a time": round(wanted, 2),
            "cores": run.cores_per_rank,
            "operator threads": threads,
            "recommended operator threads": count,
            "num_workers": loader.num_workers,
            "recommended num_workers": workers,
        },
    )
