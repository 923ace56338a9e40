"""Runs scripts with and without slowprobe, as a user does, and compares what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "scripts"
PROFILE = [sys.executable, "-m", "slowprobe", "profile"]
TIMEOUT_S = 120


def environment(**extra: str) -> dict[str, str]:
    """One thread, so that sums are the same each time and the machine's other cores stay free."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **extra}


def run(command: list[str], cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run to the end; bytes, so that nothing is smoothed over."""
    options.setdefault("env", environment())
    options.setdefault("stdin", subprocess.DEVNULL) if "input" not in options else None
    return subprocess.run(command, cwd=cwd, capture_output=True, timeout=TIMEOUT_S, check=False, **options)


@dataclass
class Pair:
    """The same script alone and under slowprobe."""

    alone: subprocess.CompletedProcess[bytes]
    recorded: subprocess.CompletedProcess[bytes]
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        """report.json."""
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return found

    @property
    def summary(self) -> str:
        """What slowprobe wrote to stderr, and the script before it."""
        return self.recorded.stderr.decode()

    def assert_same_result(self) -> None:
        """stdout byte for byte, and the exit code."""
        assert self.recorded.stdout == self.alone.stdout, self.summary
        assert self.recorded.returncode == self.alone.returncode, self.summary

    def journal(self) -> list[dict[str, Any]]:
        """The raw records."""
        return journal(self.folder)

    def notes(self, *levels: str) -> list[str]:
        """The texts of the notes of some levels (default: warnings and errors)."""
        wanted = levels or ("warning", "error")
        return [record["text"] for record in self.journal() if record["t"] == "note" and record["level"] in wanted]


def journal(folder: Path) -> list[dict[str, Any]]:
    """The raw records of a run folder."""
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines() if line.strip()]


def pair(target: list[str], folder: Path, options: tuple[str, ...] = (), **how: Any) -> Pair:
    """Run `target` (a script or -m module, and its arguments) alone and recorded, side by side."""
    with ThreadPoolExecutor(2) as pool:
        alone = pool.submit(run, [sys.executable, *target], **how)
        recorded = pool.submit(run, [*PROFILE, "--out", str(folder), *options, *target], **how)
        return Pair(alone.result(), recorded.result(), folder)


def assert_wall_identity(report: dict[str, Any]) -> None:
    """Every second of the run is in exactly one bucket, and little is unexplained."""
    time = report["time"]
    total = sum(bucket["seconds"] for bucket in time["buckets"])
    assert abs(total - time["wall_s"]) <= 1e-3 * time["wall_s"]
    assert time["unaccounted_share"] <= 0.02
    cells = [(bucket["scope"], bucket["id"]) for bucket in time["buckets"]]
    assert len(cells) == len(set(cells))
    assert all(bucket["seconds"] >= 0 for bucket in time["buckets"])
