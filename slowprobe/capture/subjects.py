"""Numbers for what spans are about: loaders, optimizers, modules, call sites."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from types import CodeType, FrameType
from typing import Any

from slowprobe.capture.sites import Sites
from slowprobe.run.record import Site
from slowprobe.run.schema import SpanKind, Subject

MAX_SUBJECTS = 5_000  # then new ones share one "others" subject per kind

Attributes = dict[str, str | int | float | bool | list[int] | None]


class Subjects:
    """Hands out subject numbers and writes each new subject to the journal once."""

    def __init__(self, write: Callable[[Subject], None], sites: Sites) -> None:
        self._write = write
        self.sites = sites
        self._known: dict[Hashable, int] = {}
        self._calls: dict[tuple[str, str, int, int], tuple[int, CodeType]] = {}
        self._next = 1
        self.named_files: set[str] = set()

    def number(
        self,
        kind: SpanKind,
        key: Hashable,
        name: str,
        attributes: Callable[[], Attributes] | None = None,
        site: Site | None = None,
        depth: int | None = None,
    ) -> int:
        """The number of the subject `key`; on first sight it is described by `name`, `attributes()` and its site.

        The site is `site`, or, where `depth` is given, the user's frame at or above that many frames up.
        """
        known = self._known.get((kind, key))
        if known is not None:
            return known
        if self._next > MAX_SUBJECTS:
            key, name, attributes, site, depth = "others", "others", None, None, None
            if (kind, key) in self._known:
                return self._known[kind, key]
        if site is None and depth is not None:
            site = self.sites.of_caller(_frame(depth + 2))
        number = self._known[kind, key] = self._next
        self._next += 1
        if site is not None:
            self.named_files.add(site.file)
        try:
            described = attributes() if attributes else {}
        except Exception:  # a user's object that cannot be described is still counted
            described = {}
        self._write(Subject(id=number, kind=kind, name=name, site=site, attrs=described))
        return number

    def at_caller(self, kind: SpanKind, api: str, depth: int) -> int:
        """The number of the call site `depth` frames up, one subject for each user line that calls `api`."""
        try:
            frame: Any = sys._getframe(depth + 1)
        except ValueError:  # called by the interpreter itself: an atexit function, a finalizer
            return self.number(kind, ("nowhere", api), api, lambda: {"api": api})
        inner, known_files = frame, self.sites.known_files
        for _ in range(12):
            if inner is None:
                break
            user = known_files.get(inner.f_code.co_filename)
            if user or (user is None and self.sites.is_user(inner.f_code)):
                break
            inner = inner.f_back
        frame = inner or frame
        code: CodeType = frame.f_code
        call = (kind, api, id(code), frame.f_lasti)  # cheap to hash and to read; code and line are neither
        known = self._calls.get(call)
        if known is not None:
            return known[0]
        line = (api, code, frame.f_lineno)
        number = self.number(kind, line, api, lambda: {"api": api}, self.sites.of_caller(frame))
        if len(self._calls) < MAX_SUBJECTS:
            self._calls[call] = number, code  # kept alive, so that its address stays its own
        return number


def _frame(depth: int) -> FrameType | None:
    try:
        return sys._getframe(depth)
    except ValueError:
        return None
