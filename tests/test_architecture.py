"""The direction of imports, and that every module says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "slowprobe"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Each room and the rooms it may import; `errors` and the package itself are open to all.
ROOMS = {
    "run": set(),
    "capture": {"run"},
    "trace": {"run"},
    "timeline": {"run", "trace"},
    "diagnose": {"run", "trace", "timeline"},
    "report": {"run", "trace", "timeline", "diagnose"},
    "verify": {"run", "trace", "timeline", "diagnose", "capture"},
    "cli": {"run", "capture", "trace", "timeline", "diagnose", "report", "verify"},
    "notebook": {"api"},
    "api": {"run", "capture", "notebook"},
    "__main__": {"cli"},
    "__init__": {"api", "notebook"},
    "errors": set(),
}
WITH_TORCH = {"capture", "verify"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "slowprobe" else {module}
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    here = room(path)
    assert here in ROOMS, f"the room {here!r} has no place in the pipeline yet"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "slowprobe" and len(parts) > 1 and parts[1] in ROOMS:
            assert parts[1] == here or parts[1] == "errors" or parts[1] in ROOMS[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_torch_stays_in_its_rooms(path: Path) -> None:
    if room(path) not in WITH_TORCH:
        assert not [name for name in imports(path) if name.split(".")[0] in ("torch", "torchvision", "lightning")]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_opens_with_a_sentence(path: Path) -> None:
    doc = ast.get_docstring(ast.parse(path.read_text()))
    if path.stat().st_size == 0:
        pytest.skip("an empty package")
    assert doc and doc.splitlines()[0].rstrip().endswith((".", ":", "``."))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_what_is_inside(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "manager", "misc", "common"}
    assert len(path.read_text().splitlines()) <= 420, "a module this long is two modules"
