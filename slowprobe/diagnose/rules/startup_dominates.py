"""Much of the run passes before training runs at its speed.

What it is: building the dataset, imports, compiling and the first steps together take half a minute or more, and a
fifth of the run.

Why it is slow: it is paid again at each start: at every trial of a search, every resumed job, every debugging run.

How it is seen: the time before the first step, divided by stack samples into imports, torch._dynamo (imported for the
first optimizer) and the script's own lines; spans of compilations; the first three steps beyond a usual one.

Stays quiet when: it takes less than 30 s, however short the run is, or less than 20 % of the run; or when no part that
an edit can mend (the script's own lines, imports but that of torch, compiling) is half of it. It costs no loop time:
such a finding has no saving, and is never more than a hint.

Fix: keep what the line makes on disk and load it at the next start; import heavy packages where they are used; keep the
compiler's cache.

Sources: PyTorch, torch.compiler caching (TORCHINDUCTOR_CACHE_DIR, save_cache_artifacts); gpuprof, warm-up check.
"""

from __future__ import annotations

import ast
import re

from slowprobe.diagnose.edits import diff, place, statement_lines
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Risk
from slowprobe.diagnose.hot_lines import shares
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.startup import COMPILING, IMPORTS, OWN_CODE, StartUp

MIN_S = 30.0  # nobody rewrites a script for less; imports of torch and a model alone are 5 to 15 s
MIN_SHARE = 0.20  # of the run
MAIN_PART = 0.5  # of the start-up
MAX_PLACES = 3
MOST = 0.8  # of the part's time; a call with less of it makes only some of what takes the time
_IMPORTS_TORCH = re.compile(r"(import|from)\s+torch\b")
_FIXES = {
    OWN_CODE: "Keep what this line makes on disk (torch.save, numpy.save, a memory map) and load it at the next start.",
    IMPORTS: "Import this where it is used, or only the submodule that is needed: its import is what takes the time.",
    COMPILING: (
        "Keep the compiler's cache from start to start (TORCHINDUCTOR_CACHE_DIR on a disk that stays), or compile the "
        "block that the model repeats instead of the whole model."
    ),
}

RULE = Rule(
    title="Starting up takes much of the run",
    bottleneck="startup",
    needs=("steps", "start_up", "compiles", "source"),
)


def check(run: Evidence) -> Answer:
    """Weigh the start-up against the run, and find its main part."""
    start: StartUp = run.start_up
    parts = sorted(start.parts.items(), key=lambda part: -part[1])
    split = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts[:4])
    said = f"{start.seconds:.1f} s pass before training runs at its speed, {start.share:.0%} of this run: {split}"
    if start.seconds < MIN_S or start.share < MIN_SHARE:
        return Passed(said)
    seconds = {at: spent for at, spent in start.lines.items() if not _IMPORTS_TORCH.match(_text(run, at[1]))}
    mendable = {part: sum(spent for (of, _), spent in seconds.items() if of == part) for part in (OWN_CODE, IMPORTS)}
    mendable[COMPILING] = start.parts.get(COMPILING, 0.0)
    main = max(mendable, key=lambda name: mendable[name])
    if mendable[main] < MAIN_PART * start.seconds:
        return Passed(f"{said}; no single part of it can be mended")
    lines = {site: spent for (part, site), spent in seconds.items() if part == main}
    if main == COMPILING:
        lines = {facts.where: facts.total_s for facts in run.compiles if facts.where is not None}
    makes = _makes(run, start, sum(lines.values())) if main == OWN_CODE else None
    made = place(makes)
    return Diagnosis(
        summary=f"{said}. A longer training pays it once, too: it is a smaller part of that.",
        where=[*made, *(at for at in shares(lines) if all((at.file, at.line) != (m.file, m.line) for m in made))][
            :MAX_PLACES
        ],
        fix=Fix(text=_FIXES[main], diff=_edit(run, makes)),
        changes=[],
        risk=Risk("low", f"each start takes {start.seconds:.0f} s before training runs at its speed"),
        evidence={
            "before training runs at its speed, s": round(start.seconds, 2),
            "share of the run": round(start.share, 4),
            "parts": {
                "columns": ["part", "seconds"],
                "rows": [[name, round(spent, 2)] for name, spent in parts],
            },
        },
    )


def _text(run: Evidence, site: Site) -> str:
    return str(run.source.line(site.file, site.line))


def _makes(run: Evidence, start: StartUp, whole_s: float) -> Site | None:
    """The outermost assignment below which most of the time passes: what it assigns can be kept."""
    for site, spent in start.calls.items():
        if spent >= MOST * whole_s and _assignment(run, site) is not None:
            return site
    return None


def _assignment(run: Evidence, site: Site | None) -> ast.Assign | None:
    try:
        body = ast.parse("\n".join(statement_lines(run.source, site))).body
    except (SyntaxError, ValueError):
        return None
    first = body[0] if body else None
    return first if isinstance(first, ast.Assign) and isinstance(first.value, ast.Call) else None


def _edit(run: Evidence, makes: Site | None) -> str:
    made = _assignment(run, makes)
    if made is None:
        return ""
    name, value = ast.unparse(made.targets[0]), ast.unparse(made.value)
    load = f"{name} = torch.load(kept, weights_only=False) if kept.exists() else {value}"
    kept = f"{load}  # and torch.save(..., kept) when it was made"
    return diff(statement_lines(run.source, makes), [kept])
