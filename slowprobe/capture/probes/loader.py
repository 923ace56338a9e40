"""DataLoaders: waiting for a batch, starting an iterator, and, without workers, fetching and collating."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from threading import get_ident
from typing import Any

from slowprobe.capture.by_identity import ByIdentity
from slowprobe.capture.item_digests import chosen_items
from slowprobe.capture.loader_settings import describe
from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.loader_origin import LoaderOrigins
from slowprobe.capture.probes.requests import DATA_WAIT, Requests
from slowprobe.capture.probes.wrapping import like
from slowprobe.capture.recorder import KIND
from slowprobe.capture.span_key import span_key, subject_of
from slowprobe.capture.subjects import Attributes, Subjects
from slowprobe.capture.transform_timer import TransformTimer
from slowprobe.capture.transforms import TransformFinder
from slowprobe.capture.worker import WorkerEntry

LOADER_START, FETCH, COLLATE = KIND["loader_start"], KIND["fetch"], KIND["collate"]
_KEY, _LATE, _ENTRY = "_slowprobe_key", "_slowprobe_late", "_slowprobe_entry"
_FETCH_KEY = "_slowprobe_fetch_key"
_UNKNOWN = span_key(DATA_WAIT)


class LoaderProbe:
    """Wraps DataLoader and its iterators at class level, so that every subclass is seen.

    `enter_worker(loader, subject)` gives the ``worker_init_fn`` that records inside worker processes, or None.
    """

    def __init__(
        self,
        requests: Requests,
        subjects: Subjects,
        enter_worker: Callable[[Any, int], WorkerEntry | None],
        transforms: TransformTimer,
    ) -> None:
        self._requests = requests
        self._recorder = requests.recorder
        self._subjects = subjects
        self._enter_worker = enter_worker
        self._transforms = transforms
        self._reads = requests.meter.reads
        self._numbers = ByIdentity[int]()
        self._origins = LoaderOrigins(subjects.sites)
        self.without_workers: set[int] = set()
        """The loaders, by subject, whose batches the training process makes."""
        self.with_workers = False
        """Whether a loader's batches are made elsewhere."""
        self._iterators: weakref.WeakSet[Any] = weakref.WeakSet()
        self._fetchers: weakref.WeakSet[Any] = weakref.WeakSet()

    def attach(self, patches: Patches) -> None:
        """Wrap the torch classes."""
        from torch.utils.data import dataloader
        from torch.utils.data._utils import fetch

        patches.replace(dataloader.DataLoader, "__init__", self._construct)
        patches.replace(dataloader.DataLoader, "__iter__", self._start)
        patches.replace(dataloader._BaseDataLoaderIter, "__init__", self._begin)
        patches.replace(dataloader._BaseDataLoaderIter, "__next__", self._next)
        for fetcher in (fetch._MapDatasetFetcher, fetch._IterableDatasetFetcher):
            patches.replace(fetcher, "fetch", self._fetch)
        patches.add(dataloader._BaseDataLoaderIter, "_worker_init_fn", entering_workers())
        self._finder = TransformFinder(self._transforms, patches, replaces=False)

    def detach(self) -> None:
        """Take the wrappers off iterators that are still alive."""
        for iterator in list(self._iterators):
            for name in (_KEY, _LATE, _ENTRY):
                vars(iterator).pop(name, None)
        for fetcher in list(self._fetchers):
            vars(fetcher).pop(_FETCH_KEY, None)
            original = vars(fetcher).pop("_slowprobe_collate", None)
            if original is not None:
                fetcher.collate_fn = original

    def _construct(self, original: Callable[..., None]) -> Callable[..., None]:
        def __init__(loader: Any, *args: Any, **kwargs: Any) -> None:
            try:
                self._origins.made(loader, args[0] if args else kwargs.get("dataset"), sys._getframe(1))
            except Exception as error:
                self._recorder.fail(error)
            original(loader, *args, **kwargs)

        return like(__init__, original)

    def _start(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        recorder = self._recorder

        def __iter__(loader: Any) -> Any:
            if not recorder.here():
                iterator = original(loader)
                if recorder.enabled:  # training may turn out to run on this thread
                    self._mark(iterator, loader)
                return iterator
            try:
                subject = self._subject(loader)
                initial = loader.worker_init_fn
                replaced = self._enter_worker(loader, subject) if loader.num_workers > 0 else None
            except Exception as error:
                recorder.fail(error)
                return original(loader)
            recorder.open(span_key(LOADER_START, subject))
            try:
                if replaced is not None:
                    loader.worker_init_fn = replaced
                iterator = original(loader)
            finally:
                if replaced is not None:
                    loader.worker_init_fn = initial
                recorder.close(span_key(LOADER_START, subject))
            self._mark(iterator, loader)
            return iterator

        return like(__iter__, original)

    def _begin(self, original: Callable[..., None]) -> Callable[..., None]:
        """For loaders with an ``__iter__`` of their own (torchdata's StatefulDataLoader): a pass begins here."""
        recorder = self._recorder

        def __init__(iterator: Any, loader: Any, *args: Any, **kwargs: Any) -> None:
            if not recorder.here() or recorder.inside(LOADER_START):
                original(iterator, loader, *args, **kwargs)
                return
            subject = 0
            try:
                subject = self._subject(loader)
                if loader.num_workers > 0:
                    vars(iterator)[_ENTRY] = self._enter_worker(loader, subject)
            except Exception as error:
                recorder.fail(error)
            recorder.open(span_key(LOADER_START, subject))
            try:
                original(iterator, loader, *args, **kwargs)
            finally:
                recorder.close(span_key(LOADER_START, subject))
            self._mark(iterator, loader)
            vars(iterator)[_LATE] = subject  # its fetcher is made after this

        return like(__init__, original)

    def _next(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        recorder, ask = self._recorder, self._requests.ask

        def __next__(iterator: Any) -> Any:
            if get_ident() != recorder.thread:
                return original(iterator)
            known = vars(iterator)
            if _LATE in known:
                self._mark_fetcher(iterator, known.pop(_LATE))
            return ask(known.get(_KEY, _UNKNOWN), original, iterator)

        return like(__next__, original)

    def _subject(self, loader: Any) -> int:
        known = self._numbers.get(loader)
        if known is None:
            described = _described(loader)
            known = self._origins.number(loader, described)
            if known is None:
                known = self._subjects.number(
                    "data_wait", object(), _name(loader), lambda: described, self._origins.site(loader), depth=2
                )
            self._origins.remember(loader, described, known)
            self._numbers.set(loader, known)
            if loader.num_workers == 0:
                self.without_workers.add(known)
                self._transforms.items.choose(known, chosen_items(loader))
            else:
                self.with_workers = True
        return known

    def _mark(self, iterator: Any, loader: Any) -> None:
        try:
            subject = self._subject(loader)
            setattr(iterator, _KEY, span_key(DATA_WAIT, subject))
            self._iterators.add(iterator)
            self._origins.started(subject, iterator)
        except Exception as error:
            self._recorder.fail(error)
            return
        self._mark_fetcher(iterator, subject)

    def _mark_fetcher(self, iterator: Any, subject: int) -> None:
        try:
            fetcher = getattr(iterator, "_dataset_fetcher", None)
            if fetcher is not None:
                self._wrap_fetcher(fetcher, subject)
        except Exception as error:
            self._recorder.fail(error)

    def _fetch(self, original: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        recorder, transforms = self._recorder, self._transforms
        items, reads = transforms.items, self._reads

        def fetch(fetcher: Any, index: Any) -> Any:
            key = vars(fetcher).get(_FETCH_KEY)
            if key is None or get_ident() != recorder.thread:
                return original(fetcher, index)
            counts = reads.begin(subject_of(key))
            recorder.open(key)
            items.begin(subject_of(key), index)
            if transforms.wraps:
                transforms.begin(subject_of(key))
            try:
                return original(fetcher, index)
            finally:
                if transforms.wraps:
                    transforms.pause()
                recorder.close(key)
                if counts:
                    reads.end(subject_of(key), index)

        return like(fetch, original)

    def _wrap_fetcher(self, fetcher: Any, subject: int) -> None:
        recorder, transforms = self._recorder, self._transforms
        looked_at = transforms.items
        collate, key = fetcher.collate_fn, span_key(COLLATE, subject)

        def timed_collate(items: Any) -> Any:
            if get_ident() != recorder.thread:
                return collate(items)
            if looked_at.looking:
                looked_at.made(items)
            recorder.open(key)
            timing = transforms.pause() if transforms.wraps else 0
            try:
                return collate(items)
            finally:
                if timing:
                    transforms.resume(timing)
                recorder.close(key)

        self._finder.search(fetcher.dataset)
        fetcher._slowprobe_collate = collate
        fetcher.collate_fn = timed_collate
        setattr(fetcher, _FETCH_KEY, span_key(FETCH, subject))
        self._fetchers.add(fetcher)


def entering_workers() -> property:
    """An iterator's ``_worker_init_fn``: where it waits for ours, the first that is set is replaced by it.

    An iterator class reads its loader's once, in an ``__init__`` that begins with the one we see.
    """

    def read(iterator: Any) -> Any:
        try:
            return vars(iterator)["_worker_init_fn"]
        except KeyError:
            raise AttributeError("_worker_init_fn") from None

    def write(iterator: Any, initial: Any) -> None:
        vars(iterator)["_worker_init_fn"] = vars(iterator).pop(_ENTRY, None) or initial

    return property(read, write)


def _name(loader: Any) -> str:
    return f"{type(loader).__name__}({type(loader.dataset).__name__})"


def _described(loader: Any) -> Attributes:
    try:
        return describe(loader)
    except Exception:  # a subclass that lacks something is still a loader
        return {}
