"""The flame graph of the loop: its rows in the document, and the chart."""

from __future__ import annotations

from collections import deque
from math import isfinite
from typing import Any

from slowprobe.diagnose.evidence import Evidence
from slowprobe.report.document import Flame
from slowprobe.report.palette import ink_variable, variable
from slowprobe.report.quantities import percent, seconds
from slowprobe.report.untrusted import plain
from slowprobe.timeline.flame import Call

_ROW_PX, _MOST_PX = 21, 620
_LETTERS = 110  # fit on the width of the page
_OF_LIBRARIES = "var(--chart-scope)"


def flame_rows(evidence: Evidence) -> Flame | None:
    """Breadth first, so that a parent stands before its calls; None where no line of the user's was sampled."""
    root = evidence.flame
    if not root.calls:
        return None
    rows = Flame(function=[], file=[], line=[], text=[], users=[], parent=[], seconds=[], bucket=[])
    waiting: deque[tuple[Call, int]] = deque([(root, -1)])
    while waiting:
        node, parent = waiting.popleft()
        frame = node.frame
        waiting.extend((call, len(rows.parent)) for call in sorted(node.calls.values(), key=lambda each: -each.seconds))
        rows.function.append(frame.function if frame else "")
        rows.file.append(frame.file if frame else "")
        rows.line.append(frame.line if frame else 0)
        rows.text.append(evidence.source.line(frame.file, frame.line) if frame and node.users else "")
        rows.users.append(node.users)
        rows.parent.append(parent)
        rows.seconds.append(round(node.seconds, 4))
        rows.bucket.append(node.bucket)
    return rows


def flame_chart(rows: Flame) -> dict[str, Any]:
    """Lines of the user's in the colour of their part of the step, libraries grey; what called them is above."""
    own = [value if isfinite(value) else 0.0 for value in rows.seconds]
    parents = [-1, *(max(0, parent) if parent < row else 0 for row, parent in enumerate(rows.parent[1:], 1))]
    levels = [0] * len(own)
    for row, parent in enumerate(parents[1:], 1):
        own[parent] -= max(0.0, rows.seconds[row])
        levels[row] = levels[parent] + 1
    whole = rows.seconds[0] or 1.0
    labels, shown, texts, colours, inks = [], [], [], [], []
    for row, file in enumerate(rows.file):
        place = f"{file.rpartition('/')[2]}:{rows.line[row]}"
        share, source = rows.seconds[row] / whole, plain(rows.text[row], 90)
        label = f"{plain(rows.function[row], 60)} {plain(place)}" if row else "Training loop"
        labels.append(label)
        shown.append(f"{label}   {source}" if source and len(label) + len(source) < share * _LETTERS else label)
        line = f"<br>{source}" if source else ""
        texts.append(f"{seconds(rows.seconds[row])} · {percent(share)} of the loop{line}")
        users = rows.users[row] and row > 0
        colours.append(variable(rows.bucket[row]) if users else "var(--chart-root)" if not row else _OF_LIBRARIES)
        inks.append(ink_variable(rows.bucket[row]) if users else "var(--ink)")
    trace = {
        "type": "icicle",
        "ids": [str(row) for row in range(len(own))],
        "labels": labels,
        "parents": ["" if parent < 0 else str(parent) for parent in parents],
        # With "remainder" a parent is the sum of its children, so rounding can never leave the chart empty.
        "values": [max(0.0, value) for value in own],
        "branchvalues": "remainder",
        "text": shown,
        "customdata": texts,
        "sort": False,
        "tiling": {"orientation": "v", "pad": 1},
        "pathbar": {"visible": True, "thickness": _ROW_PX},
        "marker": {"colors": colours, "line": {"width": 0}},
        "texttemplate": "%{text}",
        "hovertemplate": "<b>%{label}</b><br>%{customdata}<extra></extra>",
        "textposition": "middle left",
        "textfont": {"size": 12, "color": inks},
        "leaf": {"opacity": 1},
    }
    layout = {
        "height": min(_MOST_PX, (max(levels) + 2) * _ROW_PX + 10),
        "margin": {"l": 0, "r": 0, "t": _ROW_PX + 3, "b": 0},  # the way back from a closer look is drawn there
        "uniformtext": {"minsize": 10, "mode": "hide"},
    }
    return {"data": [trace], "layout": layout}
