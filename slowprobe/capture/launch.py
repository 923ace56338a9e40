"""Runs the user's script in this process as Python would run it alone, recorded.

Started by the command line as a file: ``python launch.py FOLDER ORIGIN_NS OPTIONS (-m MODULE | SCRIPT) [ARGS…]``.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:  # a file's own folder comes first on sys.path; not the script's
    sys.path.pop(0)

import atexit
import importlib.util
import io
import os
import pkgutil
import signal
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

_PACKAGE = str(Path(__file__).resolve().parent.parent)
if importlib.util.find_spec("slowprobe") is None:
    sys.path.append(str(Path(_PACKAGE).parent))  # run from a checkout that is not installed


def main(arguments: list[str]) -> None:
    """Record and run; ends as the script ends: same exit code, same traceback, same signal."""
    folder, origin_ns, options, *command = arguments
    die_by_sigint = _exit_by_signal_last()
    stop = _begin(folder, int(origin_ns), options)
    try:
        load, sys.argv = _prepare(command)
        code, module = load()
        exec(code, vars(module))
    except SystemExit:
        raise
    except KeyboardInterrupt as error:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # dying already: a second one must not cut the record short
        _report(error)
        stop("KeyboardInterrupt")
        die_by_sigint()
    except BaseException as error:
        _report(error)
        stop(type(error).__name__)
        sys.exit(1)


def _begin(folder: str, origin_ns: int, options: str) -> Callable[[str], None]:
    """Start to record; returns what ends it. Without a recording (disk trouble, say) the script runs all the same."""
    try:
        import msgspec

        from slowprobe.capture.session import Options, Session

        session = Session(Path(folder), origin_ns, msgspec.json.decode(options, type=Options))
        atexit.register(session.stop)  # threads and atexit functions of the script come first
        session.start()
    except Exception as error:
        print(f"slowprobe: not recording: {type(error).__name__}: {error}", file=sys.stderr)
        return lambda exception: None
    return session.stop


def _prepare(command: list[str]) -> tuple[Callable[[], tuple[CodeType, ModuleType]], list[str]]:
    if command[0] == "-m":
        name = command[1]
        _put_first_on_path(os.getcwd())
        return lambda: _load_module(name), [name, *command[2:]]
    path = command[0]
    if pkgutil.get_importer(_absolute(path)) is not None:  # a folder or an archive with a __main__
        sys.path.insert(0, _absolute(path))
        return lambda: _load_container(_absolute(path)), [path, *command[1:]]
    _put_first_on_path(str(Path(path).resolve().parent))
    return lambda: _load_script(path), [path, *command[1:]]


def _put_first_on_path(folder: str) -> None:
    if not sys.flags.safe_path:
        sys.path.insert(0, folder)


def _absolute(path: str) -> str:
    return os.path.join(os.getcwd(), path)  # dots in it stay, as Python leaves them


def _load_script(path: str) -> tuple[CodeType, ModuleType]:
    file = _absolute(path)
    with io.open_code(file) as source:
        code = compile(source.read(), file, "exec", dont_inherit=True)
    module = _main_module(file, None)
    module.__loader__ = SourceFileLoader("__main__", file)
    return code, module


def _load_container(path: str) -> tuple[CodeType, ModuleType]:
    spec = PathFinder.find_spec("__main__", [path])
    code = _code(spec)
    if spec is None or code is None:
        print(f"{sys.executable}: can't find '__main__' module in {path!r}", file=sys.stderr)
        sys.exit(1)
    return code, _main_module(spec.origin or path, spec)


def _code(spec: ModuleSpec | None) -> CodeType | None:
    code: CodeType | None = spec.loader.get_code(spec.name) if hasattr(spec and spec.loader, "get_code") else None  # type: ignore
    return code


def _load_module(name: str) -> tuple[CodeType, ModuleType]:
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    code = _code(spec)
    if spec is None or code is None:
        print(f"{sys.executable}: No module named {name}", file=sys.stderr)
        sys.exit(1)
    sys.argv[0] = spec.origin or name
    return code, _main_module(spec.origin or name, spec)


def _main_module(file: str, spec: ModuleSpec | None) -> ModuleType:
    module = ModuleType("__main__")
    module.__file__ = file
    module.__spec__ = spec
    if spec is not None:
        module.__loader__, module.__package__ = spec.loader, spec.parent
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    vars(module)["__annotations__"] = {}
    vars(module)["__cached__"] = spec.cached if spec is not None else None
    sys.modules["__main__"] = module
    return module


def _report(error: BaseException) -> None:
    """Show the traceback as Python would, without slowprobe's frames."""
    from slowprobe.capture.sites import strip_traceback

    strip_traceback(error)
    sys.excepthook(type(error), error, error.__traceback__)


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
