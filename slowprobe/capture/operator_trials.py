"""What the dearest operators of a step take after the run, as they were and with an edit, or other threads.

The rules of `calibration` hold: synthetic tensors, no user code, no random numbers, nothing left changed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from slowprobe.capture.image_layout import images_of
from slowprobe.capture.operator_edits import SHORTER, TYPES, Edit, shorter, single, straight, unchanged
from slowprobe.capture.step_operators import Operator

MIN_SHARE = 0.05  # of the operators' time; an edit to less changes the loop by less than its steps differ
MAX_OPERATORS = 10  # the dearest of each edit
MAX_BUDGET_S, MIN_BUDGET_S = 0.8, 0.4  # ten operators of some 5 ms, as they are and edited, a few times each
MAX_RUN_SHARE = 0.02  # of the recording
MAX_BYTES = 1 << 28  # of all arguments of an edit's trials
STRETCHED = 4.0  # times as long beside other processes, at most: two ranks on the same two cores had 3.6
ROUNDS = 3  # of an operator and its edited twin, at least, to begin with it
MAX_ROUNDS = 11
_RANDOM = ("rand", "dropout", "bernoulli", "normal", "uniform", "multinomial", "exponential", "rrelu")
_UNSAFE = ("as_strided", "set_", "resize", "item", "lstm", "gru", "rnn", "sparse", "quantize", "empty")

Call = Callable[[], Any]


def budget_s(elapsed_s: float, goes_on: bool) -> float:
    """What all trials may take after a recording of `elapsed_s`; `goes_on`: the training runs on after it."""
    return MIN_BUDGET_S / 2 if goes_on else min(MAX_BUDGET_S, max(MIN_BUDGET_S, MAX_RUN_SHARE * elapsed_s))


def try_operators(
    operators: Sequence[Operator],
    threads: int,
    cores: int,
    padded: Sequence[tuple[int, int]],
    budget: float,
    shared: bool = False,
    beside_blas: bool = False,
) -> dict[str, float]:
    """Run the edits that these operators call for, in about `budget` seconds.

    padded: rows and columns of batches with padding. shared: the step had the cores together with processes that are
    done by now. beside_blas: or with a BLAS's threads that rest by now. Values, for each edit (``single``,
    ``straight``, ``threads``, ``half``, ``quarter``, if `shared` ``alone``, on one thread, if `beside_blas` ``apart``,
    unchanged; with convolutions of images whose channels lie apart, ``turned``):
    ``operators.<edit>.all_ms`` (what the edit is about, in the annotated step), ``.of_all``
    (of all operators' time), ``.tried_ms`` (the operators that were tried), ``.now_ms`` and ``.edited_ms`` (these,
    after the run). ``operators.turned.beside_ms``: those convolutions, in the annotated step.
    """
    import torch

    edits: dict[str, tuple[Edit, int]] = {"single": (single, threads), "straight": (straight, threads)}
    if threads != cores:
        edits["threads"] = (unchanged, cores)
    if shared and threads > 1:
        edits["alone"] = (unchanged, 1)
    if beside_blas:
        edits["apart"] = (unchanged, threads)
    edits |= {name: (partial(shorter, padded, part), threads) for name, part in SHORTER.items() if padded}
    images = images_of(operators)
    if images.convolved_ns:
        edits["turned"] = (images.turned, threads)
    total = sum(each.spent_ns for each in operators)
    concerned = {
        name: [(each, edited) for each in operators if (edited := edit(each)) is not None]
        for name, (edit, _) in edits.items()
    }
    asked = {
        name: pairs
        for name, pairs in concerned.items()
        if pairs and sum(each.spent_ns for each, _ in pairs) >= MIN_SHARE * total
    }
    deadline = time.perf_counter() + budget
    values: dict[str, float] = {}
    for at, (name, pairs) in enumerate(asked.items()):
        now = time.perf_counter()
        until = now + max(0.0, deadline - now) / (len(asked) - at)
        row = _try(torch, pairs, (threads, edits[name][1]), until, STRETCHED if name in ("alone", "apart") else 1.0)
        row["of_all"] = sum(each.spent_ns for each, _ in pairs) / total
        values |= {f"operators.{name}.{key}": value for key, value in row.items()}
    if images.convolved_ns:
        values["operators.turned.beside_ms"] = images.convolved_ns / 1e6
    return values


def _try(
    torch: Any, pairs: list[tuple[Operator, Operator]], threads: tuple[int, int], until: float, stretched: float
) -> dict[str, float]:
    """The dearest pairs, as many as fit in if they take `stretched` times less; times are of all calls of a step."""
    tried: list[tuple[Operator, Call, Call]] = []
    made: dict[str, Any] = {}
    room_s = (until - time.perf_counter()) / (2 * ROUNDS)
    for before, after in pairs[:MAX_OPERATORS]:
        once_s = before.spent_ns / before.calls / stretched / 1e9
        if once_s > room_s:
            continue
        try:
            with _plain(torch):
                calls = _prepared(torch, before, made), _prepared(torch, after, made)
        except Exception:  # an argument that cannot be made from what is known of it
            continue
        tried.append((before, *calls))
        room_s -= once_s
    counts = [before.calls for before, _, _ in tried]
    now = [call for _, call, _ in tried]
    edited = [call for _, _, call in tried]
    with _plain(torch):
        now_ms, edited_ms = _both(torch, (now, edited), counts, threads, until) if tried else (0.0, 0.0)
    return {
        "all_ms": sum(each.spent_ns for each, _ in pairs) / 1e6,
        "tried_ms": sum(each.spent_ns for each, _, _ in tried) / 1e6,
        "now_ms": now_ms,
        "edited_ms": edited_ms,
    }


@contextmanager
def _plain(torch: Any) -> Iterator[None]:
    with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False):
        yield


def _both(
    torch: Any, calls: tuple[list[Call], list[Call]], counts: list[int], threads: tuple[int, int], until: float
) -> tuple[float, float]:
    """Milliseconds of a step's calls, as they were and edited."""
    rounds: tuple[list[list[float]], list[list[float]]] = ([], [])
    if threads[0] == threads[1]:
        while not rounds[1] or (len(rounds[1]) <= MAX_ROUNDS and time.perf_counter() < until):
            for each, found in zip(calls, rounds, strict=True):
                found.append(_in_turn(each))
    else:  # in two blocks: the threads of the other number must not wait for work meanwhile
        half = (time.perf_counter() + until) / 2
        try:
            for each, found, count, end in zip(calls, rounds, threads, (half, until), strict=True):
                torch.set_num_threads(count)
                while len(found) < 2 or (len(found) <= MAX_ROUNDS and time.perf_counter() < end):
                    found.append(_in_turn(each))
        finally:
            torch.set_num_threads(threads[0])
    now, edited = (_step_ms(found[1:] or found, counts) for found in rounds)  # the first warms up
    return now, edited


def _in_turn(calls: list[Call]) -> list[float]:
    """Milliseconds of each, and of freeing what they made: as in a step, a result is kept while the others are made."""
    kept, times = [], []
    for call in calls:
        begin = time.perf_counter()
        kept.append(call())
        times.append((time.perf_counter() - begin) * 1000)
    begin = time.perf_counter()
    kept.clear()
    return [*times, (time.perf_counter() - begin) * 1000]


def _step_ms(rounds: list[list[float]], counts: list[int]) -> float:
    """Medians, each as often as a step calls it; what is freed goes with the calls."""
    *medians, freed = (statistics.median(each) for each in zip(*rounds, strict=True))
    called = sum(count * ms for count, ms in zip(counts, medians, strict=True))
    return float(called + freed * sum(counts) / len(counts))


def _prepared(torch: Any, operator: Operator, made: dict[str, Any]) -> Call:
    """A call; arguments of one type, size and layout are one tensor, as a step's operators work on each other's."""
    if any(word in operator.name for word in (*_RANDOM, *_UNSAFE)):
        raise ValueError(operator.name)
    arguments = [
        _argument(torch, made, *each)
        for each in zip(operator.types, operator.sizes, operator.strides, operator.values, strict=True)
    ]
    space, _, name = operator.name.partition("::")
    return _bound(getattr(getattr(torch.ops, space), name), arguments)


def _bound(packet: Any, arguments: list[Any]) -> Call:
    """The call of the first of an operator's overloads that takes these arguments, some of them by keyword only."""
    for overload in (getattr(packet, name) for name in packet.overloads()):
        wanted = overload._schema.arguments
        if len(wanted) != len(arguments):
            continue
        by_place = [each for each, spec in zip(arguments, wanted, strict=True) if not spec.kwarg_only]
        by_name = {spec.name: each for each, spec in zip(arguments, wanted, strict=True) if spec.kwarg_only}
        call = partial(overload, *by_place, **by_name)
        try:
            call()
        except (RuntimeError, TypeError):
            continue
        return call
    raise ValueError(str(packet))


def _argument(torch: Any, made: dict[str, Any], type_name: str, sizes: Any, strides: Any, value: Any) -> Any:
    if type_name not in TYPES:
        if sizes or type_name == "TensorList":
            raise ValueError(type_name)  # indices have to be within bounds that nobody noted
        return value
    key = f"{type_name} {sizes} {strides}"
    if key not in made:
        span = 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        dtype = getattr(torch, TYPES[type_name])
        room = MAX_BYTES - sum(each.untyped_storage().nbytes() for each in made.values())
        if span * dtype.itemsize > room or 0 in sizes:
            raise ValueError(sizes)
        made[key] = torch.full((span,), 1.0, dtype=dtype, device="cpu").as_strided(sizes, strides)
    return made[key]
