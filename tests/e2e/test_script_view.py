"""What a script sees of its process is the same with and without slowprobe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .harness import PROFILE, Pair, environment, pair

LOOK = r"""
import builtins, json, os, signal, sys, threading, __main__

def described(value):
    return str(value).split(" at 0x")[0]

def inheritable(number):
    try:
        return os.get_inheritable(number)
    except OSError:
        return False

view = {
    "argv": sys.argv,
    "orig_flags": list(sys.flags),
    "path": sys.path,
    "cwd": os.getcwd(),
    "executable": sys.executable,
    "main is this": vars(__main__) is globals(),
    "dunders": {key: described(value) for key, value in globals().items() if key[:2] == "__" and key != "__builtins__"},
    "builtins": __builtins__ is builtins,
    "environ": dict(sorted(os.environ.items())),
    "handlers": {str(number): described(signal.getsignal(number)) for number in sorted(signal.valid_signals())},
    "mask": [str(number) for number in sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))],
    "umask": os.umask(0o22),
    "group": os.getpgid(0) == os.getpgid(os.getppid()),
    "stdin": sys.stdin.read(),
    "encodings": [sys.stdin.encoding, sys.stdout.encoding, sys.stdout.line_buffering, sys.stderr.line_buffering],
    "tty": [stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "hooks": [described(sys.excepthook), described(sys.displayhook), sys.gettrace(), sys.getprofile()],
    "main thread": threading.current_thread() is threading.main_thread(),
    "descriptors": [number for number in range(3, 200) if inheritable(number)],
    "recursion": sys.getrecursionlimit(),
    "name": __name__,
    "print": [print.__name__, print.__qualname__, print.__module__],
}
print(json.dumps(view, indent=1, sort_keys=True))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A script, a package with a __main__ and relative imports, and a folder with a __main__, all looking around."""
    look = LOOK
    (tmp_path / "look.py").write_text(look)
    (tmp_path / "pkg" / "inner").mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").write_text("value = 5\n")
    (tmp_path / "pkg" / "__main__.py").write_text(
        look + "from . import value\nfrom .inner import other\nprint(value, other)\n"
    )
    (tmp_path / "pkg" / "inner" / "__init__.py").write_text("from .. import value\nother = value + 1\n")
    (tmp_path / "pkg" / "tool.py").write_text(look + "from .inner.deep import name\nprint(name)\n")
    (tmp_path / "pkg" / "inner" / "deep.py").write_text("name = __name__\n")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "linked.py").write_text(look + "import neighbour\nprint(neighbour.word)\n")
    (tmp_path / "real" / "neighbour.py").write_text("word = 'found'\n")
    (tmp_path / "alias").symlink_to("real")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text(look)
    return tmp_path


def look(project: Path, *target: str, **how: Any) -> Pair:
    how.setdefault("input", b"from stdin\n")
    both = pair(list(target), project.parent / f"{project.name}-out", cwd=project, **how)
    assert both.alone.returncode == 0, both.alone.stderr.decode()
    both.assert_same_result()
    return both


@pytest.mark.parametrize(
    "target",
    [
        ("look.py",),
        ("./look.py", "--steps", "3", "--out", "elsewhere", "-m", "--", "-h", ""),
        ("pkg/../look.py", "--no-trace"),
        ("alias/linked.py", "é ü", "a\nb"),
        ("app", "x"),
        ("-m", "pkg", "--steps", "3"),
        ("-m", "pkg.tool", "-m", "x"),
        ("-m", "look", "--help"),
    ],
    ids=lambda target: " ".join(target)[:24].replace("\n", " "),
)
def test_sees_the_same_process(target: tuple[str, ...], project: Path) -> None:
    both = look(project, *target)
    assert b"from stdin" in both.alone.stdout


def test_absolute_path_from_another_folder(project: Path) -> None:
    (project / "elsewhere").mkdir()
    both = pair([str(project / "look.py")], project / "out", cwd=project / "elsewhere")
    both.assert_same_result()


def test_environment_flags_and_encoding(project: Path) -> None:
    env = environment(PYTHONUTF8="1", PYTHONWARNINGS="ignore", PYTHONUNBUFFERED="1", COLUMNS="40", PYTHONHASHSEED="3")
    look(project, "look.py", env=env)


def test_interpreter_flags(project: Path) -> None:
    flags = ["-O", "-B", "-X", "utf8", "-W", "error::DeprecationWarning", "-P"]
    alone = subprocess.run(
        [sys.executable, *flags, "look.py"], cwd=project, capture_output=True, stdin=subprocess.DEVNULL
    )
    recorded = subprocess.run(
        [sys.executable, *flags, *PROFILE[1:], "--out", "out", "look.py"],
        cwd=project,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    assert alone.returncode == recorded.returncode == 0, recorded.stderr.decode()
    assert recorded.stdout == alone.stdout


def test_inherited_descriptors_stay_open(project: Path) -> None:
    (project / "read.py").write_text(
        "import os, sys\nprint(os.read(int(sys.argv[1]), 10))\nprint(open(sys.argv[2]).read())\n"
    )
    for command in ([sys.executable], [*PROFILE, "--out", "out"]):
        reading, writing = os.pipe()
        other, end = os.pipe()
        os.write(writing, b"through fd")
        os.write(end, b"through /dev/fd")
        os.close(end)
        done = subprocess.run(
            [*command, "read.py", str(reading), f"/dev/fd/{other}"],
            cwd=project,
            capture_output=True,
            pass_fds=(reading, other),
        )
        for descriptor in (reading, writing, other):
            os.close(descriptor)
        assert done.stdout == b"b'through fd'\nthrough /dev/fd\n", done.stderr.decode()


def test_a_module_that_is_missing(project: Path) -> None:
    both = pair(["-m", "pkg.nothing"], project / "out", cwd=project)
    both.assert_same_result()
    assert both.recorded.stderr.startswith(both.alone.stderr)


def test_closed_streams(project: Path) -> None:
    (project / "quiet.py").write_text("import os\nos.close(2)\nos.close(1)\nos._exit(0 if True else 1)\n")
    pair(["quiet.py"], project / "out", cwd=project).assert_same_result()


def test_cwd_that_goes_away(project: Path) -> None:
    script = "import os, shutil, tempfile\nd = tempfile.mkdtemp()\nos.chdir(d)\nshutil.rmtree(d)\nprint('still here')\n"
    (project / "gone.py").write_text(script)
    look(project, "gone.py")


def test_at_exit_threads_and_finalizers_run_in_order(project: Path) -> None:
    (project / "late.py").write_text(
        "import atexit, threading, time, weakref\n"
        "class A: pass\n"
        "a = A()\n"
        "weakref.finalize(a, print, 'finalizer')\n"
        "atexit.register(print, 'atexit 1')\n"
        "atexit.register(lambda: print('atexit 2'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\n"
        "print('main')\n"
    )
    look(project, "late.py")


def test_children_of_the_script(project: Path) -> None:
    """fork, spawn and subprocess children see their own world, and their prints and exits are theirs."""
    (project / "parent.py").write_text(
        "import multiprocessing as mp, os, subprocess, sys\n"
        "def work(n):\n"
        "    print('child', n, __name__ in ('__main__', '__mp_main__'), flush=True)\n"
        "    sys.exit(n)\n"
        "if __name__ == '__main__':\n"
        "    for method in ('fork', 'spawn', 'forkserver'):\n"
        "        p = mp.get_context(method).Process(target=work, args=(3,))\n"
        "        p.start(); p.join(); print(method, p.exitcode, flush=True)\n"
        "    if os.fork() == 0:\n"
        "        print('forked', flush=True); sys.exit(5)\n"
        "    print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "    print(subprocess.check_output([sys.executable, '-c', 'import sys; print(sys.argv)']))\n"
    )
    look(project, "parent.py")


SPAWN = """
import torch
from torch.utils.data import DataLoader, Dataset

class Squares(Dataset):
    def __len__(self):
        return 24
    def __getitem__(self, index):
        return torch.tensor([float(index)]) ** 2 / 600

def init(worker):
    assert torch.utils.data.get_worker_info().id == worker

if __name__ == "__main__":
    model = torch.nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(0.5); model.bias.fill_(0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = DataLoader(Squares(), batch_size=4, num_workers=2, multiprocessing_context="{method}", worker_init_fn=init)
    for x in loader:
        loss = (model(x) - x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(repr(loss.item()))
    assert loader.worker_init_fn is init
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_spawned(method: str, project: Path) -> None:
    (project / "spawn.py").write_text(SPAWN.replace("{method}", method))
    both = look(project, "spawn.py")
    loader = both.report["loaders"][0]
    assert (loader["batches"], loader["num_workers"], loader["role"]) == (6, 2, "training")
    files = list((both.folder / "workers").iterdir())
    assert len(files) == 2 and all(b'"batches"' in file.read_bytes() for file in files)
