"""Tells the tracker calls that send images or distributions from those that send numbers."""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.hot_lines import holds
from slowprobe.timeline.facts import SpanFacts

_MEDIA = tuple(f"SummaryWriter.add_{what}" for what in ("histogram", "image", "images", "figure", "video", "audio"))
_WRAPPED = ("Image(", "Histogram(", "Video(", "Audio(", "Table(", "Object3D(", "Molecule(", "Html(", "Plotly(")


def is_media(run: Any, facts: SpanFacts) -> bool:
    """Whether a logging call sends media: by its name, or by what is made in its statement (``wandb.Image(…)``)."""
    if facts.name == "wandb.log":
        return facts.where is not None and holds(run, facts.where, _WRAPPED)
    return facts.name in _MEDIA
