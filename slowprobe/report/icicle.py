"""A tree as rows of boxes, each above its parts and as wide as they are together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Boxes:
    """Column by column; a parent is an id, empty for the root, and stands before its parts.

    values: of a box itself, without its parts: rounding can then never leave the chart empty. texts: what is said on
    hovering over it.
    """

    ids: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    colours: list[str] = field(default_factory=list)
    inks: list[str] = field(default_factory=list)

    def add(self, id: str, label: str, parent: str, value: float, text: str, colour: str, ink: str) -> None:
        """One more box."""
        self.ids.append(id)
        self.labels.append(label)
        self.parents.append(parent)
        self.values.append(value)
        self.texts.append(text)
        self.colours.append(colour)
        self.inks.append(ink)


def icicle(boxes: Boxes, *, letters: int, pad: int, top: int = 0, **trace: Any) -> dict[str, Any]:
    """The chart; letters: their size; top: room above it, in pixels; trace: what else Plotly is told."""
    shown = {
        "type": "icicle",
        "ids": boxes.ids,
        "labels": boxes.labels,
        "parents": boxes.parents,
        "values": boxes.values,
        "customdata": boxes.texts,
        "branchvalues": "remainder",
        "sort": False,
        "tiling": {"orientation": "v", "pad": pad},
        "marker": {"colors": boxes.colours, "line": {"width": 0}},
        "hovertemplate": "<b>%{label}</b><br>%{customdata}<extra></extra>",
        "textfont": {"size": letters, "color": boxes.inks},
        "leaf": {"opacity": 1},
    }
    layout = {"margin": {"l": 0, "r": 0, "t": top, "b": 0}, "uniformtext": {"minsize": 10, "mode": "hide"}}
    return {"data": [shown | trace], "layout": layout}
