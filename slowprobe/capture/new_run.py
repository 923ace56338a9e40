"""Makes the folder of a run that this process is about to record, and says in it who runs what and where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from slowprobe.capture.machine import describe_host
from slowprobe.capture.sites import library_prefixes, user_folders
from slowprobe.run.folder import create_run, default_folder, rank_folder


def new_run(
    out: Path | None,
    name: str,
    *,
    command: list[str],
    script: str,
    mode: Literal["profile", "api"],
    origin_ns: int,
) -> Path:
    """The fresh run folder: `out`, or one named after `name` and the time. Raises BadInputError when it cannot be."""
    return create_run(
        rank_folder(out or default_folder(name)),
        command=command,
        script=script,
        mode=mode,
        origin_ns=origin_ns,
        pid=os.getpid(),
        host=describe_host(),
        prefixes=library_prefixes(),
        user_folders=user_folders(script),
    )
