"""The lines between the parts of a step that tokenize texts."""

from __future__ import annotations

from dataclasses import replace

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.hot_lines import sampled_lines
from slowprobe.diagnose.item_calls import kind_of
from slowprobe.diagnose.tokenizer_calls import own_tokenizer, tokenized_at
from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.making_stacks import StackTime
from slowprobe.timeline.recording import Frame

PACKAGES = ("tokenizers", "sentencepiece", "tiktoken", "nltk", "sacremoses")
BUCKETS = ("python", "epoch")  # in no span of its own


def tokenizing_lines(run: Evidence) -> list[LineTime]:
    """On the training thread, outside the making of batches."""
    return [line for line in sampled_lines(run) if line.bucket in BUCKETS and _tokenizes(run, line)]


def tokenized_by(run: Evidence, line: LineTime) -> Site:
    """The line that such a line's tokenizer is called on; the line itself where it is no function of the user's."""
    return tokenized_at(run.source, _stack(line)) or line.site


def _tokenizes(run: Evidence, line: LineTime) -> bool:
    """By the library below the line, or by who called it; without either, as a stack of the line alone is judged."""
    if line.package in PACKAGES or (
        line.package == "transformers" and "tokeniz" in run.source.line(line.file, line.line)
    ):
        return True
    if own_tokenizer(run.source, _stack(line)) is not None:
        return True
    below = line.callee and line.leaf_share < 0.5
    return not below and kind_of(run.source, _stack(replace(line, callers=()))) == "tokenize"


def _stack(line: LineTime) -> StackTime:
    """The line below the user's lines that led to it, most often."""
    sites = (*reversed(line.callers), line.site)
    frames = tuple(Frame(site.file, site.line, site.function) for site in sites)
    return StackTime("step", frames, (True,) * len(frames), line.seconds, 0.0, line.samples)
