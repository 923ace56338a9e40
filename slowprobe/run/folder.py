"""Where a run's files go, and the manifest that says what it is."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import slowprobe
from slowprobe.errors import BadInputError
from slowprobe.run.schema import SCHEMA, Manifest
from slowprobe.run.writer import prepare_folder, write_manifest


def default_folder(script: str) -> Path:
    """``reports/<script>-<time>`` below the working directory; numbered when that second has one already."""
    stem = Path(script).stem or "run"
    base = Path("reports") / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    folder, number = base, 1
    while folder.exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


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
                host=host,
                rank=int(os.environ.get("RANK", "0") or 0),
                world_size=int(os.environ.get("WORLD_SIZE", "1") or 1),
            ),
        )
    except OSError as error:
        raise BadInputError(
            f"cannot write to {folder}: {error.strerror or error}. Choose another folder with --out DIR."
        ) from None
    return folder.resolve()
