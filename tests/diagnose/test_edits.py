"""An edit goes to the call that makes the object, or nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import SyntheticRun

from slowprobe.diagnose.edits import set_arguments


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("loader = DataLoader(images)", "loader = DataLoader(images, num_workers=2)"),
        ("loader = data.DataLoader(images, num_workers=0)", "loader = data.DataLoader(images, num_workers=2)"),
        ("fit(net, DataLoader(images), cat(1))", "fit(net, DataLoader(images, num_workers=2), cat(1))"),
        ("super().__init__(images)", "super().__init__(images, num_workers=2)"),
        ("model.fit(images, labels)", None),
        ("loader = make_loader()", None),
    ],
)
def test_sets_an_argument(line: str, edited: str | None, tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, line)
    found = set_arguments(run.evidence().source, run.site(1), "DataLoader", num_workers="2")
    assert found == (f"-{line}\n+{edited}" if edited else "")
