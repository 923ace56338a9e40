"""Wraps functions and methods in spans without changing what they do or how they look."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any

from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.span_key import span_key
from slowprobe.capture.subjects import Subjects
from slowprobe.run.schema import SpanKind

_THEIRS = KIND["data_wait"], KIND["save"], KIND["log"], KIND["external"]


def like(wrapper: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """Give `wrapper` the name, documentation and signature of `original`."""
    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(wrapper, name, getattr(original, name, None))
    wrapper.__wrapped__ = original  # type: ignore[attr-defined]
    return wrapper


def timed_method(
    original: Callable[..., Any],
    recorder: Recorder,
    key_of: Callable[[Any], int],
    is_compiling: Callable[[], bool],
) -> Callable[..., Any]:
    """`original` with a span around it; ``key_of(self)`` is the key of the span."""

    def wrapper(owner: Any, *args: Any, **kwargs: Any) -> Any:
        if is_compiling() or get_ident() != recorder.thread:
            return original(owner, *args, **kwargs)
        key = key_of(owner)
        recorder.open(key)
        try:
            return original(owner, *args, **kwargs)
        finally:
            recorder.close(key)

    return like(wrapper, original)


def timed_call(
    original: Callable[..., Any],
    recorder: Recorder,
    subjects: Subjects,
    kind: SpanKind,
    api: str,
    is_compiling: Callable[[], bool],
) -> Callable[..., Any]:
    """`original` with a span of `kind` around it, one subject for each calling line of the user.

    A call from inside a request for a batch, a checkpoint or a log call is passed on as it is: its time is theirs.
    While torch.compile traces, the original is called directly, so that the graph is the same as without slowprobe.
    """
    number = KIND[kind]

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if is_compiling() or get_ident() != recorder.thread or recorder.inside(*_THEIRS):
            return original(*args, **kwargs)
        key = span_key(number, subjects.at_caller(kind, api, 1))
        recorder.open(key)
        try:
            return original(*args, **kwargs)
        finally:
            recorder.close(key)

    return like(wrapper, original)
