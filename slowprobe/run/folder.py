"""Where a run's files go, and the manifest that says what it is."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil

import slowprobe
from slowprobe.errors import BadInputError
from slowprobe.run.schema import SCHEMA, Manifest
from slowprobe.run.writer import prepare_folder, write_manifest


def default_folder(script: str) -> Path:
    """``reports/<script>-<time>`` below the working directory; numbered when that second has one already.

    The ranks that one launcher started agree on the folder: its time is the launcher's start.
    """
    stem = Path(script).stem or "run"
    ranks = world_size()
    began = datetime.fromtimestamp(psutil.Process(os.getppid()).create_time()) if ranks > 1 else datetime.now()
    base = Path("reports") / f"{stem}-{began:%Y%m%d-%H%M%S}"
    folder, number = base, 1
    while ranks == 1 and folder.exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def rank_folder(folder: Path) -> Path:
    """Rank 0 of a distributed run takes `folder` itself, rank n its subfolder ``rank<n>``."""
    return folder / f"rank{rank()}" if rank() else folder


def rank() -> int:
    """This process's number among those of a launcher such as torchrun; 0 without one."""
    return _number("RANK", 0)


def world_size() -> int:
    """How many processes a launcher such as torchrun has started; 1 without one."""
    return max(1, _number("WORLD_SIZE", 1))


def _number(name: str, default: int) -> int:
    try:
        return int(os.environ.get(name, default))
    except ValueError:
        return default


def create_run(
    folder: Path,
    *,
    command: list[str],
    script: str,
    mode: Literal["profile", "api"],
    origin_ns: int,
    pid: int,
    host: dict[str, int | float | str | None],
    prefixes: list[str],
    user_folders: list[str],
) -> Path:
    """Make `folder` a fresh run folder. Raises BadInputError when it cannot be written."""
    try:
        prepare_folder(folder)
        write_manifest(
            folder,
            Manifest(
                schema=SCHEMA,
                slowprobe_version=slowprobe.__version__,
                command=command,
                script=script,
                mode=mode,
                origin_ns=origin_ns,
                started_at=datetime.now(UTC).isoformat(timespec="seconds"),
                pid=pid,
                cwd=os.getcwd(),
                python=sys.version.split()[0],
                prefixes=prefixes,
                user_folders=user_folders,
                host=host,
                rank=rank(),
                world_size=world_size(),
            ),
        )
    except OSError as error:
        raise BadInputError(
            f"cannot write to {folder}: {error.strerror or error}. Choose another folder with --out DIR."
        ) from None
    return folder.resolve()
