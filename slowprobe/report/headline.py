"""The verdict in one sentence, and the other texts that say what was seen."""

from __future__ import annotations

from slowprobe.diagnose.doubt import BUSY, ENOUGH_STEPS, Doubt, confidence, usable_steps
from slowprobe.diagnose.engine import Examination
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Range
from slowprobe.diagnose.hot_lines import stretched
from slowprobe.report.document import Overhead, Reach, Verdict
from slowprobe.run.schema import End, Note, Window
from slowprobe.timeline.neighbours import TAKEN
from slowprobe.timeline.ranks.count import ranks

UNSURE = 3  # checks not made; with fewer, "nothing found" still means something


def verdict(evidence: Evidence, examined: Examination, reached: Reach | None = None) -> Verdict:
    """The bottleneck is that of the first finding; a loop without high or medium findings has none."""
    none = Range(1.0, 1.0, 1.0)
    steps = evidence.steps
    if not steps:
        raised = _raised(evidence)
        text = f"The script stopped with {raised} before any training step." if raised else "No training step was seen."
        return Verdict(bottleneck="none", headline=text, share=0.0, speedup=none)
    found = leading(examined)
    if found is not None:
        return found
    unlooked = sum(outcome.status == "not-checked" for outcome in examined.outcomes.values())
    sure = confidence(examined.doubts)
    text = "No bottleneck worth mending was found."
    if unlooked >= UNSURE and not evidence.run.of(Window):
        text = (
            f"No bottleneck was found, but {unlooked} of {len(examined.outcomes)} checks could not be made: "
            f"the loop was over, or stopped, after {steps.count} {_unit(steps.unit, steps.count)}"
            f"{_passes(evidence)}."
        )
        sure = "low"
    elif sure == "low":
        text = f"Whether there is a bottleneck is not sure: {_because(examined.doubts)}."
    else:
        text += _rough(examined.doubts) + (f" {reached.text}" if reached is not None else "")
    if examined.findings:
        text += " Small savings are listed below." if sure != "low" else " What was seen is listed below."
    return Verdict(bottleneck="none", headline=text, share=0.0, speedup=none, confidence=sure)


def leading(examined: Examination) -> Verdict | None:
    """The verdict that the first grave finding gives; None where none is high or medium."""
    serious = [finding for finding in examined.findings if finding.severity != "low"]
    if not serious:
        return None
    top = serious[0]
    low, joint, high = examined.joint.speedup
    share = top.saving.seconds / examined.joint.before_s if examined.joint.before_s else 0.0
    others = len(serious) - 1
    also = "" if not others else f", {'one more finding' if others == 1 else f'{others} more findings'} included"
    expected = joint if others else top.saving.speedup.expected  # small findings are not this one's merit
    headline = f"{top.title}: mending it would make the loop run {_times(expected)}{also}."
    if top.saving.basis == "none":
        headline = f"{top.title}: {top.risk}."
    else:
        headline += _rough(examined.doubts)
    return Verdict(
        bottleneck=top.bottleneck,
        headline=headline,
        share=round(share, 4),
        speedup=Range(round(low, 3), round(joint, 3), round(high, 3)),
        confidence=top.confidence,
    )


def _because(about: list[Doubt]) -> str:
    return " and ".join(doubt.because for doubt in about)


def _rough(about: list[Doubt]) -> str:
    """What follows a verdict that is less than sure."""
    sure = confidence(about)
    if sure == "high":
        return ""
    meaning = "the figures are rough" if sure == "medium" else "take it as a hint"
    because = _because(about)
    return f" {because[0].upper()}{because[1:]}: {meaning}."


def _passes(evidence: Evidence) -> str:
    """Where an optimizer step calls a closure many times (L-BFGS), how much of the loop was seen all the same."""
    passes = sum(facts.calls for facts in evidence.backwards)
    if evidence.steps.unit != "optimizer step" or passes < 2 * evidence.steps.count:
        return ""
    return f" of {passes / evidence.steps.count:.0f} backward passes"


def _raised(evidence: Evidence) -> str:
    """The exception that ended the script, where it ended with one."""
    end = evidence.run.last(End)
    return end.exception or "" if end is not None else ""


def _unit(unit: str, count: int) -> str:
    plural = "es" if unit.endswith(("ch", "s")) else "s"
    return unit if count == 1 else unit + plural


def _times(factor: float) -> str:
    return f"{factor:.1f}× as fast" if factor >= 1.095 else f"{factor - 1:.0%} faster"


def overhead(evidence: Evidence) -> Overhead:
    """slowprobe's own cost: span probes, the sampling thread, windows, and start and end."""
    costs = evidence.costs
    split = evidence.partition
    windows_s = sum((w.resumed_ns - w.opened_ns) - (w.end_ns - w.start_ns) for w in evidence.run.of(Window)) / 1e9
    probes_s = sum(split.probes.values())
    sampler_s = costs.get("slowprobe.background_cpu_ns", 0.0) / 1e9
    ends_s = split.bucket_s("slowprobe") - windows_s - probes_s
    total = probes_s + sampler_s + windows_s + max(0.0, ends_s)
    count = max(evidence.steps.count, 1)
    share = total / split.wall_s if split.wall_s else 0.0
    text = (
        f"Probes {probes_s:.3f} s, stack sampler {sampler_s:.3f} s (on a thread of its own), "
        f"profiler windows {windows_s:.3f} s, start and end {max(0.0, ends_s):.3f} s: {share:.2%} of the run."
    )
    if not costs:
        text = f"The run was cut short, so only the windows' cost is known: {windows_s:.3f} s."
    return Overhead(
        share=round(share, 6),
        per_step_us=round((probes_s + sampler_s) / count * 1e6, 3),
        windows_s=round(windows_s, 6),
        text=text,
    )


def notes(evidence: Evidence) -> list[str]:
    """What the reader should know before believing the figures."""
    found = [note.text for note in evidence.run.of(Note)]
    steps = evidence.steps
    if steps and (count := usable_steps(evidence)) < ENOUGH_STEPS:
        some = f"{count or 'no'} steady {'step was' if count == 1 else 'steps were'}"
        found.append(f"Only {some} recorded: shares and savings are rough.")
    found += _busy(evidence)
    if evidence.recording.detached_ns is None:
        found.append("The run was cut short: what happened after the last write (about a second) is not known.")
    if evidence.run.lost_lines:
        found.append(f"{evidence.run.lost_lines} damaged lines of the recording were left out.")
    if ranks(evidence.run) > 1:
        found.append(f"This is rank {evidence.run.manifest.rank} of {ranks(evidence.run)}; ranks are not merged yet.")
    return found


def _busy(evidence: Evidence) -> list[str]:
    beside, off = evidence.neighbours, stretched(evidence)
    if beside is not None and beside.in_the_way:
        what = f"its cores were {beside.busy:.0%} busy, {beside.others:.0%} with processes that are no part of this run"
    elif off > BUSY and not _by_itself(evidence):
        what = f"the training thread was off the CPU for {off:.0%} of the time that it had work"
    else:
        return []
    return [
        f"The machine was busy: {what}. All times are longer than they would be alone, and shares of short operators "
        "less certain." + _threads(evidence)
    ]


def _by_itself(evidence: Evidence) -> bool:
    """Whether what took the cores was the run's own: loader workers, unless readings of the machine show others."""
    beside = evidence.neighbours
    if beside is None:
        return any(loader.num_workers for loader in evidence.loaders)
    return beside.others < TAKEN


def _threads(evidence: Evidence) -> str:
    threads = evidence.operator_threads or 1
    if threads < 2:
        return ""
    return (
        f" Operators run on {threads} threads that wait for each other, which suffers most from it: if the machine is "
        "always shared, try OMP_NUM_THREADS=1."
    )


def advice(evidence: Evidence) -> list[str]:
    """For a run without training steps: what was seen, and what to try."""
    if evidence.steps:
        return []
    if _raised(evidence) not in ("", "SystemExit", "KeyboardInterrupt"):
        return ["The script's own output says why; slowprobe changes neither output nor errors."]
    totals = evidence.recording.totals
    waits = sum(total.count for (kind, _), total in totals.items() if kind == 1)
    forwards = sum(facts.calls for facts in evidence.forwards)
    seen = f"Seen: {waits} batches from {len(evidence.loaders)} loaders, {forwards} outermost forward passes, "
    found = [seen + "no backward pass and no optimizer step on the main thread."]
    if not totals:
        found = ["The script ran to its end without using torch on its main thread."]
    found += [
        "If training runs in another process or thread (a launcher, mp.spawn), profile that process: put "
        "@slowprobe.profile on the training function that runs there.",
        "If the loop feeds itself from something torch does not know, wrap it: for batch in slowprobe.watch(batches).",
        "If the run ended before training began, its own output says why; slowprobe changes neither output nor errors.",
    ]
    return found
