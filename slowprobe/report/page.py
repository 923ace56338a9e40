"""What the HTML page shows beyond the document itself: findings with their source, changes and evidence laid out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from slowprobe.diagnose.finding import Finding, Outcome, Range, Status
from slowprobe.report.document import Document, Snippet
from slowprobe.report.quantities import fact, memory, worth_saying

BOTTLENECKS = {
    "input": "Input pipeline",
    "host": "Host: Python and launches",
    "sync": "Synchronisation",
    "transfer": "Host–device copies",
    "compute": "Computing",
    "precision": "Precision",
    "optimizer": "Optimizer",
    "memory": "Memory",
    "compile": "Compilation",
    "communication": "Communication",
    "checkpoint": "Checkpoints",
    "evaluation": "Evaluation",
    "logging": "Logging",
    "startup": "Start-up",
    "external": "Outside the process",
    "none": "None found",
}
STATUSES: dict[Status, str] = {
    "error": "Failed to run",
    "found": "Found",
    "passed": "Looked for, not found",
    "not-applicable": "Does not apply to this run",
    "not-checked": "Not checked",
}

BASES = {
    "replay": "This run's recorded steps were played again with the change made.",
    "calibrated replay": "This run's recorded steps were played again with the change made, at costs measured on this "
    "machine after the run.",
    "stated range": "The run holds nothing to replay this change with, so the range is what it is known to bring.",
}

_SNIPPETS = 3  # places of a finding shown with their source; the others are listed
_SNIPPET_LINES = 24
_DIFF_LINES = 80
_TABLE_ROWS = 30
_TABLE_COLUMNS = 10
_FACTS = 24


class Place(msgspec.Struct, frozen=True):
    """A source line a finding names, with the text around it when the run kept it."""

    folder: str
    name: str
    line: int
    function: str
    share: float
    snippet: Snippet | None


class Table(msgspec.Struct, frozen=True):
    """Evidence in columns; `numeric` says which of them hold numbers."""

    label: str
    columns: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    left_out: int


class Change(msgspec.Struct, frozen=True):
    """One line of a diff: what it does, and its text."""

    kind: str
    text: str


def places(finding: Finding, document: Document) -> list[Place]:
    """Where the finding is, the first few with their source; a line that stands in a snippet before is marked there."""
    shown: list[Place] = []
    files: dict[int, str] = {}  # of the snippets, by place
    for number, where in enumerate(finding.where[:12]):
        folder, slash, name = where.file.rpartition("/")
        snippet = document.snippets.get(f"{where.file}:{where.line}") if number < _SNIPPETS else None
        for at in (at for at, file in files.items() if file == where.file):
            marked = _marked(shown[at].snippet, where.line)
            if marked is not None:
                shown[at], snippet = msgspec.structs.replace(shown[at], snippet=marked), None
        snippet = _around(snippet)
        if snippet is not None:
            files[number] = where.file
        shown.append(Place(folder + slash, name, where.line, where.function, where.share, snippet))
    return shown


def _marked(snippet: Snippet | None, line: int) -> Snippet | None:
    """The snippet with one more line marked; None where it is not among them."""
    if snippet is None or all(number != line for number, _, _ in snippet.lines):
        return None
    lines = [(number, text, hit or number == line) for number, text, hit in snippet.lines]
    return msgspec.structs.replace(snippet, lines=lines)


def _around(snippet: Snippet | None) -> Snippet | None:
    if snippet is None or len(snippet.lines) <= _SNIPPET_LINES:
        return snippet
    hit = next((number for number, line in enumerate(snippet.lines) if line[2]), 0)
    start = max(0, hit - _SNIPPET_LINES // 2)
    return msgspec.structs.replace(snippet, lines=snippet.lines[start : start + _SNIPPET_LINES])


def changes(diff: str) -> list[Change]:
    """The lines of a diff by what they do."""
    kinds = {"+": "added", "-": "removed", "@": "context"}
    lines = diff.strip("\n").split("\n")
    shown = [Change(kinds.get(line[:1], "kept"), line) for line in lines[:_DIFF_LINES] if not line.startswith("\\")]
    if len(lines) > _DIFF_LINES:
        shown.append(Change("context", f"… {len(lines) - _DIFF_LINES:,} more lines"))
    return shown


def facts(evidence: dict[str, Any]) -> list[tuple[str, str]]:
    """The single values of a finding's evidence."""
    return [(label, fact(value)) for label, value in list(evidence.items())[:_FACTS] if not _is_table(value)]


def tables(evidence: dict[str, Any]) -> Iterator[Table]:
    """The tables of a finding's evidence."""
    for label, value in list(evidence.items())[:_FACTS]:
        if _is_table(value):
            columns = [str(column) for column in value["columns"][:_TABLE_COLUMNS]]
            rows = [list(row[: len(columns)]) if isinstance(row, list | tuple) else [row] for row in value["rows"]]
            yield Table(
                label=label,
                columns=columns,
                rows=[[fact(cell) for cell in row] for row in rows[:_TABLE_ROWS]],
                numeric=[
                    bool(rows) and all(len(row) > at and isinstance(row[at], int | float) for row in rows)
                    for at in range(len(columns))
                ],
                left_out=max(0, len(rows) - _TABLE_ROWS),
            )


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("columns"), list) and isinstance(value.get("rows"), list)


def outcomes(document: Document) -> list[tuple[Status, str, list[tuple[str, Outcome]]]]:
    """Every rule's outcome, by status."""
    grouped = []
    for status, label in STATUSES.items():
        rules = [(rule, outcome) for rule, outcome in document.outcomes.items() if outcome.status == status]
        if rules:
            grouped.append((status, label, rules))
    return grouped


def healthy(document: Document) -> bool:
    """Whether nothing was found, and that means something."""
    verdict = document.verdict
    return verdict.bottleneck == "none" and document.steps is not None and verdict.confidence != "low"


def before_and_after(speedup: Range) -> tuple[float, float] | None:
    """Best and worst predicted loop time as shares of today's, for the bar under the verdict."""
    ends = (speedup.high, speedup.low)
    if not worth_saying(speedup) or not all(math.isfinite(end) and end >= 1 for end in ends):
        return None
    return 1 / speedup.high, 1 / speedup.low


def environment(document: Document) -> list[tuple[str, str]]:
    """What ran where, as label and value."""
    run = document.run
    named = {
        "cores": "Cores",
        "cpu_model": "CPU",
        "cpu_bf16": "bfloat16 instructions",
        "physical_cores": "Physical cores",
        "quota_cores": "Cores allowed by the quota",
    }
    rows = [("Command", run.command), ("Started", run.started_at), ("Ended", run.exit)]
    rows += [("Python", run.python), ("PyTorch", run.torch), ("slowprobe", document.slowprobe_version)]
    for key, value in list(run.host.items())[:16]:
        if key == "memory_bytes" and isinstance(value, int | float):
            rows.append(("Memory", memory(value)))
        elif value is not None:
            rows.append((named.get(key, key.replace("_", " ").capitalize()), fact(value)))
    rows.append(("Devices", ", ".join(run.devices[:16]) or "CPU only"))
    if run.world_size > 1:
        rows.append(("Ranks", str(run.world_size)))
    return rows
