"""Writes reports/README.md and index.html: what slowprobe said of each example, beside the report it said it in.

python benchmarks/gallery.py
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

REPORTS = Path(__file__).resolve().parent.parent / "reports"


INDEX = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>slowprobe: gallery</title>
<style>
:root {{ --ink: #1c2127; --muted: #57606a; --line: #d8dee4; --card: #fff; --page: #f6f8fa; --link: #0b5cad; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e9ed; --muted: #9aa5b1; --line: #30363d; --card: #181c20; --page: #0f1215; --link: #7cc0f5; }}
}}
body {{ margin: 0 auto; max-width: 1080px; padding: 32px 20px; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; }}
ul {{ list-style: none; padding: 0; display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }}
li {{ background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 18px; }}
h2 {{ font-size: 1rem; margin: 0 0 6px; overflow-wrap: anywhere; }}
a {{ color: var(--link); }}
p {{ margin: 0 0 6px; }}
small {{ color: var(--muted); overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>Gallery</h1>
<p>Reports of the scripts in <code>examples/</code>, as <code>slowprobe profile</code> made them on a machine with 2
cores. Each is one file that needs no network.</p>
<ul>
{cards}
</ul>
</body>
</html>
"""


def said(folder: Path) -> tuple[str, str, str]:
    """The verdict, and rule and place of the first finding that is more than an option; empty where there is none."""
    report = json.loads((folder / "report.json").read_text())
    serious: list[dict[str, Any]] = [finding for finding in report["findings"] if finding["severity"] != "low"]
    where = serious[0]["where"][0] if serious and serious[0]["where"] else None
    place = f"{where['file']}:{where['line']}" if where else ""
    return report["verdict"]["headline"], serious[0]["rule"] if serious else "", place


def row(folder: Path) -> str:
    """One line of the table."""
    headline, rule, place = said(folder)
    cells = (headline, f"`{rule}`" if rule else "none", f"`{place}`" if place else "")
    return f"| [{folder.name}]({folder.name}/report.html) | {' | '.join(cells)} |"


def card(folder: Path) -> str:
    """One box of the page."""
    headline, rule, place = (escape(text) for text in said(folder))
    name = escape(folder.name)
    found = f"<small><code>{rule}</code> at <code>{place}</code></small>" if rule else "<small>No finding.</small>"
    return f'<li><h2><a href="{name}/report.html">{name}</a></h2><p>{headline}</p>{found}</li>'


def main() -> None:
    """Write the table and the page."""
    made = sorted(path.parent for path in REPORTS.glob("*/report.json") if (path.parent / "report.html").exists())
    folders = [folder for folder in made if folder.name != "demo"]
    lines = [
        "# Gallery",
        "",
        "Reports of the scripts in `examples/`, as `slowprobe profile` made them on a machine with 2 cores. Each is",
        "one file that needs no network: download it and open it in a browser. `make gallery` makes them again.",
        "",
        "| report | verdict | top finding | line |",
        "|---|---|---|---|",
        *map(row, folders),
    ]
    (REPORTS / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (REPORTS / "index.html").write_text(INDEX.format(cards="\n".join(map(card, folders))), encoding="utf-8")


if __name__ == "__main__":
    main()
