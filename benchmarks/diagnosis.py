"""How right the diagnoses are on planted causes: loops that were written for this measure, with one cause each.

    python benchmarks/diagnosis.py [--rounds 3] [--jobs 1] [--results FILE.jsonl] [--quick | --only NAME,NAME]
                                   [--folder FOLDER]
    python benchmarks/diagnosis.py --tools [--traceml PYTHON] [--torch-tb-profiler PYTHON] [--gpuprof PYTHON]

Each folder of benchmarks/planted holds a loop with a cause (slow.py, its line marked), the same work without it
(fixed.py), and a loop that looks alike and is fine (near_miss.py); the folder healthy holds loops with nothing wrong.
The truth of a speed-up is the ratio of the slow and the fixed loop's time, run bare and interleaved; below 1.1 the
cause is "not planted" on this machine, and the row is left out of the error of the prediction. A script that says
``# slowprobe: no speed-up`` plants a cause that threatens memory and no time: cause and line are judged alone. Cause:
is the first finding the planted rule? Line: is its first place the marked one? Findings of high or medium severity of
any rule on fixed, near_miss and healthy loops are false alarms. Timings mean nothing with other work on the machine.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from other_tools import TOOLS, right_class
from planted_runs import HEALTHY, PLANTED, Outcome, Results, bare, planted_lines, profiled, saves_time, serious

from slowprobe.diagnose.engine import discover

QUICK = ("python_bound", "optimizer_forloop", "logging_every_step", "collate_heavy")
PLANTED_RATIO = 1.1  # below, what is planted is within what two runs of one script differ by
COLUMNS = ("planted", "class", "top finding", "cause", "line", "predicted", "measured", "error", "unaccounted")
HEADER = "| " + " | ".join([*COLUMNS, "fixed: alarms", "near miss: alarms"]) + " |"
ALIGN = "|---|---|---|---|---|---:|---:|---:|---:|---|---|"


@dataclass
class Triple:
    """One planted cause and what came out."""

    name: str
    rule: str
    lines: set[tuple[str, int]]
    runs: dict[str, Outcome]  # profiles by kind
    ratios: list[float]
    failures: list[str]
    saves_time: bool = True  # else the cause threatens something beside time, and no speed-up is looked for

    @property
    def top(self) -> Outcome | None:
        """The first finding on the slow loop."""
        findings = self.runs["slow"].get("findings")
        return findings[0] if findings else None

    @property
    def cause_right(self) -> bool:
        """The first finding is the planted one."""
        return self.top is not None and self.top["rule"] == self.rule

    @property
    def line_right(self) -> bool:
        """The first finding's first place is a marked one."""
        return self.top is not None and self.top["place"] is not None and tuple(self.top["place"]) in self.lines

    @property
    def is_planted(self) -> bool:
        """Whether the fixed loop is faster here; without timings nothing is known against it."""
        return not (self.ratios and self.saves_time) or statistics.median(self.ratios) >= PLANTED_RATIO

    @property
    def error(self) -> float | None:
        """Predicted over measured speed-up, less one; of a right cause that is really there."""
        if not (
            self.ratios
            and self.saves_time
            and self.is_planted
            and self.cause_right
            and self.top
            and self.top["speedup"]
        ):
            return None
        return float(self.top["speedup"]["expected"]) / statistics.median(self.ratios) - 1


def triples(only: list[str], planted: Path = PLANTED) -> list[Path]:
    """The folders of the triples that are asked for."""
    folders = [path.parent for path in sorted(planted.glob("*/slow.py"))]
    if unknown := set(only) - {folder.name for folder in folders} - {HEALTHY}:
        raise SystemExit(f"nothing planted is called {', '.join(sorted(unknown))}")
    return [folder for folder in folders if not only or folder.name in only]


def examine(folder: Path, results: Results, rounds: int, limit_s: float) -> Triple:
    """Time slow and fixed in turn, then profile all three."""
    rule, lines = planted_lines(folder)
    ratios, failures = [], []
    for number in range(rounds):
        order = ("slow", "fixed") if number % 2 == 0 else ("fixed", "slow")
        timed = {
            kind: results.once(
                f"bare-{number}", folder / f"{kind}.py", functools.partial(bare, folder / f"{kind}.py", limit_s)
            )
            for kind in order
        }
        if all("seconds" in outcome for outcome in timed.values()):
            ratios.append(timed["slow"]["seconds"] / timed["fixed"]["seconds"])
        failures += [f"{kind} bare: {timed[kind]['failure']}" for kind in order if "failure" in timed[kind]]
    runs = {kind: _profile(folder / f"{kind}.py", results, limit_s) for kind in ("slow", "fixed", "near_miss")}
    failures += _failures(runs)
    return Triple(folder.name, rule, lines, runs, ratios, failures, saves_time(folder))


def _profile(script: Path, results: Results, limit_s: float) -> Outcome:
    return results.once("profile", script, lambda: profiled(script, limit_s))


def _failures(runs: dict[str, Outcome]) -> list[str]:
    found = [f"{name}: {run['failure']}" for name, run in runs.items() if "failure" in run]
    return found + [f"{name}: error in {', '.join(run['errors'])}" for name, run in runs.items() if run.get("errors")]


def row(triple: Triple, classes: dict[str, str]) -> str:
    """One line of the table."""
    top, slow = triple.top, triple.runs["slow"]
    places = ", ".join(f"{file}:{line}" for file, line in sorted(triple.lines))
    said = f"{top['place'][0]}:{top['place'][1]}" if top and top["place"] else "-"
    speedup = top["speedup"] if top else None
    measured = "-"
    if triple.ratios:
        measured = f"{statistics.median(triple.ratios):.2f} ({min(triple.ratios):.2f} to {max(triple.ratios):.2f})"
        measured += "" if triple.is_planted else ", not planted"
        measured += "" if triple.saves_time else ", no speed-up expected"
    cells = [
        triple.name,
        classes.get(triple.rule, "?"),
        f"`{top['rule']}`" if top else slow.get("failure", "none"),
        "yes" if triple.cause_right else f"no, `{triple.rule}`",
        "yes" if triple.line_right else f"no, {places} not {said}",
        f"{speedup['expected']:.2f} ({speedup['low']:.2f} to {speedup['high']:.2f})" if speedup else "-",
        measured,
        f"{triple.error:+.0%}" if triple.error is not None else "-",
        f"{slow['unaccounted']:.2%}" if "unaccounted" in slow else "-",
        *(", ".join(serious(triple.runs[kind])) or "none" for kind in ("fixed", "near_miss")),
    ]
    return "| " + " | ".join(cells) + " |"


def summary(done: list[Triple], healthy: dict[str, Outcome], classes: dict[str, str]) -> Iterator[str]:
    """What the rows add up to; every triple that was run is in every count, planted on this machine or not."""
    if done:
        count = len(done)
        causes, lines = sum(t.cause_right for t in done), sum(t.line_right for t in done)
        same = sum(t.top is not None and t.top["bottleneck"] == classes.get(t.rule) for t in done)
        yield f"Cause right: {causes} of {count}; bottleneck class right: {same} of {count}; line right: {lines}."
        errors = sorted(abs(t.error) for t in done if t.error is not None)
        if errors:
            high = errors[round(0.9 * (len(errors) - 1))]
            half = statistics.median(errors)
            yield f"Error of predictions, {len(errors)} causes: median {half:.0%}, 90th percentile {high:.0%}."
        yield _counted("Not planted on this machine", [t.name for t in done if not t.is_planted], count)
        for kind in ("fixed", "near_miss"):
            yield _alarms(kind, {t.name: t.runs[kind] for t in done})
        shares = [t.runs["slow"]["unaccounted"] for t in done if "unaccounted" in t.runs["slow"]]
        if shares:
            yield f"Unaccounted in slow runs: median {statistics.median(shares):.2%}, largest {max(shares):.2%}."
    if healthy:
        yield _alarms(HEALTHY, healthy)
    failures = [f"{t.name}: {failure}" for t in done for failure in t.failures]
    failures += [f"{HEALTHY}: {failure}" for failure in _failures(healthy)]
    yield _counted("Runs that failed, or errors in rules", failures)


def _alarms(kind: str, runs: dict[str, Outcome]) -> str:
    """High and medium findings where there ought to be none."""
    found = [f"{name} ({', '.join(rules)})" for name, run in runs.items() if (rules := serious(run))]
    return _counted(f"False alarms on {kind} loops", found, sum("findings" in run for run in runs.values()))


def _counted(what: str, items: list[str], of: int | None = None) -> str:
    count = f"{len(items)} of {of}" if of is not None else f"{len(items)}"
    return f"{what}: {count}" + (f": {'; '.join(items)}." if items else ".")


def _with_tool(name: str, python: str, results: Results, limit_s: float, script: Path) -> Outcome:
    return results.once(name, script, lambda: TOOLS[name](python, script, limit_s * 2))


def compare(folders: list[Path], results: Results, arguments: argparse.Namespace, classes: dict[str, str]) -> None:
    """The slow loops through other tools: what each names first, and whether that is the planted class."""
    ways: dict[str, Any] = {"slowprobe": lambda script: _profile(script, results, arguments.timeout)}
    for name in TOOLS:
        if python := vars(arguments)[name]:
            ways[name] = functools.partial(_with_tool, name, python, results, arguments.timeout)
    print("| planted | class |" + "".join(f" {name} says | right class |" for name in ways))
    print("|---|---|" + "---|---|" * len(ways))
    right = dict.fromkeys(ways, 0)
    for folder in folders:
        expected = classes.get(planted_lines(folder)[0], "?")
        cells = [folder.name, expected]
        for name, way in ways.items():
            outcome = way(folder / "slow.py")
            findings = outcome.get("findings")
            said = outcome.get("says") or (findings[0]["rule"] if findings else _failed(outcome))
            fits = right_class(outcome, expected)
            right[name] += fits
            cells += [said, "yes" if fits else "no"]
        print("| " + " | ".join(cells) + " |", flush=True)
    print("\nRight class: " + ", ".join(f"{name} {count} of {len(folders)}" for name, count in right.items()))


def _failed(outcome: Outcome) -> str:
    return f"does not run: {outcome['failure']}" if "failure" in outcome else "nothing"


def main() -> None:
    """Print the table and what it adds up to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of bare timings; 0 leaves the speed-ups out")
    parser.add_argument("--timeout", type=float, default=180.0, metavar="SECONDS", help="a run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; timings want 1")
    parser.add_argument("--results", type=Path, metavar="FILE.jsonl", help="kept there; what is there is not run again")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help=f"some triples, or {HEALTHY}")
    parser.add_argument("--quick", action="store_true", help="a few triples, one round")
    parser.add_argument("--tools", action="store_true", help="compare with other tools on the slow loops")
    for name in TOOLS:
        has_it = f"an interpreter with torch and {name}"
        parser.add_argument(f"--{name.lower()}", dest=name, type=os.path.abspath, metavar="PYTHON", help=has_it)
    parser.add_argument("--folder", type=Path, default=PLANTED, help="of the triples; default: benchmarks/planted")
    arguments = parser.parse_args()
    planted: Path = arguments.folder.resolve()
    only = [name for name in arguments.only.split(",") if name] or (list(QUICK) if arguments.quick else [])
    rounds = 1 if arguments.quick else arguments.rounds
    results, folders = Results(arguments.results), triples(only, planted)
    classes = {loaded.id: str(loaded.rule.bottleneck) for loaded in discover()}
    if arguments.tools:
        compare(folders, results, arguments, classes)
        return
    loops = sorted((planted / HEALTHY).glob("*.py")) if not only or HEALTHY in only else []
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    print(
        f"{os.cpu_count()} CPU cores, OMP_NUM_THREADS {threads}, {rounds} rounds of bare timings\n\n{HEADER}\n{ALIGN}",
        flush=True,
    )
    done = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for triple in pool.map(lambda folder: examine(folder, results, rounds, arguments.timeout), folders):
            done.append(triple)
            print(row(triple, classes), flush=True)
        runs = pool.map(lambda script: _profile(script, results, arguments.timeout), loops)
        healthy = {script.stem: run for script, run in zip(loops, runs, strict=True)}
    print()
    for line in summary(done, healthy, classes):
        print(f"- {line}")


if __name__ == "__main__":
    main()
