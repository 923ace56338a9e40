"""How much of a few batches is padding, by the runs of one value at the ends of their rows."""

from __future__ import annotations

import itertools
import sys
from typing import Any

from slowprobe.capture.batch_digest import leaves
from slowprobe.run.loader_records import Padding

MAX_BATCHES = 16  # of a loader, one in so many requests; lengths of some thousand rows say what padding there is
EVERY_CALL = 3  # of the models that a loop without a loader calls
MAX_ROWS = 128  # of a batch
MAX_ELEMENTS = 1 << 18  # of what is read of a batch: 2 MB, about 0.3 ms
MIN_WIDTH = 8  # columns; narrower tensors are labels or features
MIN_SIGNAL = 32  # positions of samples or features; a shorter row of floats is one item's features
MAX_INSIDE = 0.01  # of the columns before the padding may hold its value: more, and it is a value like others
_MOST_LEAVES = 16


class PaddingLog:
    """Rows for batches that were looked at; `take` gives the records, from any thread."""

    def __init__(self) -> None:
        self._looked_at: dict[int, int] = {}
        self._calls: dict[int, int] = {}
        self._found: list[tuple[int, int, int, list[int]]] = []
        self.shapes: list[tuple[int, int]] = []
        """Rows and columns that were seen."""

    def look(self, loader: int, batch: Any) -> None:
        """A batch arrived. Reads it where it lies, and draws no random number."""
        looked_at = self._looked_at.get(loader, 0)
        if looked_at >= MAX_BATCHES:
            return
        self._looked_at[loader] = looked_at + 1
        found = padded(batch)
        if found is not None:
            self._found.append((loader, *found))
            if found[:2] not in self.shapes:
                self.shapes.append(found[:2])

    def look_at_inputs(self, model: int, inputs: Any) -> bool:
        """The same for a model's arguments, one call in `EVERY_CALL`; False once enough was seen of one of them."""
        calls = self._calls[model] = self._calls.get(model, 0) + 1
        if calls % EVERY_CALL == 0:
            self.look(-model, inputs)
        return calls < MAX_BATCHES * EVERY_CALL

    def take(self) -> list[Padding]:
        """The records since the last call."""
        found, self._found = self._found, []
        return [
            Padding(loader=loader, rows=[rows], width=[width], lengths=[lengths])
            for loader, rows, width, lengths in found
        ]


def padded(batch: Any) -> tuple[int, int, list[int]] | None:
    """Rows, columns and lengths of the least padded sequence in a batch; None where nothing is a padded sequence."""
    found = [each for part in itertools.islice(leaves(batch), _MOST_LEAVES) if (each := _lengths(part)) is not None]
    return max(found, key=lambda each: sum(each[2]) / (each[1] * len(each[2])), default=None)


def _lengths(part: Any) -> tuple[int, int, list[int]] | None:
    torch = sys.modules.get("torch")
    if torch is None or type(part) is not torch.Tensor or part.device.type != "cpu":
        return None
    if part.layout is not torch.strided or part.is_complex() or part.is_quantized:
        return None
    if part.is_floating_point():
        return _of_signals(torch, part.detach()) if part.dim() in (2, 3) else None
    if part.dim() != 2:
        return None
    rows, width = part.shape
    if width < MIN_WIDTH or rows < 2:
        return None
    read = part[: max(2, min(MAX_ROWS, MAX_ELEMENTS // width))].detach().numpy()
    lengths = _before_padding(read)
    if lengths is None or min(lengths) == width:
        lengths = _before_padding(read[:, ::-1]) or lengths  # padded on the left, as for generation
    return None if lengths is None else (int(rows), int(width), lengths)


def _of_signals(torch: Any, part: Any) -> tuple[int, int, list[int]] | None:
    """Of sequences of samples or features: what ends a row in zeros, over all features, and holds few inside."""
    rows, *sides = part.shape
    if rows < 2 or max(sides) < MIN_SIGNAL:
        return None
    along = 1 + sides.index(max(sides))  # features are fewer than positions
    width = part.shape[along]
    read = part[: max(2, min(MAX_ROWS, MAX_ELEMENTS // (part.numel() // rows)))]
    here = read != 0
    if here.dim() == 3:
        here = here.any(3 - along)
    lengths = width - here.flip(1).to(torch.uint8).argmax(1)
    lengths[~here.any(1)] = 0
    kept = int(lengths.sum())
    if not kept or int(here.sum()) < (1 - MAX_INSIDE) * kept:  # sparse features, images with black borders
        return None
    return int(rows), int(width), [int(length) for length in lengths]


def _before_padding(read: Any) -> list[int] | None:
    """Each row's columns before the value that ends the rows; None where that value occurs elsewhere, too."""
    last = read[:, -1]
    ends = last[last == read[:, -2]]  # rows that end in a run
    if not len(ends):
        return [read.shape[1]] * len(read)
    pad = ends[0]
    if pad == 1 and read.min() >= 0 and read.max() <= 1:
        return None  # a mask's ones are what is kept
    other = read[:, ::-1] != pad
    lengths = read.shape[1] - other.argmax(axis=1)
    lengths[~other.any(axis=1)] = 0
    kept = int(lengths.sum())
    if not kept or int(other.sum()) < (1 - MAX_INSIDE) * kept:  # constant, or one-hot, or a feature like others
        return None
    return [int(length) for length in lengths]
