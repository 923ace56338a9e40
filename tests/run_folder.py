"""An empty run folder for tests."""

from __future__ import annotations

from pathlib import Path

from slowprobe.run.folder import create_run


def make(folder: Path) -> Path:
    """A fresh run folder with a manifest."""
    return create_run(
        folder,
        command=["python", "x.py"],
        script="x.py",
        mode="profile",
        origin_ns=0,
        pid=1,
        host={},
        prefixes=["/lib"],
        user_folders=[],
    )
