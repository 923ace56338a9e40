"""Datasets that only index tensors or arrays, row by row, where one index for the whole batch would do."""

from __future__ import annotations

import ast

from slowprobe.diagnose.evidence import Evidence
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor

# What remains of fetch and collate with one index a batch: measured 0.04-0.21 with arrays of rows up to 4 KB, 0.12-0.42
# with tensors of rows up to 256 bytes, 0.33-0.61 of 4 KB (batches of 16 to 512, torch 2.13, one thread).
BATCHED = Factor(0.04, 0.25, 0.6)
TRIED = Factor(1.3, 2.0, 4.0)  # of one index for a batch after the run: measured 1.4 to 3.6 times that between steps
MAX_ROW_BYTES = 8_192  # copying rows is most of the cost then; rows of 48 KB were slower to index by a list
MAX_ITEM_S = (
    50e-6  # indexing a row of each of a few tensors takes 0.3-4 µs, collating it up to 3; more is something else
)
CONVERTING = ("from_numpy", "as_tensor", "float", "long")  # do to a batch what they do to an item


def batched(run: Evidence, loader: LoaderFacts) -> tuple[Factor, bool]:
    """What remains of making a batch with one index for it, and whether that was tried after the run."""
    of_tensors = loader.arrays == ("tensors",)
    tried_ms = run.costs.get(f"loader.{loader.id}.{'by_tensor' if of_tensors else 'rows'}_ms")
    make_ms = (loader.make_s or 0.0) * 1000
    if not tried_ms or not make_ms:
        return BATCHED, False
    return Factor(*(min(1.0, tried_ms * times / make_ms) for times in (TRIED.best, TRIED.expected, TRIED.worst))), True


def by_rows(run: Evidence, loader: LoaderFacts) -> list[str] | None:
    """The attributes of the dataset that are indexed item by item; None where that is not what the loader does."""
    size, make_s, batch_bytes = loader.batch_size, loader.make_s, loader.making.batch_bytes
    default = loader.collate_name in ("default_collate", "")
    if loader.iterable or not size or size < 2 or not make_s or not batch_bytes or not default:
        return None
    if batch_bytes / size > MAX_ROW_BYTES or make_s / size > MAX_ITEM_S or loader.making.transforms:
        return None
    if loader.items_of == "TensorDataset" and loader.arrays == ("tensors",):
        return ["tensors"]
    names = _indexed(run, loader.items_of)
    return names if names and set(names) <= set(loader.arrays) else None


def _indexed(run: Evidence, name: str) -> list[str]:
    """The attributes that a class's __getitem__ indexes, if it does nothing else."""
    found = run.source.find_class(name)
    methods = [node for node in found[1].body if isinstance(node, ast.FunctionDef)] if found else []
    if any(node.name == "__getitems__" for node in methods):
        return []
    method = next((node for node in methods if node.name == "__getitem__"), None)
    if method is None or len(method.args.args) != 2:
        return []
    names: list[str] = []
    for statement in method.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if not isinstance(statement, (ast.Return, ast.Assign)) or statement.value is None:
            return []
        if not _plain(statement.value, method.args.args[1].arg, names):
            return []
    return names


def _plain(node: ast.expr, index: str, names: list[str]) -> bool:
    """An expression of self.attribute[index], tuples and dictionaries of them; the attributes go into `names`."""
    if isinstance(node, ast.Subscript):
        owner, at = node.value, node.slice
        if not isinstance(owner, ast.Attribute) or getattr(owner.value, "id", "") != "self":
            return False
        names.append(owner.attr)
        return isinstance(at, ast.Name) and at.id == index
    if isinstance(node, ast.Tuple):
        return all(_plain(each, index, names) for each in node.elts)
    if isinstance(node, ast.Dict):
        return all(_plain(each, index, names) for each in node.values)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CONVERTING:
        return _plain(node.args[0] if node.args else node.func.value, index, names)
    return isinstance(node, ast.Name) and node.id != index
