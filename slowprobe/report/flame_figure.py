"""The flame graph of the loop, drawn."""

from __future__ import annotations

from math import isfinite
from typing import Any

from slowprobe.report.document import Flame
from slowprobe.report.icicle import Boxes, icicle
from slowprobe.report.palette import ink_variable, variable
from slowprobe.report.quantities import percent, seconds
from slowprobe.report.untrusted import plain

_ROW_PX, _MOST_PX = 21, 620
_LETTERS = 110  # fit on the width of the page


def flame_chart(rows: Flame) -> dict[str, Any]:
    """Lines of the user's in the colour of their part of the step, libraries grey; what called them is above."""
    own = [value if isfinite(value) else 0.0 for value in rows.seconds]
    parents = [-1, *(max(0, parent) if parent < row else 0 for row, parent in enumerate(rows.parent[1:], 1))]
    levels = [0] * len(own)
    for row, parent in enumerate(parents[1:], 1):
        own[parent] -= max(0.0, rows.seconds[row])
        levels[row] = levels[parent] + 1
    boxes, shown, whole = Boxes(), [], rows.seconds[0] or 1.0
    for row, parent in enumerate(parents):
        share, source = rows.seconds[row] / whole, plain(rows.text[row], 90)
        place = f"{rows.file[row].rpartition('/')[2]}:{rows.line[row]}"
        label = f"{plain(rows.function[row], 60)} {plain(place)}" if row else "Training loop"
        shown.append(f"{label}   {source}" if source and len(label) + len(source) < share * _LETTERS else label)
        text = f"{seconds(rows.seconds[row])} · {percent(share)} of the loop" + (f"<br>{source}" if source else "")
        colour, ink = "var(--chart-scope)" if row else "var(--chart-root)", "var(--ink)"
        if rows.users[row] and row:
            colour, ink = variable(rows.bucket[row]), ink_variable(rows.bucket[row])
        boxes.add(str(row), label, str(parent) if row else "", max(0.0, own[row]), text, colour, ink)
    chart = icicle(
        boxes,
        letters=12,
        pad=1,
        top=_ROW_PX + 3,  # the way back from a closer look is drawn there
        text=shown,
        texttemplate="%{text}",
        textposition="middle left",
        pathbar={"visible": True, "thickness": _ROW_PX},
    )
    chart["layout"]["height"] = min(_MOST_PX, (max(levels) + 2) * _ROW_PX + 10)
    return chart
