"""Makes the annotated step of a run: operators by line, with the shapes and types of their inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from synthetic import SCRIPT

from slowprobe.timeline.op_tree import OpTree, build_tree
from slowprobe.trace.reader import read_trace


class AnnotatedStep:
    """One step; operators follow each other with gaps of 1 µs."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._at = 10.0

    def op(
        self,
        name: str,
        us: float,
        dims: list[Any],
        *,
        types: list[str] | None = None,
        line: int | None = None,
        sequence: int | None = None,
        backward: bool = False,
        inside: tuple[str, list[Any]] | None = None,
    ) -> None:
        """An operator, launched on `line`. `inside`: one that runs nested in it, all of its time.

        sequence: the number of its autograd node; backward: it differentiates the node of that number.
        """
        if line is not None:
            self._event("user_annotation", f"slowprobe.line#{line}#main#{quote(SCRIPT, safe='')}", 0.0)
            self._at += 1
        args: dict[str, Any] = {"Input Dims": dims, **({} if types is None else {"Input type": types})}
        if sequence is not None:
            args |= {"Sequence number": sequence, "Fwd thread id": int(backward)}
        self._event("cpu_op", name, us, **args)
        if inside is not None:
            self._event("cpu_op", inside[0], us, **{"Input Dims": inside[1]})
        self._at += us + 1

    def stretch(self, name: str, us: float) -> None:
        """An annotation around the operators of the next `us`."""
        self._event("user_annotation", name, us)
        self._at += 0.5

    def _event(self, category: str, name: str, us: float, **args: Any) -> None:
        row = {"ph": "X", "cat": category, "name": name, "ts": self._at, "dur": us, "pid": 1, "tid": 1, "args": args}
        self._events.append(row)

    def tree(self, folder: Path) -> OpTree:
        """The step as it is read from a trace in `folder`."""
        end, self._at = self._at, 5.0
        self._event("user_annotation", "slowprobe.step", end - 5.0)
        folder.mkdir(exist_ok=True)
        path = folder / "annotated.json"
        path.write_text(json.dumps({"traceEvents": self._events}))
        return build_tree(read_trace(path))
