"""The Python interface: `profile` as decorator and context manager, and `watch` for loaders torch does not know."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from slowprobe.notebook import in_notebook, show

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Profiler:
    """Records what runs inside it; see `profile`. After the block `folder` holds the run, or is None if none was made.

    Every call of a decorated function, and every ``with`` block, is a run of its own. Inside another recording
    (``slowprobe profile``, an outer block) nothing new begins: the outer one covers it.
    """

    def __init__(
        self,
        out: str | os.PathLike[str] | None = None,
        steps: int | None = None,
        trace: bool = True,
        name: str = "run",
    ) -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self._out = Path(out) if out is not None else None
        self._steps = steps
        self._trace = trace
        self._name = name
        self._runs = 0
        self._session: Any = None
        self.folder: Path | None = None

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate `function`: each call is recorded and reported."""

        @functools.wraps(function)
        def recorded(*args: P.args, **kwargs: P.kwargs) -> R:
            self._name = getattr(function, "__name__", "run")
            with self:
                return function(*args, **kwargs)

        return recorded

    def __enter__(self) -> Profiler:
        from slowprobe.capture import session

        if session.active is None and self._session is None:
            try:
                self._session = self._begin()
            except Exception as error:  # training goes on without a recording
                print(f"slowprobe: not recording: {error}", file=sys.stderr)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        recorded, self._session = self._session, None
        if recorded is None:
            return
        try:
            recorded.stop(kind.__name__ if kind is not None else None)
            self._report()
        except Exception as failure:
            print(f"slowprobe: no report: {failure}. The recording is in {self.folder}", file=sys.stderr)

    def _begin(self) -> Any:
        from slowprobe.capture.new_run import new_run
        from slowprobe.capture.session import Options, Session

        origin_ns = time.perf_counter_ns()
        script = sys.argv[0] if sys.argv and sys.argv[0] else "python"
        command = ["python", *sys.argv]
        if in_notebook():  # argv is the kernel's
            script, command = "notebook", ["notebook", self._name]
        self._runs += 1
        out = self._numbered() if self._out is not None else None
        self.folder = new_run(out, self._name, command=command, script=script, mode="api", origin_ns=origin_ns)
        session = Session(self.folder, origin_ns, Options(self._steps, self._trace))
        session.start()
        return session

    def _numbered(self) -> Path:
        assert self._out is not None
        return self._out if self._runs == 1 else self._out.with_name(f"{self._out.name}-{self._runs}")

    def _report(self) -> None:
        """Made by a process of its own: nothing is imported into the user's, and its memory stays as it was."""
        from slowprobe.run.folder import rank

        if rank():
            return  # rank 0 reports; this recording is there for `slowprobe report`
        assert self.folder is not None
        package = str(Path(__file__).resolve().parent.parent)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
        command = [sys.executable, "-m", "slowprobe", "report", str(self.folder)]
        inline = in_notebook()
        stderr = subprocess.PIPE if inline else None
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stderr=stderr, text=True, check=False)
        if inline:
            show(self.folder, done.stderr)


@overload
def profile(out: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def profile(out: str | os.PathLike[str] | None = None, *, steps: int | None = None, trace: bool = True) -> Profiler: ...


def profile(out: Any = None, *, steps: int | None = None, trace: bool = True) -> Any:
    """Record training and report why it is slow.

    Use it as ``@slowprobe.profile`` or ``@slowprobe.profile(out="reports/mine", steps=200)`` on the function that
    trains, or as ``with slowprobe.profile(): …`` around the loop.

    out: folder for the report and the run data; default ``reports/<function>-<time>``. A second run of the same
    profiler goes to ``<out>-2``, and so on. steps: record only the first so many training steps; training goes on.
    trace: record torch.profiler windows.

    Raises ValueError for ``steps`` below 1. Trouble with recording is told on stderr and never reaches the training.
    """
    if callable(out):
        return Profiler()(out)
    return Profiler(out, steps, trace)


def watch(batches: Iterable[T], name: str | None = None) -> Iterator[T]:
    """Iterate over `batches`, a loader that torch does not know, so that waiting for it is seen.

    name: what the report calls it; default its type's name. Where nothing is recorded, this is ``iter(batches)``.
    """
    from slowprobe.capture import session

    active = session.active
    if active is None:
        return iter(batches)
    return active.watch(batches, name or type(batches).__name__)
