"""Where DataLoaders come from: the user's line, and whether one was made again for the next epoch or evaluation."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from contextlib import suppress
from types import FrameType
from typing import Any

from slowprobe.capture.by_identity import ByIdentity
from slowprobe.capture.sites import Sites
from slowprobe.run.record import Site

_MAX_FRAMES = 60
_SETTINGS = ("class", "num_workers", "batch_size", "shuffle", "collate", "pin_memory", "persistent_workers")

Path = tuple[Hashable, ...]


class LoaderOrigins:
    """Remembers how loaders came to be made; `made` is to be called by the constructor.

    A loader stands for an earlier one that came by the same calls to the same settings and is not being iterated now,
    if its dataset is the same one too, or the earlier one's is gone.
    """

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._paths = ByIdentity[Path]()
        self._made_at = ByIdentity[Site]()
        self._fed_at = ByIdentity[Site]()
        self._latest: dict[Hashable, tuple[weakref.ref[Any], Any, int]] = {}
        self._iterators: dict[int, weakref.ref[Any]] = {}

    def made(self, loader: Any, dataset: Any, frame: FrameType) -> None:
        """`loader` is being made by `frame` for `dataset`."""
        site = self._sites.of_caller(frame)
        with suppress(TypeError):  # a dataset that is a list
            if site is not None and self._sites.is_user(frame.f_code):
                self._fed_at.set(dataset, site)
            else:  # a trainer replaces the user's loader by one of its own
                site = self._fed_at.get(dataset) or site
        if site is not None:
            self._made_at.set(loader, site)
        self._paths.set(loader, self._path(frame))

    def site(self, loader: Any) -> Site | None:
        """The user's line that made the loader, or the one that a trainer replaced by it."""
        return self._made_at.get(loader)

    def _path(self, caller: FrameType) -> Path:
        frame: FrameType | None = caller
        path: list[Hashable] = []
        while frame is not None and len(path) < _MAX_FRAMES:
            code = frame.f_code
            # Of a library's functions the line does not matter: trainers make one loader in several places.
            path.append((code.co_filename, code.co_qualname, frame.f_lineno if self._sites.is_user(code) else 0))
            frame = frame.f_back
        return tuple(path)

    def number(self, loader: Any, described: dict[str, Any]) -> int | None:
        """The subject of the earlier loader; None where this is the first of its kind."""
        known = self._latest.get(self._key(loader, described))
        if known is None or not _same(known[1], loader.dataset):
            return None
        iterator = self._iterators.get(known[2])
        # Accelerate keeps every loader it has prepared; Keras keeps an old iterator until the new one is there.
        in_use = known[0]() is not None and iterator is not None and iterator() is not None
        return None if in_use else known[2]

    def remember(self, loader: Any, described: dict[str, Any], number: int) -> None:
        """`loader` has the subject `number`."""
        key = self._key(loader, described)
        if key is not None:
            self._latest[key] = weakref.ref(loader), _reference(loader.dataset), number

    def started(self, number: int, iterator: Any) -> None:
        """The loader with subject `number` is iterated."""
        self._iterators[number] = weakref.ref(iterator)

    def _key(self, loader: Any, described: dict[str, Any]) -> Hashable:
        path = self._paths.get(loader)
        return path and (path, _name(type(loader.dataset)), *(described.get(setting) for setting in _SETTINGS))


def _reference(dataset: Any) -> Any:
    try:
        return weakref.ref(dataset), weakref.ref(type(dataset))
    except TypeError:  # a list
        return id(dataset), None


def _same(reference: Any, dataset: Any) -> bool:
    earlier, cls = reference
    if cls is None:
        return bool(earlier == id(dataset))
    found = earlier()
    # A class of the same name that is another object was made anew with its dataset, inside a function.
    return found is None or found is dataset or cls() is not type(dataset)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
