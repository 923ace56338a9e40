"""Writes reports/README.md: what slowprobe said of each example, beside the report it said it in.

python benchmarks/gallery.py
"""

from __future__ import annotations

import json
from pathlib import Path

REPORTS = Path(__file__).resolve().parent.parent / "reports"


def row(folder: Path) -> str:
    """One line of the table."""
    report = json.loads((folder / "report.json").read_text())
    serious = [finding for finding in report["findings"] if finding["severity"] != "low"]
    place = f"`{serious[0]['where'][0]['file']}:{serious[0]['where'][0]['line']}`" if serious else ""
    rule = f"`{serious[0]['rule']}`" if serious else "none"
    return f"| [{folder.name}]({folder.name}/report.html) | {report['verdict']['headline']} | {rule} | {place} |"


def main() -> None:
    """Write the table."""
    folders = sorted(path.parent for path in REPORTS.glob("*/report.json") if (path.parent / "report.html").exists())
    lines = [
        "# Gallery",
        "",
        "Reports of the scripts in `examples/`, as `slowprobe profile` made them on a machine with 2 cores. Each is",
        "one file that needs no network: download it and open it in a browser. `make gallery` makes them again.",
        "",
        "| report | verdict | top finding | line |",
        "|---|---|---|---|",
        *(row(folder) for folder in folders if folder.name != "demo"),
    ]
    (REPORTS / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
