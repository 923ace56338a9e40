"""Where an iterable dataset takes a worker's part of its data."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any

import pytest

from slowprobe.diagnose.divided_at import divided_at
from slowprobe.run.record import Site

HEAD = "def __iter__(self):\n    info = torch.utils.data.get_worker_info()\n"


def _line(body: list[str]) -> int:
    tree = ast.parse(HEAD + "".join(f"    {line}\n" for line in body))
    source: Any = SimpleNamespace(function_around=lambda file, line: tree.body[0])
    return divided_at(source, Site("data.py", 2, "")).line


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (["yield from read(self.files[info.id])"], 3),
        (["rng = np.random.default_rng(info.id)", "yield from rng.random(SIZES[info.id])"], 4),
        (["per = self.count // info.num_workers", "yield from range(info.id * per, self.count)"], 4),
        (
            [
                "for number, row in enumerate(rows):",
                "    if number % info.num_workers == info.id:",
                "        yield row",
            ],
            4,
        ),
        (["worker = info.id", "mine = self.paths[worker::2]", "yield from mine"], 4),
        (["rng = np.random.default_rng(info.id)", "yield from rng.random(9)"], 2),
    ],
)
def test_the_line_that_takes_the_part(body: list[str], line: int) -> None:
    assert _line(body) == line


def test_outside_of_functions_it_is_where_the_number_is_asked_for() -> None:
    source: Any = SimpleNamespace(function_around=lambda file, line: None)
    assert divided_at(source, Site("data.py", 7, "")).line == 7
