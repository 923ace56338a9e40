"""A list is turned into a tensor value by value.

What it is: torch.tensor, torch.as_tensor or a tensor constructor is given a list of arrays, or of lists, in the
dataset, in the collate function or in the step itself.

Why it is slow: for a list torch asks Python for every single value, some 5 million a second; for arrays that are
stacked first it copies memory, hundreds of times as fast. torch warns of it once ("Creating a tensor from a list of
numpy.ndarrays is extremely slow").

How it is seen: stack samples on a line with such a call, whose own (C) code takes more time than 1 s for each 150 MB of
the batch: a copy is never that slow. In the dataset the source must also say that it is a list. In the step the
annotated one tells how large the line's tensors are; where it does not, the source must say that it is a list: written
out, made by a call that gives one, or a name or an attribute that is given nothing else, or a part of it. The fix is
replayed: the same batches without most of that time.

Saving: in collate and in the step, arrays of the recorded shapes are stacked and converted after the run; twice what
that takes is expected to remain (1.3 to 4 times). In the dataset, or where it was not tried, what remains of the line's
time, measured on torch 2.13 for arrays of 16 to 30,000 values: 0.00 to 0.17 with from_numpy(np.stack(arrays)), 0.07 to
0.19 for lists of Python numbers. Expected 0.05, from 0.0 to 0.2. A list that the
dataset holds is converted once, before training: 2.5 µs an item remain (1 to 10) for a slice of the tensor.

Stays quiet when: the call gets an array or tensors (a copy), something else on the line takes the time, the loop does
not wait for it, or the replay saves less than 3 % of loop time. The line is then not named by collate-heavy and
slow-transform a second time.

Fix: torch.from_numpy(np.stack(arrays)), one conversion for the batch; of a list that the dataset holds, one conversion
for the training.

Sources: PyTorch's UserWarning on lists of numpy.ndarrays.
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edits import replace_statement, statement_lines
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import COVERING, candidates, saved_share
from slowprobe.diagnose.rules._list_conversion import Conversion, conversions, stacked
from slowprobe.diagnose.rules._step_conversion import NEEDS, StepConversion, step_conversions
from slowprobe.run.record import Site
from slowprobe.timeline.loaders import LoaderFacts

MIN_SAVING = 0.03  # of loop time, as for collating at large
ADVICE = (
    "Stack the arrays once and convert once, without copying: torch.from_numpy(np.stack(items)). NumPy keeps the "
    "arrays' type (float64 for Python's floats): add .float() where float32 is meant."
)
HELD_ADVICE = (
    "The dataset holds this list all the time: convert it once, where it is made (self.rows = torch.tensor(rows)), and "
    "index the tensor, whose slices are views. Rows of different lengths go into one tensor with their offsets."
)

RULE = Rule(
    title="A list is turned into a tensor value by value",
    bottleneck="input",
    needs=(*NEEDS, "loaders", "worker_lines", "partition", "replay", "source", "cores", "costs"),
    closer_than=("python-bound",),
    before=COVERING,
)


def check(run: Evidence) -> Answer:
    """Find conversions of lists that the loop waits for."""
    in_step = [each for each in step_conversions(run) if saved_share(run, each.change(run)) >= MIN_SAVING]
    if in_step:
        return _in_step(run, in_step)
    if not run.loaders:
        return NotApplicable("there is no DataLoader, and no line of the step converts a list for a time that counts")
    seen = candidates(run)
    if not seen:
        return NotChecked("how batches are made was not recorded")
    if all(not loader.making.batch_bytes for loader in seen):
        return NotChecked("the size of the batches was not recorded")
    converting = [(loader, lines) for loader in seen if (lines := conversions(run, loader))]
    if not converting:
        return Passed("no line converts a list into a tensor for a time that was sampled")
    found = [diagnosis for loader, lines in converting if (diagnosis := _diagnose(run, loader, lines)) is not None]
    share = max(sum(each.share for each in lines) for _, lines in converting)
    return found or Passed(f"{share:.0%} of making a batch is converting lists, and the loop hardly waits for it")


def _diagnose(run: Evidence, loader: LoaderFacts, lines: list[Conversion]) -> Diagnosis | None:
    make_s = loader.make_s or 0.0
    tried_ms = run.costs.get(f"loader.{loader.id}.stacked_ms")
    change = stacked(loader, lines, tried_ms)
    if saved_share(run, change) < MIN_SAVING:
        return None
    top = max(lines, key=lambda each: each.share)
    share = min(1.0, sum(each.share for each in lines))
    site = Site(top.line.file, top.line.line, top.line.function)
    text = run.source.line(site.file, site.line)
    batch_bytes = loader.making.batch_bytes or 0.0
    return Diagnosis(
        summary=(
            f"{top.line.function} converts a list value by value: {share * make_s * 1000:.1f} ms of the "
            f"{make_s * 1000:.1f} ms in which a batch of {batch_bytes / 1e6:.2f} MB is made ({share:.0%}): {text}."
        ),
        where=shares({Site(c.line.file, c.line.line, c.line.function): c.line.seconds for c in lines}),
        fix=Fix(
            text=HELD_ADVICE if top.is_held else ADVICE,
            diff=_sliced(run, site, top.call) if top.is_held else _edit(run, site, top.line.bucket),
        ),
        changes=[change],
        basis="stated range" if tried_ms is None else "calibrated replay",
        evidence={
            "conversion, ms a batch": round(share * make_s * 1000, 3),
            "share of making a batch": round(share, 4),
            "MB/s": round(batch_bytes / (share * make_s) / 1e6, 1),
            "tensors in a batch, MB": round(batch_bytes / 1e6, 3),
            "samples": sum(each.line.samples for each in lines),
            "in": top.line.bucket,
            "num_workers": loader.num_workers,
        },
    )


def _in_step(run: Evidence, found: list[StepConversion]) -> Diagnosis:
    top, seconds = found[0], sum(each.seconds for each in found)
    site = top.line.site
    share, text = seconds / run.partition.loop_s, run.source.line(site.file, site.line)
    tried = all(each.tried_ms(run) is not None for each in found)
    return Diagnosis(
        summary=(
            f"{top.line.function} converts a list value by value: {seconds / run.steps.count * 1000:.1f} ms of a step "
            f"({share:.0%} of loop time): {text}."
        ),
        where=shares({each.line.site: each.seconds for each in found}),
        fix=Fix(text=ADVICE, diff=_edit(run, site, top.line.bucket)),
        changes=[each.change(run) for each in found],
        basis="calibrated replay" if tried else "stated range",
        bottleneck="host" if run.loaders else "input",
        evidence={
            "conversion, ms a step": round(seconds / run.steps.count * 1000, 3),
            "share of loop time": round(share, 4),
            "tensors it makes in a step, MB": round(sum(made.size for each in found for made in each.made) / 1e6, 3),
            "samples": sum(each.line.samples for each in found),
        },
    )


def _sliced(run: Evidence, site: Site, call: ast.Call) -> str:
    """The user's statement with the list's part in the place of its conversion: by then the list is a tensor."""
    text = "\n".join(statement_lines(run.source, site))
    try:
        nodes = ast.walk(ast.parse(text))
    except (SyntaxError, ValueError):
        return ""
    same = (node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node) == ast.unparse(call))
    own = next(same, None)
    whole = ast.get_source_segment(text, own) if own is not None else None
    part = ast.get_source_segment(text, own.args[0]) if own is not None else None
    if whole is None or part is None or call.keywords:
        return ""
    held = part.partition("[")[0]
    new = [f"{held} = torch.tensor({held})  # once, at the end of __init__", *text.replace(whole, part, 1).splitlines()]
    return replace_statement(run.source, site, new)


def _edit(run: Evidence, site: Site, bucket: str) -> str:
    """The user's statement with the outermost conversion of one list in it replaced."""
    text = "\n".join(statement_lines(run.source, site))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or len(node.args) != 1:
            continue
        if node.func.attr not in ("tensor", "as_tensor") or any(k.arg not in ("dtype",) for k in node.keywords):
            continue
        whole, argument = ast.get_source_segment(text, node), ast.get_source_segment(text, node.args[0])
        if whole is None or argument is None:
            return ""
        in_collate = bucket == "collate"
        named = isinstance(node.args[0], ast.Name) and not in_collate  # values, or rows: np.asarray takes both
        is_flat = named or isinstance(node.args[0], ast.Call)
        array = argument.removesuffix(".tolist()") if is_flat else f"np.stack({argument})"
        array = f"np.asarray({array})" if is_flat and array == argument else array
        kind = next((ast.get_source_segment(text, keyword.value) for keyword in node.keywords), None)
        new = f"torch.from_numpy({array})" + (f".to({kind})" if kind else "")
        return replace_statement(run.source, site, text.replace(whole, new, 1).splitlines())
    return ""
