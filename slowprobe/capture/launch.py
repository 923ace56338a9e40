"""Runs the user's script in this process as Python would run it alone, recorded.

Started by the command line as a file: ``python launch.py FOLDER ORIGIN_NS OPTIONS (-m MODULE | SCRIPT) [ARGS…]``.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":  # a file's own folder comes first on sys.path; it is not the script's
    sys.path.pop(0)

import atexit
import importlib.util
import io
import os
import signal
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

_PACKAGE = str(Path(__file__).resolve().parent.parent)
if importlib.util.find_spec("slowprobe") is None:
    sys.path.append(str(Path(_PACKAGE).parent))  # run from a checkout that is not installed


def main(arguments: list[str]) -> None:
    """Record and run; ends as the script ends: same exit code, same traceback, same signal."""
    import msgspec

    from slowprobe.capture.session import Options, Session

    folder, origin_ns, options, *command = arguments
    die_by_sigint = _exit_by_signal_last()
    session = Session(Path(folder), int(origin_ns), msgspec.json.decode(options, type=Options))
    atexit.register(session.stop)  # threads and atexit functions of the script come first
    session.start()
    try:
        load, sys.argv = _prepare(command)
        code, module = load()
        exec(code, vars(module))
    except SystemExit:
        raise
    except KeyboardInterrupt as error:
        _report(error)
        session.stop("KeyboardInterrupt")
        die_by_sigint()
    except BaseException as error:
        _report(error)
        session.stop(type(error).__name__)
        sys.exit(1)


def _prepare(command: list[str]) -> tuple[Callable[[], tuple[CodeType, ModuleType]], list[str]]:
    if command[0] == "-m":
        name = command[1]
        sys.path.insert(0, os.getcwd())
        return lambda: _load_module(name), [name, *command[2:]]
    path = command[0]
    target = Path(path)
    sys.path.insert(0, str(target.resolve() if target.is_dir() else target.resolve().parent))
    return lambda: _load_script(path), [path, *command[1:]]


def _load_script(path: str) -> tuple[CodeType, ModuleType]:
    file = os.path.abspath(os.path.join(path, "__main__.py") if os.path.isdir(path) else path)
    with io.open_code(file) as source:
        code = compile(source.read(), file, "exec", dont_inherit=True)
    module = _main_module(file, None)
    module.__loader__ = SourceFileLoader("__main__", file)
    return code, module


def _load_module(name: str) -> tuple[CodeType, ModuleType]:
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    loader = spec.loader if spec is not None else None
    code = loader.get_code(spec.name) if spec is not None and hasattr(loader, "get_code") else None  # type: ignore[union-attr]
    if spec is None or code is None:
        print(f"{sys.executable}: No module named {name}", file=sys.stderr)
        sys.exit(1)
    module = _main_module(spec.origin or name, spec)
    module.__loader__ = spec.loader
    module.__package__ = spec.parent
    sys.argv[0] = spec.origin or name
    return code, module


def _main_module(file: str, spec: ModuleSpec | None) -> ModuleType:
    module = ModuleType("__main__")
    module.__file__ = file
    module.__spec__ = spec
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    vars(module)["__annotations__"] = {}
    vars(module)["__cached__"] = None
    sys.modules["__main__"] = module
    return module


def _report(error: BaseException) -> None:
    """Show the traceback as Python would, without slowprobe's frames."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = _without_slowprobe(link.__traceback__)
        link = link.__cause__ or link.__context__
    sys.excepthook(type(error), error, error.__traceback__)


def _without_slowprobe(traceback: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_PACKAGE):
            kept.append(traceback)
        traceback = traceback.tb_next
    following: TracebackType | None = None
    for entry in reversed(kept):
        following = TracebackType(following, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return following


def _exit_by_signal_last() -> Callable[[], None]:
    """Registered before anything of the script's, so run after it: die of SIGINT as Python does after Ctrl-C."""
    wanted: list[bool] = []

    def last() -> None:
        if wanted:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)

    atexit.register(last)

    def arrange() -> None:
        wanted.append(True)
        sys.exit(130)

    return arrange


if __name__ == "__main__":
    main(sys.argv[1:])
