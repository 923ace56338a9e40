"""The examples by themselves: every slow loop has its twin and one marker, and the edit leaves the losses alone."""

import ast
import difflib
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SLOW = sorted(EXAMPLES.glob("*_slow.py"))
MARKER = re.compile(r"# slowprobe: rule=(\S+)$")
RULES = {
    "cpu_transform": "workers-zero",
    "checkpoint_every_step": "checkpoint-blocking",
    "logging_every_step": "logging-every-step",
    "eval_with_grad": "evaluation-with-grad",
    "python_time_loop": "tiny-op-loop",
    "optimizer_forloop": "optimizer-forloop",
    "worker_restart": "worker-restart-each-epoch",
    "ema_loop": "python-param-loops",
}
SHORT = {
    "cpu_transform": ["--epochs=2", "--items=128"],
    "checkpoint_every_step": ["--epochs=1"],
    "logging_every_step": ["--steps=20"],
    "eval_with_grad": ["--epochs=1"],
    "python_time_loop": ["--epochs=1"],
    "optimizer_forloop": ["--steps=50"],
    "worker_restart": ["--epochs=2"],
    "ema_loop": ["--steps=50"],
}


def cause(path: Path) -> str:
    return path.stem.removesuffix("_slow")


def twin(path: Path) -> Path:
    return path.with_name(f"{cause(path)}_fixed.py")


def markers(path: Path) -> list[tuple[int, str]]:
    found = ((number, MARKER.search(line)) for number, line in enumerate(path.read_text().splitlines(), 1))
    return [(number, match[1]) for number, match in found if match]


def losses(path: Path, arguments: list[str]) -> list[float]:
    command = [sys.executable, str(path), *arguments]
    output = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    assert re.search(r"^loop \d+\.\d\d s$", output, re.MULTILINE)
    return [float(text) for text in re.findall(r"(?:loss|averaged bias) (\d+\.\d+)", output)]


def test_every_cause_is_listed():
    assert [cause(path) for path in SLOW] == sorted(RULES)
    assert sorted(SHORT) == sorted(RULES)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_compiles_and_explains_itself(path):
    tree = ast.parse(path.read_text())
    compile(tree, str(path), "exec")
    assert ast.get_docstring(tree)
    assert "main" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", SLOW, ids=cause)
def test_one_marker_on_a_statement(path):
    ((line, rule),) = markers(path)
    assert rule == RULES[cause(path)]
    lines = {node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.stmt)}
    assert line in lines


@pytest.mark.parametrize("path", SLOW, ids=cause)
def test_the_twin_is_the_mending_edit_and_nothing_else(path):
    assert not markers(twin(path))
    slow, fixed = (re.sub(r'\A""".*?"""', "", p.read_text(), flags=re.DOTALL) for p in (path, twin(path)))
    changed = [line for line in difflib.ndiff(slow.splitlines(), fixed.splitlines()) if line.startswith("+ ")]
    assert 1 <= len(changed) <= 4


@pytest.mark.slow
@pytest.mark.parametrize("path", SLOW, ids=cause)
def test_the_edit_leaves_the_losses_alone(path):
    slow, fixed = (losses(p, SHORT[cause(path)]) for p in (path, twin(path)))
    assert slow
    assert fixed == pytest.approx(slow, rel=1e-3)


@pytest.mark.slow
def test_healthy_learns():
    first, *_, last = losses(EXAMPLES / "healthy.py", ["--epochs=2"])
    assert last < first
