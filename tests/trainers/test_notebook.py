"""A notebook run by a real kernel: the cell magic records the training, and the report appears below the cell."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import assert_wall_identity, environment

pytest.importorskip("ipykernel")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

SETTINGS = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(1)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loader = DataLoader(TensorDataset(torch.randn(80, 8), torch.randint(0, 2, (80,))), batch_size=8)
"""
TRAINING = """
for _ in range(4):
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
trained = True
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel of this interpreter, whatever kernels the machine has."""
    folder = tmp_path / "jupyter" / "kernels" / "here"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "here", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    return "here"


def test_cell_magic(kernel: str, tmp_path: Path) -> None:
    cells = [
        "%load_ext slowprobe",
        SETTINGS,
        f"%%slowprobe --out run\n{TRAINING}",
        "assert trained and not model[0].bias.isnan().any()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name=kernel, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # raises where a cell does
    outputs = notebook.cells[2].outputs
    pages = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert len(pages) == 1 and "<iframe srcdoc=" in pages[0]
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (report["steps"]["unit"], report["steps"]["count"]) == ("batch", 40)
    assert [(loader["role"], loader["batches"]) for loader in report["loaders"]] == [("training", 40)]
    assert (report["run"]["script"], report["run"]["command"]) == ("notebook", "notebook cell")
    assert_wall_identity(report)
    assert not any("error" in output.output_type for cell in notebook.cells for output in cell.outputs)
