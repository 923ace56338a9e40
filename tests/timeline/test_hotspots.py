"""Whose code runs below the user's lines."""

from __future__ import annotations

from slowprobe.timeline.hotspots import _package
from slowprobe.timeline.recording import Frame


def test_the_package_below_a_line_is_the_first_that_is_not_torch() -> None:
    site = "/env/lib/python3.11/site-packages"
    torch, trainer = (
        Frame(f"{site}/torch/utils/_contextlib.py", 1, "f"),
        Frame(f"{site}/transformers/trainer.py", 9, "g"),
    )
    assert _package((torch, trainer, torch)) == "transformers"
    assert _package((torch,)) == "torch"
    assert _package((Frame("/usr/lib/python3.11/threading.py", 1, "run"),)) == ""
    assert _package((Frame(f"{site}/scanlib.py", 1, "scan"),)) == "scanlib"
