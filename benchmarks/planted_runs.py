"""Runs planted scripts bare and under slowprobe, each with a time limit, and remembers what came out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLANTED = Path(__file__).resolve().parent / "planted"
ROOT = PLANTED.parent.parent
HEALTHY = "healthy"
KINDS = ("slow", "fixed", "near_miss")
MARK = re.compile(r"# slowprobe: rule=([a-z0-9-]+)")
NO_SPEEDUP = "# slowprobe: no speed-up"  # in a slow script whose cause threatens something beside time
LOOP = re.compile(r"^loop_seconds=(\d+\.\d+)$", re.MULTILINE)
Outcome = dict[str, Any]


class Results:
    """Outcomes by key, on disk as they come, so that a long benchmark goes on where it was stopped.

    A key holds a digest of the script's folder: an edited script runs again. slowprobe's own version is no part of it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._lock = path, threading.Lock()
        self._known: dict[str, Outcome] = {}
        if path and path.exists():
            entries = (json.loads(line) for line in path.read_text().splitlines() if line.strip())
            self._known = {entry["key"]: entry["outcome"] for entry in entries}

    def once(self, way: str, script: Path, run: Callable[[], Outcome]) -> Outcome:
        """The outcome that is known, or that of a run."""
        key = f"{way} {script.parent.name}/{script.stem} {_digest(script)}"
        if key not in self._known:
            outcome = run()
            with self._lock:
                self._known[key] = outcome
                if self._path:
                    with self._path.open("a") as file:
                        file.write(json.dumps({"key": key, "outcome": outcome}) + "\n")
        return self._known[key]


def _digest(script: Path) -> str:
    """Of the script and of the modules beside it that a script may import."""
    beside = [path for path in sorted(script.parent.glob("*.py")) if path.stem not in KINDS]
    files = [script] if script.parent.name == HEALTHY else [script, *beside]
    return hashlib.sha1(b"".join(path.read_bytes() for path in files)).hexdigest()[:10]


def planted_lines(folder: Path) -> tuple[str, set[tuple[str, int]]]:
    """The rule of a triple and the marked places, (file name, line): in slow.py or in a module it imports."""
    marks = [
        (match[1], (path.name, number))
        for path in sorted(folder.glob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := MARK.search(line))
    ]
    rules = {rule for rule, _ in marks}
    if len(rules) != 1:
        raise SystemExit(f"{folder.name}: one planted rule is wanted, marked are {sorted(rules) or 'none'}")
    return rules.pop(), {place for _, place in marks}


def saves_time(folder: Path) -> bool:
    """Whether the fixed loop is meant to be faster."""
    return NO_SPEEDUP not in (folder / "slow.py").read_text()


def ended(command: list[str], cwd: Path, limit_s: float, **variables: str) -> tuple[str, str]:
    """What the command printed and how it failed, if it did.

    A session of its own, so that workers and launchers end with it. OMP_NUM_THREADS is handed on: with other work on
    the cores, threads that wait for each other make loops several times as slow, and 1 is the better choice.
    """
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables}
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "", f"no end after {limit_s:g} s"
    if process.returncode:
        last = (errors.strip().splitlines() or ["nothing on stderr"])[-1]
        return output, f"exit status {process.returncode}: {last[:160]}"
    return output, ""


def bare(script: Path, limit_s: float, **variables: str) -> Outcome:
    """The seconds of the script's loop with these environment variables, or why there are none."""
    output, failure = ended([sys.executable, str(script)], ROOT, limit_s, **variables)
    match = LOOP.search(output)
    if failure or match is None:
        return {"failure": failure or "printed no loop_seconds"}
    return {"seconds": float(match[1])}


def profiled(script: Path, limit_s: float) -> Outcome:
    """What the report of one run says, as far as the benchmark asks."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "slowprobe", "profile", "--out", folder, str(script.relative_to(ROOT))]
        _, failure = ended(command, ROOT, limit_s)
        document = Path(folder) / "report.json"
        if failure or not document.exists():
            return {"failure": failure or "no report"}
        report = json.loads(document.read_text())
    return {
        "findings": [_brief(finding) for finding in report["findings"]],
        "bottleneck": report["verdict"]["bottleneck"],
        "speedup": report["verdict"]["speedup"],
        "unaccounted": report["time"]["unaccounted_share"],
        "steps": report["steps"]["count"],
        "errors": [rule for rule, outcome in report["outcomes"].items() if outcome["status"] == "error"],
        "outcomes": {rule: outcome.get("reason", "") for rule, outcome in report["outcomes"].items()},
        "notes": [note if isinstance(note, str) else note.get("text", "") for note in report["notes"]],
    }


def _brief(finding: dict[str, Any]) -> Outcome:
    places = [[Path(place["file"]).name, place["line"]] for place in finding["where"]]
    saving = finding["saving"]["speedup"] if finding["saving"] else None
    return {
        "rule": finding["rule"],
        "bottleneck": finding["bottleneck"],
        "severity": finding["severity"],
        "place": places[0] if places else None,
        "speedup": saving,
    }


def serious(outcome: Outcome) -> list[str]:
    """Findings of high or medium severity."""
    return [finding["rule"] for finding in outcome.get("findings", ()) if finding["severity"] != "low"]
