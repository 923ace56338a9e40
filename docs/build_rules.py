"""Writes docs/rules/: a page for every rule, made from its docstring, and an index by bottleneck (``make docs``)."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from itertools import groupby
from pathlib import Path
from typing import get_args

from slowprobe.diagnose.engine import LoadedRule, discover
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Bottleneck
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.report.page import BOTTLENECKS

HERE = Path(__file__).resolve().parent / "rules"
ROOT = HERE.parent.parent
HEADINGS = ("What it is", "Why it is slow", "How it is seen", "Saving", "Stays quiet when", "Fix", "Sources")
MADE = "<!-- Written by docs/build_rules.py from the rule itself: change the rule, then run `make docs`. -->"

_NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_CALL = rf"{_NAME}\((?:[^()\n]|\((?:[^()\n]|\([^()\n]*\))*\))*\)(?:\.\w+)*"
_CODE = re.compile(
    rf"(?P<kept>`[^`]+`|https?://[^\s)]+|\b(?:e\.g|i\.e|etc)\.)"
    rf"|(?P<code>\bwith {_CALL}:|\bif [\w.% ]+ == (?:\w+|\"\w+\"):?|(?:\b{_NAME} = )?@?{_CALL}|@{_NAME}"
    r"|(?<![\w-])--[a-z][\w-]+(?:=\w+)?"
    rf"|\b{_NAME}=(?:\"[^\"]*\"|[\w.:%{{}}]*[\w%}}])|\b{_NAME}=(?=[\s,;)])"
    r"|(?<!/)\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w+)+|\b[A-Za-z]\w*_\w+|\b_\w+)"
)
_NAMES = re.compile(r"(torch|numpy|pandas|torchvision|timm|webdataset|nn|lmdb|zarr)\b")
_MARKUP = re.compile(r"([\\*_<|\[\]`])")


def pages() -> dict[str, str]:
    """Every file of docs/rules/ by its name."""
    rules = discover()
    known = {loaded.id for loaded in rules}
    return {"README.md": index(rules), **{f"{loaded.id}.md": page(loaded, known) for loaded in rules}}


def index(rules: list[LoadedRule]) -> str:
    """All rules, grouped by bottleneck in the order in which the report's documentation names them."""
    order = get_args(Bottleneck)
    ranked = sorted(rules, key=lambda loaded: (order.index(loaded.rule.bottleneck), loaded.id))
    lines = [
        MADE,
        "# Rules",
        f"The {len(rules)} causes of slow training that slowprobe looks for. `slowprobe rules explain ID` prints the "
        "same text in a terminal. How to add one: [CONTRIBUTING.md](../../CONTRIBUTING.md).",
    ]
    for bottleneck, group in groupby(ranked, key=lambda loaded: loaded.rule.bottleneck):
        lines.append(f"## {BOTTLENECKS[bottleneck]}")
        rows = [f"| [{loaded.id}]({loaded.id}.md) | {prose(loaded.rule.title)} |" for loaded in group]
        lines.append("\n".join(["| Rule | What it finds |", "|---|---|", *rows]))
    return "\n\n".join(lines) + "\n"


def page(loaded: LoadedRule, known: set[str]) -> str:
    """One rule's page."""
    first, told = sections(loaded.documentation)
    parts = [MADE, f"# {prose(loaded.rule.title)}", prose(first), _facts(loaded, known)]
    for heading, blocks in told:
        shown = [_block(block) for block in blocks]
        parts += [f"## {heading}", *(_begun(text) if at == 0 else text for at, text in enumerate(shown))]
    parts += ["## Evidence it reads", _evidence(loaded.rule.needs)]
    return "\n\n".join(parts) + "\n"


def sections(documentation: str) -> tuple[str, list[tuple[str, list[str]]]]:
    """A docstring's first sentence, and under each heading its blocks: paragraphs, and indented ones as they are."""
    first, *blocks = [each for each in re.split(r"\n[ \t]*\n", documentation.strip("\n")) if each.strip()] or [""]
    told: list[tuple[str, list[str]]] = []
    for block in blocks:
        heading, colon, text = block.partition(":")
        if colon and heading in HEADINGS:
            told.append((heading, [text.strip()] if text.strip() else []))
        elif told:
            told[-1][1].append(block.strip("\n"))
        else:
            first += "\n\n" + block
    return first, told


def prose(text: str) -> str:
    """A paragraph on one line: what reads like code is marked as code, and nothing else is markup."""
    text, written, end = " ".join(text.split()), [], 0
    for match in _CODE.finditer(text):
        written.append(_MARKUP.sub(r"\\\1", text[end : match.start()]))
        written.append(match["kept"] or f"`{match['code']}`")
        end = match.end()
    return "".join([*written, _MARKUP.sub(r"\\\1", text[end:])])


def _begun(text: str) -> str:
    """A paragraph that followed a colon, beginning like a sentence; names keep their spelling."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]+[ ,:]", text) and not _NAMES.match(text) else text


def _block(block: str) -> str:
    if all(line.startswith("    ") for line in block.splitlines() if line.strip()):
        return _fenced(textwrap.dedent(block))
    items = re.split(r"\n(?=[-*] )", block)
    if all(item.startswith(("- ", "* ")) for item in items):
        return "\n".join(f"- {prose(item[2:])}" for item in items)
    return prose(block)


def _fenced(text: str) -> str:
    try:
        ast.parse(text)
        language = "python"
    except SyntaxError:
        language = "text"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _facts(loaded: LoadedRule, known: set[str]) -> str:
    source = f"slowprobe/diagnose/rules/{loaded.id.replace('-', '_')}.py"
    rows = [
        f"- ID: `{loaded.id}`",
        f"- Bottleneck: {BOTTLENECKS[loaded.rule.bottleneck]} (`{loaded.rule.bottleneck}`)",
        f"- Source: [{source}](../../{source})",
    ]
    over = {
        "About the same line it takes the place of": loaded.rule.closer_than,
        "About the same loader it comes before what it leaves little to save": loaded.rule.before,
    }
    for told, others in over.items():
        named = ", ".join(f"[{other}]({other}.md)" for other in others if other in known)
        rows += [f"- {told}: {named}"] if named else []
    planted = ROOT / "benchmarks" / "planted" / loaded.id.replace("-", "_")
    if (planted / "slow.py").is_file():
        rows.append(f"- A script that has this cause: [slow.py](../../benchmarks/planted/{planted.name}/slow.py)")
    return "\n".join(rows)


def _evidence(needs: tuple[str, ...]) -> str:
    return "\n".join(f"- `{name}`{f': {prose(told)}' if (told := _described(name)) else ''}" for name in needs)


def _described(name: str) -> str:
    """The first sentence of what the evidence is, where it says so."""
    for evidence in (Evidence, TraceEvidence):
        of = getattr(evidence, name, None)
        of = of.fget if isinstance(of, property) else getattr(of, "func", of)
        told = " ".join((inspect.getdoc(of) or "").split()) if callable(of) else ""
        if told:
            return re.split(r"(?<=\.)\s", told)[0]
    return ""


def write(folder: Path = HERE) -> list[str]:
    """Write all pages, and remove those of rules that are gone; the names of what has changed."""
    folder.mkdir(exist_ok=True)
    made = pages()
    gone = [path for path in folder.glob("*.md") if path.name not in made]
    for path in gone:
        path.unlink()
    changed = [name for name, text in made.items() if _read(folder / name) != text]
    for name in changed:
        (folder / name).write_text(made[name], encoding="utf-8")
    return sorted([*changed, *(path.name for path in gone)])


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    found = write()
    print(f"{len(found)} of the pages in docs/rules/ have changed" + "".join(f"\n  {name}" for name in found))
