"""Picking along inner dimensions, as a profiler window shows it, and its trial."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from slowprobe.capture.gather_trials import MIN_NS, Gather, gathers, try_gathers

TABLE = torch.randn(2_000, 4_000)
CUBE = torch.randn(30, 40, 2_000)
PLACES = torch.arange(0, 2_000, 4)


def seen(pick: Callable[[], torch.Tensor]) -> list[Gather]:
    pick()
    with torch.profiler.profile(record_shapes=True) as profiler:
        pick()
    return gathers(profiler.profiler.kineto_results.events())


@pytest.mark.parametrize(
    ("pick", "dim", "sizes"),
    [
        (lambda: TABLE[:, PLACES], 1, (2_000, 4_000)),
        (lambda: TABLE.t()[PLACES], 0, (4_000, 2_000)),
        (lambda: TABLE.index_select(1, PLACES), 1, (2_000, 4_000)),
        (lambda: CUBE[..., PLACES], 2, (30, 40, 2_000)),
    ],
)
def test_elements_that_lie_apart_are_found(pick: Callable[[], torch.Tensor], dim: int, sizes: tuple[int, ...]) -> None:
    (found,) = seen(pick)
    assert (found.dim, found.sizes, found.picked, found.calls) == (dim, sizes, len(PLACES), 1)
    assert found.spent_ns >= MIN_NS


@pytest.mark.parametrize(
    "pick",
    [
        lambda: TABLE[PLACES],
        lambda: TABLE.view(2_000, 200, 20)[:, PLACES % 200],
        lambda: TABLE[PLACES, PLACES].expand(9, -1).clone(),
        lambda: TABLE[:, PLACES.view(10, 50)],
        lambda: CUBE[:, PLACES % 40, PLACES],
    ],
    ids=["rows", "runs of 80 bytes", "pairs", "places in two dimensions", "two tensors"],
)
def test_rows_and_other_ways_to_index_are_not(pick: Callable[[], torch.Tensor]) -> None:
    assert seen(pick) == []


def test_the_trial_takes_fewer_rows_of_a_large_tensor_and_changes_nothing() -> None:
    gather = Gather("float", (200_000, 20_000), (20_000, 1), 1, 64, 3, 90_000_000)
    state = torch.get_rng_state()
    values = try_gathers(torch, [gather], 100_000_000)
    assert values["gather.all_ms"] == 90.0 and values["gather.dim"] == 1
    assert 0 < values["gather.edited_ms"] < values["gather.now_ms"]
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_small_beside_the_other_operators_or_too_large_is_not_tried() -> None:
    gather = Gather("float", (2_000, 4_000), (4_000, 1), 1, 64, 1, 1_000_000)
    assert try_gathers(torch, [gather], 100_000_000) == {}
    assert try_gathers(torch, [], 0) == {}
    huge = Gather("float", (40, 2, 1 << 28), (1 << 29, 1 << 28, 1), 2, 64, 1, 1_000_000)
    assert try_gathers(torch, [huge], 1_000_000) == {}
