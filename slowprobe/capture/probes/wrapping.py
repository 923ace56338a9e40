"""Wraps functions and methods in spans without changing what they do or how they look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.subjects import Subjects
from slowprobe.run.schema import SpanKind

_WAIT, _SAVE, _LOG, _EXTERNAL = KIND["data_wait"], KIND["save"], KIND["log"], KIND["external"]


def like(wrapper: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """Give `wrapper` the name, documentation and signature of `original`."""
    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(wrapper, name, getattr(original, name, None))
    wrapper.__wrapped__ = original  # type: ignore[attr-defined]
    return wrapper


def timed_method(
    original: Callable[..., Any],
    recorder: Recorder,
    kind: SpanKind,
    subject: Callable[[Any], int],
    is_compiling: Callable[[], bool],
) -> Callable[..., Any]:
    """`original` with a span around it; `subject(self)` says what the span is about."""
    number = KIND[kind]

    def wrapper(owner: Any, *args: Any, **kwargs: Any) -> Any:
        if is_compiling() or not recorder.here():
            return original(owner, *args, **kwargs)
        recorder.open(number, subject(owner))
        try:
            return original(owner, *args, **kwargs)
        finally:
            recorder.close(number)

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
    depth = recorder.depth

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if depth[_WAIT] or depth[_SAVE] or depth[_LOG] or depth[_EXTERNAL] or is_compiling() or not recorder.here():
            return original(*args, **kwargs)
        recorder.open(number, subjects.at_caller(kind, api, 1))
        try:
            return original(*args, **kwargs)
        finally:
            recorder.close(number)

    return like(wrapper, original)
