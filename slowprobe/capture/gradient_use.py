"""Follows the gradients of one turn of the loop: which an optimizer uses, which nobody does."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from slowprobe.capture.gradient_graph import MAX_NODES, USEFUL, GradientGraph, read_graph
from slowprobe.capture.recorder import Recorder
from slowprobe.run.gradient_record import GradientUse

TURNS = 3  # in the second the passes are read; what becomes of its gradients may show as late as in the third
SNAPSHOT = 8  # elements of a parameter that are compared, to see whether code outside torch.optim updates it


class _Pass:
    """A backward pass that was read: `open` are its leaves of which nobody knows yet who uses them."""

    def __init__(self, graph: GradientGraph, subject: int) -> None:
        self.graph = graph
        self.subject = subject
        self.open = set(graph.leaves.values())
        self.dropped: set[int] = set()


class GradientWatch:
    """Listens for three turns, once a run; what it does is inside spans of slowprobe's own (`key`)."""

    def __init__(
        self,
        recorder: Recorder,
        key: int,
        write: Callable[[GradientUse], None],
        models: Callable[[], list[Any]],
        optimizers: Callable[[], list[Any]],
    ) -> None:
        """`models`: the outermost modules; `optimizers`: all that were made or have stepped."""
        self._recorder = recorder
        self._key = key
        self._write = write
        self._models = models
        self._optimizers = optimizers
        self._turn = -1
        self._done = False
        self._passes: list[_Pass] = []
        self._nodes = 0
        self._stepped: Counter[int] = Counter()
        self._idle: set[int] = set()
        self._before: dict[int, list[float]] = {}

    @property
    def active(self) -> bool:
        """Whether it listens."""
        return self._turn >= 0 and not self._done

    @property
    def done(self) -> bool:
        """Whether it has listened."""
        return self._done

    def turn(self) -> None:
        """The loop has come round: begins with the first call, ends by itself."""
        if self._done:
            return
        self._turn += 1
        if self._turn == TURNS - 1:
            self._guarded(self._look_at_suspects)
        elif self._turn >= TURNS:
            self._guarded(self._finish)
            self._end()

    def backward(self, args: tuple[Any, ...], kwargs: dict[str, Any], subject: int) -> None:
        """A backward pass is about to start."""
        if self._turn == 1 and not self._done:
            self._guarded(lambda: self._read(args, kwargs, subject))

    def step(self, optimizer: Any) -> None:
        """An optimizer is about to step."""
        if self.active:
            self._guarded(lambda: self._use(optimizer))

    def zero_grad(self, owner: Any) -> None:
        """Gradients of an optimizer's or a module's parameters are about to be dropped."""
        if self._passes and not self._done:
            self._guarded(lambda: self._drop(owner))

    def _read(self, args: tuple[Any, ...], kwargs: dict[str, Any], subject: int) -> None:
        if kwargs.get("inputs") is not None or len(args) > 5:
            return  # makes these gradients only
        graph = read_graph(args[0] if args else kwargs.get("tensors"))
        if graph is None or self._nodes + len(graph.names) > MAX_NODES:
            self._end()
            return
        self._nodes += len(graph.names)
        self._passes.append(_Pass(graph, subject))

    def _use(self, optimizer: Any) -> None:
        groups = optimizer.param_groups
        rates = [group.get("lr") for group in groups]
        some_learn = any(not isinstance(rate, (int, float)) or rate > 0 for rate in rates)
        for group, rate in zip(groups, rates, strict=True):
            mine = {id(param) for param in group["params"]}
            for number in mine:
                self._stepped[number] += 1
            # A scheduler, which notes where it began, or a warm-up of all groups will raise a rate of zero.
            if some_learn and rate == 0 and isinstance(rate, (int, float)) and "initial_lr" not in group:
                self._idle |= mine
                continue
            for each in self._passes:
                each.open -= mine

    def _drop(self, owner: Any) -> None:
        params = owner.parameters() if hasattr(owner, "parameters") else _params(owner)
        mine = {id(param) for param in params}
        for each in self._passes:
            each.dropped |= each.open & mine
            each.open -= mine

    def _unowned(self, each: _Pass) -> set[int]:
        owned = {id(param) for optimizer in self._optimizers() for param in _params(optimizer)}
        return (each.open | each.dropped) - owned

    def _look_at_suspects(self) -> None:
        suspects = set().union(*map(self._unowned, self._passes)) if self._passes else set()
        self._before = {number: _values(param) for number, param in self._named().items() if number in suspects}

    def _named(self) -> dict[int, Any]:
        return {id(param): param for model in self._models() for param in model.parameters() if param.requires_grad}

    def _finish(self) -> None:
        named = self._named()
        if not self._passes or not self._stepped:
            return
        updated = any(number in named and _values(named[number]) != before for number, before in self._before.items())
        reasons: dict[int, str] = {}
        wasted: list[set[int]] = []
        for each in self._passes:
            unowned = set() if updated else self._unowned(each) & self._before.keys()
            idle = each.open & self._idle
            dropped = {number for number in each.dropped if self._stepped[number] >= TURNS}  # not a skipped step
            found = (unowned | idle | dropped) & named.keys()
            for kind, members in (("dropped", dropped), ("idle", idle), ("unowned", unowned)):
                reasons.update(dict.fromkeys(members & found, kind))
            wasted.append(found)
        self._write(self._record(named, reasons, wasted))

    def _record(self, named: dict[int, Any], reasons: dict[int, str], wasted: list[set[int]]) -> GradientUse:
        at_ns = time.perf_counter_ns() - self._recorder.origin_ns
        record = GradientUse(at_ns=at_ns, passes=len(self._passes), parameters=len(named))
        if not reasons:
            return record
        names: dict[str, int] = {}
        for each, mine in zip(self._passes, wasted, strict=True):
            fates = each.graph.fates(mine) if mine else [USEFUL] * len(each.graph.names)
            run_order = sorted(range(len(fates)), key=lambda node: -each.graph.order[node])
            record.subjects.append(each.subject)
            record.nodes.append([names.setdefault(each.graph.names[node], len(names)) for node in run_order])
            record.fates.append([fates[node] for node in run_order])
        record.names = list(names)
        counted: dict[tuple[str, str], list[int]] = {}
        for model in self._models():
            whole = all(id(param) in reasons for param in model.parameters() if param.requires_grad)
            for name, param in model.named_parameters():
                reason = reasons.pop(id(param), None)
                if reason is not None:
                    module = type(model).__name__ if whole else _module(model, name)
                    row = counted.setdefault((module, reason), [0, 0])
                    row[0] += 1
                    row[1] += param.numel()
        record.wasted = [
            (module, reason, tensors, elements) for (module, reason), (tensors, elements) in counted.items()
        ]
        return record

    def _guarded(self, work: Callable[[], None]) -> None:
        self._recorder.open(self._key)
        try:
            work()
        except Exception:  # a tensor or an optimizer unlike torch's own: then this is not known
            self._end()
        finally:
            self._recorder.close(self._key)

    def _end(self) -> None:
        self._done = True
        self._passes, self._before = [], {}


def _params(optimizer: Any) -> list[Any]:
    return [param for group in optimizer.param_groups for param in group["params"]]


def _values(param: Any) -> list[float]:
    tensor = param.detach()
    while tensor.dim() > 1:
        tensor = tensor[0]
    return tensor.reshape(-1)[:SNAPSHOT].tolist()  # type: ignore[no-any-return]


def _module(model: Any, name: str) -> str:
    """The class of the model and the first part of a parameter's name that is a module."""
    parts = name.split(".")
    while parts[:1] in (["module"], ["_orig_mod"]):
        parts = parts[1:]
    return ".".join([type(model).__name__, *parts[:-1][:1]])
