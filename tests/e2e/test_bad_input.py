"""Bad input and hard ends: one clear line, the script's own words, its exit code, and a report of what was recorded."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from .harness import PROFILE, SCRIPTS, TIMEOUT_S, Pair, assert_wall_identity, environment, journal, pair, run

LOOP = """
import sys, torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

class Items(Dataset):
    def __len__(self):
        return 80
    def __getitem__(self, index):
        {item}
        return torch.ones(4) * index, torch.zeros(1)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)
    def forward(self, x):
        {forward}
        return self.linear(x)

def collate(items):
    {collate}
    return torch.utils.data.default_collate(items)

def main():
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    step = 0
    for x, y in DataLoader(Items(), batch_size=4, collate_fn=collate, num_workers={workers}):
        loss = (model(x) - y).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step == 10:
            {step}

if __name__ == "__main__":
    main()
    print("end")
"""

WAITING = """
import os, signal, sys, time
{setup}
print(os.getpid(), flush=True)
try:
    while True:
        time.sleep(0.05)
finally:
    print("finally", flush=True)
"""


def loop(folder: Path, workers: int = 0, **faults: str) -> str:
    """A training script with faults put into its places; the path of the file."""
    places = {name: faults.get(name, "pass") for name in ("item", "forward", "collate", "step")}
    file = folder / "train.py"
    file.write_text(LOOP.format(workers=workers, **places))
    return str(file)


def one_line(stderr: bytes) -> str:
    """The only line that slowprobe wrote."""
    lines = stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("slowprobe: "), stderr.decode()
    return lines[0]


def assert_same_words(both: Pair) -> None:
    """The script's stderr first, byte for byte, then slowprobe's summary."""
    assert both.recorded.stderr.startswith(both.alone.stderr), both.summary
    assert b"Traceback" not in both.recorded.stderr[len(both.alone.stderr) :]
    assert b"slowprobe" not in both.alone.stderr


# -- arguments -----------------------------------------------------------------------------------------------------


def test_missing_script(tmp_path: Path) -> None:
    done = run([*PROFILE, "--out", str(tmp_path / "out"), "nowhere.py"], tmp_path)
    assert done.returncode == 2
    assert "nowhere.py" in one_line(done.stderr)
    assert not (tmp_path / "out").exists()


def test_folder_without_main(tmp_path: Path) -> None:
    done = run([*PROFILE, "--out", str(tmp_path / "out"), str(tmp_path)], tmp_path)
    assert done.returncode == 2
    assert "__main__.py" in one_line(done.stderr)


def test_no_script_given(tmp_path: Path) -> None:
    done = run(PROFILE, tmp_path)
    assert done.returncode == 2
    assert b"slowprobe profile train.py" in done.stderr and b"Traceback" not in done.stderr


def test_output_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "train.py").write_text("print('ran')")
    done = run([*PROFILE, "--out", str(tmp_path / "file" / "out"), "train.py"], tmp_path)
    assert done.returncode == 2
    assert "--out" in one_line(done.stderr)
    assert done.stdout == b""  # told before the training has run for hours, not after


# -- scripts that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "code"),
    [
        pytest.param("def broken(:\n    pass\n", 1, id="syntax error"),
        pytest.param("print('é')\nx = 1 / 0\n", 1, id="raises"),
        pytest.param("raise SystemExit\n", 0, id="SystemExit"),
        pytest.param("import sys\nsys.exit(3)\n", 3, id="exit code"),
        pytest.param("import sys\nsys.exit('stopped: no data')\n", 1, id="exit message"),
        pytest.param("import os\nprint('x', flush=True)\nos._exit(4)\n", 4, id="os._exit"),
        pytest.param("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", -11, id="SIGSEGV"),
        pytest.param("import os\nos.abort()\n", -6, id="abort"),
        pytest.param("raise KeyboardInterrupt\n", -2, id="KeyboardInterrupt"),
        pytest.param("import sys\nsys.excepthook = lambda *a: print('hook', a[0])\nint('x')\n", 1, id="excepthook"),
        pytest.param("try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e\n", 1, id="chain"),
        pytest.param("import nowhere_at_all\n", 1, id="import error"),
        pytest.param("import threading\nthreading.Thread(target=lambda: 1 / 0).start()\n", 0, id="thread raises"),
        pytest.param("import atexit\natexit.register(lambda: print('bye'))\n1 / 0\n", 1, id="atexit"),
        pytest.param("raise ExceptionGroup('many', [ValueError(1), KeyError('k')])\n", 1, id="group"),
    ],
)
def test_script_ends_as_it_does_alone(source: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(source)
    both = pair(["train.py"], tmp_path / "out", cwd=tmp_path)
    assert both.alone.returncode == code
    both.assert_same_result()
    assert_same_words(both)
    report = both.report
    assert report["run"]["exit_code"] == (code if code >= 0 else None)
    assert_wall_identity(report) if code != 4 and code >= -2 else None


@pytest.mark.parametrize(
    ("place", "workers"),
    [
        ("forward", 0),
        ("item", 0),
        pytest.param("collate", 0, marks=pytest.mark.slow),
        pytest.param("step", 0, marks=pytest.mark.slow),
        ("item", 1),  # with more, torch's own lines depend on which worker is first
        pytest.param("collate", 1, marks=pytest.mark.slow),
    ],
)
def test_traceback_is_the_scripts_own(place: str, workers: int, tmp_path: Path) -> None:
    fault = {
        "item": "if index == 50: raise OSError('item 50')",
        "collate": "if items[0][0][0] >= 48: raise OSError('collate')",
        "forward": "if x[0, 0] >= 48: raise OSError('forward')",
        "step": "raise OSError('step')",
    }
    script = loop(tmp_path, workers, **{place: fault[place]})
    both = pair([script], tmp_path / "out")
    assert both.alone.returncode == 1 and b"OSError" in both.alone.stderr
    both.assert_same_result()
    assert_same_words(both)
    assert both.report["steps"]["count"] >= 10
    assert both.report["run"]["exit_code"] == 1
    assert_wall_identity(both.report)


@pytest.mark.parametrize("place", ["sys.exit(3)", "import os; os._exit(4)"])
def test_ends_in_the_middle_of_training(place: str, tmp_path: Path) -> None:
    both = pair([loop(tmp_path, step=place)], tmp_path / "out")
    both.assert_same_result()
    code = both.alone.returncode
    assert code in (3, 4)
    assert both.report["run"]["exit_code"] == code
    if code == 3:
        assert both.report["steps"]["count"] == 10
        assert_wall_identity(both.report)


# -- signals -------------------------------------------------------------------------------------------------------


class Waiting:
    """A script that waits, alone or under slowprobe, in a session of its own."""

    def __init__(self, folder: Path, recorded: bool, setup: str = "", **options: Any) -> None:
        (folder / "wait.py").write_text(WAITING.format(setup=setup))
        self.out = folder / "out"
        command = [*PROFILE, "--out", str(self.out)] if recorded else [sys.executable]
        options.setdefault("start_new_session", True)
        self.process = subprocess.Popen(
            [*command, str(folder / "wait.py")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            **options,
        )
        assert self.process.stdout is not None
        self.script = psutil.Process(int(self.process.stdout.readline()))
        time.sleep(0.2)  # it is in its try block now

    def end(self) -> tuple[int, bytes, bytes]:
        out, errors = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, out, errors


def compare(folder: Path, send: Any, setup: str = "") -> tuple[int, bytes, Path]:
    """Exit code and stdout, which must be the same alone and recorded; and the run folder."""
    ended = []
    for recorded in (False, True):
        waiting = Waiting(folder, recorded, setup)
        send(waiting)
        ended.append((*waiting.end(), waiting.out))
    assert ended[0][:2] == ended[1][:2], ended[1][2].decode()
    assert ended[1][2].startswith(ended[0][2])
    return ended[1][0], ended[1][1], ended[1][3]


TO_PARENT = pytest.param(lambda w, number: w.process.send_signal(number), id="to slowprobe alone")
TO_GROUP = pytest.param(lambda w, number: os.killpg(w.process.pid, number), id="to the group")
TO_SCRIPT = pytest.param(lambda w, number: w.script.send_signal(number), id="to the script")


@pytest.mark.parametrize("send", [TO_PARENT, TO_GROUP, TO_SCRIPT])
def test_interrupt(send: Any, tmp_path: Path) -> None:
    code, out, folder = compare(tmp_path, lambda w: send(w, signal.SIGINT))
    assert (code, out) == (-2, b"finally\n")
    report = json.loads((folder / "report.json").read_text())
    assert "SIGINT" in report["run"]["exit"]
    assert_wall_identity(report)


@pytest.mark.parametrize("send", [TO_PARENT, TO_SCRIPT])
@pytest.mark.parametrize(
    ("setup", "code", "out"),
    [
        pytest.param("", -15, b"", id="default"),
        pytest.param("signal.signal(15, lambda *_: sys.exit(9))", 9, b"finally\n", id="handler"),
    ],
)
def test_terminate(send: Any, setup: str, code: int, out: bytes, tmp_path: Path) -> None:
    ended, printed, folder = compare(tmp_path, lambda w: send(w, signal.SIGTERM), setup)
    assert (ended, printed) == (code, out)
    assert (folder / "report.html").exists()


@pytest.mark.parametrize("to", [TO_PARENT, TO_GROUP, TO_SCRIPT])
def test_user_signal_reaches_the_script_once(to: Any, tmp_path: Path) -> None:
    setup = "signal.signal(signal.SIGUSR1, lambda *_: print('saved', flush=True))"

    def send(waiting: Waiting) -> None:
        to(waiting, signal.SIGUSR1)
        time.sleep(0.3)
        waiting.process.send_signal(signal.SIGTERM)

    assert compare(tmp_path, send, setup)[:2] == (-15, b"saved\n")


def test_hang_up_is_ignored_under_nohup(tmp_path: Path) -> None:
    def send(waiting: Waiting) -> None:
        waiting.process.send_signal(signal.SIGHUP)
        waiting.script.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        waiting.process.send_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert compare(tmp_path, send)[0] == -15
    finally:
        signal.signal(signal.SIGHUP, before)


def test_control_c_in_a_terminal_interrupts_once(tmp_path: Path) -> None:
    count = "signal.signal(2, lambda *_: print('interrupted', flush=True))"
    for recorded in (False, True):
        terminal, inner = pty.openpty()

        def own_terminal(inner: int = inner) -> None:
            import fcntl
            import termios

            fcntl.ioctl(inner, termios.TIOCSCTTY, 0)

        waiting = Waiting(tmp_path, recorded, count, stdin=inner, preexec_fn=own_terminal)
        os.close(inner)
        os.write(terminal, b"\x03")
        time.sleep(0.4)
        waiting.process.terminate()
        code, out, _ = waiting.end()
        os.close(terminal)
        assert (code, out) == (-15, b"interrupted\n")


@pytest.mark.parametrize("victim", ["script", "slowprobe"])
def test_kill(victim: str, tmp_path: Path) -> None:
    script = loop(tmp_path, step="import time; print('ready', flush=True); time.sleep(60)")
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*PROFILE, "--out", str(out), script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    children = psutil.Process(process.pid).children()
    child = next(one for one in children if "launch.py" in " ".join(one.cmdline()))
    time.sleep(1.5)  # the journal is written once a second
    (child if victim == "script" else process).send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -9
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    if victim == "slowprobe":
        assert not (out / "report.json").exists()
        again = run([sys.executable, "-m", "slowprobe", "report", str(out)])
        assert again.returncode == 0, again.stderr.decode()
    else:
        assert b"Report: " in errors
    report = json.loads((out / "report.json").read_text())
    assert report["steps"]["count"] == 10
    assert report["run"]["exit_code"] is None
    assert "kill" in report["run"]["exit"].lower()
    total = sum(bucket["seconds"] for bucket in report["time"]["buckets"])
    assert total == pytest.approx(report["time"]["wall_s"], rel=1e-3)


# -- trouble with the disk -----------------------------------------------------------------------------------------


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Any:
    """A file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False).returncode
    ):
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_full_disk_leaves_the_training_alone(tiny_disk: Path, tmp_path: Path) -> None:
    both = pair([str(SCRIPTS / "plain.py")], tiny_disk / "out")
    assert both.alone.returncode == 0
    both.assert_same_result()
    assert_same_words(both)
    assert b"No space left on device" in both.recorded.stderr
    assert len(both.recorded.stderr.splitlines()) == len(both.alone.stderr.splitlines()) + 1


def test_full_disk_leaves_workers_alone(tiny_disk: Path, tmp_path: Path) -> None:
    script = loop(tmp_path, 1, item="import time; time.sleep(0.03)")
    both = pair([script], tiny_disk / "out")
    assert both.alone.returncode == 0
    both.assert_same_result()
    assert_same_words(both)


def test_run_folder_that_vanishes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = loop(tmp_path, step=f"import shutil; shutil.rmtree({str(out)!r}, ignore_errors=True)")
    both = pair([script], out)
    both.assert_same_result()
    assert both.alone.returncode == 0
    assert_same_words(both)


# -- reading run folders -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    done = run([*PROFILE, "--out", str(folder / "out"), loop(folder)])
    assert done.returncode == 0, done.stderr.decode()
    return folder / "out"


@pytest.fixture
def copy(recorded: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(recorded, tmp_path / "run"))


def report(folder: Path) -> subprocess.CompletedProcess[bytes]:
    return run([sys.executable, "-m", "slowprobe", "report", str(folder)])


def test_report_is_the_same_byte_for_byte(recorded: Path) -> None:
    first = {name: (recorded / name).read_bytes() for name in ("report.html", "report.json", "report.md")}
    for name in first:
        (recorded / name).unlink()
    assert report(recorded).returncode == 0
    assert {name: (recorded / name).read_bytes() for name in first} == first


def test_run_of_another_schema(copy: Path) -> None:
    manifest = json.loads((copy / "run.json").read_text())
    manifest["schema"] = "slowprobe.run/99"
    (copy / "run.json").write_text(json.dumps(manifest))
    done = report(copy)
    assert done.returncode == 2
    line = one_line(done.stderr)
    assert "slowprobe.run/99" in line and "slowprobe.run/1" in line


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"schema": "slowprobe.run/1"}', b"\xff\xfe"])
def test_damaged_manifest(content: bytes, copy: Path) -> None:
    (copy / "run.json").write_bytes(content)
    done = report(copy)
    assert done.returncode == 2
    assert "run.json" in one_line(done.stderr)


def test_folder_that_is_no_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing", SCRIPTS / "plain.py"):
        done = report(folder)
        assert done.returncode == 2
        assert str(folder) in one_line(done.stderr)


def test_journal_cut_in_the_middle_of_a_line(copy: Path) -> None:
    whole = (copy / "journal.jsonl").read_bytes()
    records = journal(copy)
    for kept in (0, 1, 10, len(whole) // 3, len(whole) * 2 // 3, len(whole) - 30):
        (copy / "journal.jsonl").write_bytes(whole[:kept])
        done = report(copy)
        assert done.returncode == 0, done.stderr.decode()
        document = json.loads((copy / "report.json").read_text())
        total = sum(bucket["seconds"] for bucket in document["time"]["buckets"])
        assert total == pytest.approx(document["time"]["wall_s"], rel=1e-3, abs=1e-6)
    assert records


def test_journal_with_rubbish_in_it(copy: Path) -> None:
    lines = (copy / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines.insert(3, b'\x00\x00{"t":"spans"\n')
    lines.insert(5, b'{"t":"from the future","x":1}\n')
    (copy / "journal.jsonl").write_bytes(b"".join(lines))
    before = json.loads((copy / "report.json").read_text())
    assert report(copy).returncode == 0
    after = json.loads((copy / "report.json").read_text())
    assert after["steps"] == before["steps"] and after["time"] == before["time"]


def test_missing_parts(copy: Path) -> None:
    for trace in (copy / "traces").iterdir():
        trace.write_bytes(b"no trace")
    (copy / "journal.jsonl").unlink()
    done = report(copy)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads((copy / "report.json").read_text())["steps"] is None


def test_report_into_a_folder_that_cannot_be_written(copy: Path) -> None:
    for name in ("report.html", "report.json", "report.md"):
        (copy / name).unlink()
        (copy / name).mkdir()
    done = report(copy)
    assert done.returncode == 2
    assert "cannot write the report" in one_line(done.stderr)


# -- loaders that fail ---------------------------------------------------------------------------------------------

FAILING_LOADER = """
import os, signal, sys, time, torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

def augment(x):
    {transform}
    return x

class Items(Dataset):
    def __init__(self):
        self.transform = augment
        {held}
    def __len__(self):
        return 400
    def __getitem__(self, index):
        {item}
        return self.transform(torch.ones(4) * index), torch.zeros(1)

if __name__ == "__main__":
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    try:
        for x, y in DataLoader(Items(), batch_size=4, num_workers=1, {options}):
            loss = (model(x) - y).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    except {caught} as error:
        print(type(error), str(error).replace(str(os.getpid()), "PID").split("pid")[0])
        raise
"""


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        pytest.param({"transform": "if x[0] == 200: raise OSError('picture 200')"}, b"picture 200", id="transform"),
        pytest.param(
            {"item": "if index == 200: time.sleep(1); os.kill(os.getpid(), 9)"}, b"signal: Killed", id="killed"
        ),
        pytest.param({"item": "if index == 200: time.sleep(1); os._exit(3)"}, b"exited unexpectedly", id="exits"),
        pytest.param({"item": "if index == 200: time.sleep(30)", "options": "timeout=2"}, b"timed out", id="timeout"),
        pytest.param(
            {"held": "self.f = lambda: 1", "options": "multiprocessing_context='spawn'"}, b"pickle", id="spawn"
        ),
    ],
)
def test_failing_workers_fail_as_they_do_alone(faults: dict[str, str], says: bytes, tmp_path: Path) -> None:
    places = {"transform": "pass", "held": "pass", "item": "pass", "options": "", "caught": "Exception"}
    (tmp_path / "train.py").write_text(FAILING_LOADER.format(**{**places, **faults}))
    both = pair(["train.py"], tmp_path / "out", cwd=tmp_path)
    assert both.alone.returncode == 1 and says in both.alone.stderr
    both.assert_same_result()

    def words(stderr: bytes) -> list[str]:
        import re

        return [re.sub(r"pid\(?s?\)? \d+|'?pid \d+", "pid", line) for line in stderr.decode().splitlines()]

    alone, recorded = words(both.alone.stderr), words(both.recorded.stderr)
    if "os." in faults.get("item", ""):  # it interrupts torch wherever that is just then
        assert "RuntimeError: DataLoader worker" in alone[-1]
        assert any("RuntimeError: DataLoader worker" in line for line in recorded), both.summary
        assert "slowprobe/capture" not in "".join(recorded)
    else:
        assert recorded[: len(alone)] == alone, both.summary
    assert_wall_identity(both.report)
    if "held" not in faults:
        (loader,) = both.report["loaders"]
        assert loader["batches"] >= 20 and loader["transforms"][0]["name"] == "augment"
        assert loader["fetch_s"] > 0
