"""The lines between the parts of a step that tokenize texts."""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.hot_lines import sampled_lines
from slowprobe.diagnose.item_calls import kind_of
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.making_stacks import StackTime
from slowprobe.timeline.recording import Frame

PACKAGES = ("tokenizers", "sentencepiece", "tiktoken", "nltk", "sacremoses")
BUCKETS = ("python", "epoch")  # in no span of its own


def tokenizing_lines(run: Evidence) -> list[LineTime]:
    """On the training thread, outside the making of batches."""
    return [line for line in sampled_lines(run) if line.bucket in BUCKETS and _tokenizes(run, line)]


def _tokenizes(run: Evidence, line: LineTime) -> bool:
    """By the library below the line; without one, by what the line says, as a stack of it alone would be judged."""
    if line.package in PACKAGES or (
        line.package == "transformers" and "tokeniz" in run.source.line(line.file, line.line)
    ):
        return True
    below = line.callee and line.leaf_share < 0.5
    frame = Frame(line.file, line.line, line.function)
    return not below and kind_of(run.source, StackTime("step", (frame,), (True,), 0.0, 0.0, 0)) == "tokenize"
