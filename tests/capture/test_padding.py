from __future__ import annotations

import pytest

from slowprobe.capture.padding import EVERY_CALL, MAX_BATCHES, PaddingLog, padded

torch = pytest.importorskip("torch")
LENGTHS = [3, 12, 7, 20]


def ids(pad=0, width=24):
    rows = torch.full((len(LENGTHS), width), pad)
    for row, length in zip(rows, LENGTHS, strict=True):
        row[:length] = torch.arange(10, 10 + length)
    return rows


@pytest.mark.parametrize("pad", [0, 1, -100, 3])
def test_lengths_are_those_before_the_padding(pad):
    assert padded(ids(pad)) == (4, 24, LENGTHS)


def test_padding_on_the_left_counts(tmp_path):
    left = ids().flip(1)
    assert padded(left) == (4, 24, LENGTHS)
    assert padded({"input_ids": left, "attention_mask": (left != 0).long()}) == (4, 24, LENGTHS)


def test_of_several_tensors_the_least_padded_counts():
    batch = {"input_ids": ids(), "attention_mask": ids() != 0, "labels": torch.where(ids() > 14, ids(), -100)}
    assert padded(batch) == (4, 24, LENGTHS)


@pytest.mark.parametrize(
    "other",
    [
        torch.nn.functional.one_hot(torch.arange(4), 24),
        torch.ones(4, 24, dtype=torch.long),
        torch.randint(0, 3, (40, 24), generator=torch.Generator().manual_seed(0)),
        torch.zeros(4, 24),
        torch.zeros(4, 4, dtype=torch.long),
        torch.zeros(24, dtype=torch.long),
        "text",
    ],
)
def test_what_is_no_sequence_is_left_alone(other):
    assert padded(other) is None


def signals(*shape, along=1):
    """Rows of noise of the given lengths, followed by zeros."""
    rows = torch.rand(len(LENGTHS), *shape, generator=torch.Generator().manual_seed(0)) + 0.1
    for row, length in zip(rows, LENGTHS, strict=True):
        row.narrow(along - 1, length, row.shape[along - 1] - length).zero_()
    return rows


@pytest.mark.parametrize(
    ("batch", "width"),
    [(signals(400), 400), (signals(50, 8), 50), (signals(8, 50, along=2), 50), ([signals(50, 8), "names"], 50)],
)
def test_zeros_after_samples_or_features_are_padding(batch, width):
    assert padded(batch) == (4, width, LENGTHS)


@pytest.mark.parametrize(
    "other",
    [
        signals(24),  # one item's features
        torch.nn.functional.relu(torch.randn(8, 400, generator=torch.Generator().manual_seed(0))),
        torch.nn.functional.one_hot(torch.arange(40).reshape(1, 40).repeat(4, 1) % 3, 8).float()[:, :30],
        torch.rand(4, 3, 64, 64),
        torch.zeros(4, 400),
        torch.rand(4, 50, 8).to_sparse(),
    ],
)
def test_floats_that_are_no_padded_sequence_are_left_alone(other):
    assert padded(other) is None


def test_a_full_batch_is_one_without_padding():
    full = torch.arange(96).reshape(4, 24)
    assert padded(full) == (4, 24, [24] * 4)


def test_few_batches_are_looked_at():
    log = PaddingLog()
    for _ in range(MAX_BATCHES + 5):
        log.look(1, ids())
    records = log.take()
    assert len(records) == MAX_BATCHES
    assert log.take() == []


def test_the_batch_and_the_random_numbers_are_left_as_they_were():
    batch, state = ids(), torch.get_rng_state()
    before = batch.clone()
    padded(batch)
    assert torch.equal(batch, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_models_inputs_are_looked_at_now_and_then():
    log = PaddingLog()
    wanted = [log.look_at_inputs(7, [(ids(),), {}]) for _ in range(MAX_BATCHES * EVERY_CALL)]
    assert wanted == [True] * (len(wanted) - 1) + [False]
    records = log.take()
    assert len(records) == MAX_BATCHES
    assert {record.loader for record in records} == {-7}
    assert records[0].lengths == [LENGTHS]
