"""The backward pass computes gradients that no optimizer uses.

What it is: parameters that want gradients, but are in no optimizer (a frozen backbone that was only left out of it),
have a learning rate of 0, or get gradients that are cleared before their optimizer steps (the discriminator's, in the
generator's step).

Why it is slow: each weight's gradient is a product as large as the forward pass of its layer, and below the lowest
parameter that learns the whole backward pass is for nothing.

How it is seen: in one turn of the loop the graph of every backward pass is read, and each parameter followed to the
optimizer step that uses its gradient or the zero_grad that drops it. A node of the graph that leads only to unused
gradients is wasted; of a matmul or convolution that leads to both, one of its two products is. What the nodes take is
from the profiler window.

Stays quiet when: every gradient is used, also by an optimizer of your own making (parameters outside torch.optim that
change are used) or one that steps rarely; a scheduler or a warm-up has set the learning rate to 0; what is wasted is
less than 3 % of the loop. Not checked on an accelerator, whose backward pass the host's times do not divide.

Fix: torch.no_grad() around the call of what is frozen (the line named first), where nothing below it learns; else
requires_grad_(False) before the loop. For a discriminator, False before the generator's backward pass and True
again before its own.

Sources: PyTorch autograd mechanics (setting requires_grad); PyTorch tutorial on transfer learning.
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.03  # of loop time; below, what is saved is hardly felt, and a head trained apart costs no more
COUNTED_SPREAD = 0.5  # of the share, where nodes were counted, not timed: a convolution and a reshape count alike
TIMED_SPREAD = 0.1  # the profiled steps against the others
_WHY = {
    "unowned": "are in no optimizer",
    "idle": "have a learning rate of 0",
    "dropped": "are cleared before their optimizer steps",
}

RULE = Rule(
    title="Gradients are computed that nobody uses",
    bottleneck="compute",
    needs=(
        "steps",
        "gradient_use",
        "wasted_backward",
        "partition",
        "optimizers",
        "forwards",
        "source",
        "recording",
        "settings",
    ),
)


def check(run: Evidence) -> Answer:
    """Weigh the part of the backward pass that leads to unused gradients only."""
    if not run.optimizers:
        return NotApplicable("no torch optimizer was used")
    use = run.gradient_use
    if not use.wasted:
        return Passed(f"all gradients of {use.parameters} parameters are used")
    if run.settings.get("devices"):
        return NotChecked("unused gradients were seen; what they take on an accelerator is not known")
    wasted = run.wasted_backward
    backward_s = run.partition.bucket_s("backward", "step")
    share = wasted.expected * backward_s / run.partition.loop_s
    if share < MIN_SHARE:
        return Passed(f"unused gradients take {share:.1%} of loop time")
    return _diagnose(run, share, backward_s)


def _diagnose(run: Evidence, share: float, backward_s: float) -> Diagnosis:
    use, wasted = run.gradient_use, run.wasted_backward
    rows = sorted(use.wasted, key=lambda row: -row[3])
    main = rows[0][1]
    module, tensors = rows[0][0], sum(row[2] for row in rows)
    spread = TIMED_SPREAD if wasted.basis == "times" else COUNTED_SPREAD
    left = Factor(
        1 - min(1.0, wasted.high * (1 + spread)), 1 - wasted.expected, 1 - max(0.0, wasted.low * (1 - spread))
    )
    passes = [
        run.recording.subject(number).site for number in sorted(wasted.by_subject, key=lambda n: -wasted.by_subject[n])
    ]
    makers = [facts.where for facts in run.optimizers]
    call = _call(run, module) if main == "unowned" and not wasted.passed_on else None
    return Diagnosis(
        title=f"Gradients of {module} are computed and not used",
        summary=(
            f"{tensors} parameters get gradients that {_WHY[main].replace('are in', 'belong to')}: {share:.0%} of loop "
            f"time, {wasted.expected:.0%} of the backward pass."
        ),
        where=place(*passes) if main == "dropped" else place(call, *makers[:1], *passes),
        fix=_fix(main, module, call is not None),
        changes=[Scale("backward", "step", backward_s, left)],
        basis="calibrated replay" if wasted.basis == "times" else "stated range",
        evidence={
            "share of the backward pass": round(wasted.expected, 4),
            "parameters that want gradients": use.parameters,
            "weighed by": "profiled time of each node" if wasted.basis == "times" else "number of nodes",
            "unused": {
                "columns": ["module", "why", "tensors", "elements"],
                "rows": [[row[0], f"gradients {_WHY[row[1]]}", row[2], row[3]] for row in rows],
            },
        },
    )


def _call(run: Evidence, module: str) -> Site | None:
    """Where the module is called: a part, in its model's class; a whole model, wherever it is. None if not just once.

    Its result is then computed under no_grad, which is as good as freezing it where nothing below it learns.
    """
    owner, _, part = module.partition(".")
    if not part:
        sites = {facts.where for facts in run.forwards if facts.name == owner and facts.attrs.get("grad")}
        return next(iter(sites)) if len(sites) == 1 else None
    found = run.source.find_class(owner)
    if found is None:
        return None
    file, definition = found
    calls = [
        Site(file, node.lineno, f"{owner}.{method.name}")
        for method in definition.body
        if isinstance(method, ast.FunctionDef)
        for node in ast.walk(method)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"self.{part}"
    ]
    return calls[0] if len(calls) == 1 else None


def _fix(reason: str, module: str, called: bool) -> Fix:
    name = module.partition(".")[2]
    attribute = f"model.{name}" if name else "model"
    if reason == "dropped":
        return Fix(
            text=(
                f"Switch the gradients of {module} off for this backward pass: the gradients of its inputs, which the "
                "pass is for, still flow through it."
            ),
            diff=diff(
                [],
                [
                    "discriminator.requires_grad_(False)  # before the generator's forward and backward pass",
                    "discriminator.requires_grad_(True)  # before its own",
                ],
            ),
        )
    if called:
        owner = f"self.{name}" if name else "it"
        return Fix(
            text=(
                f"Call {owner} under torch.no_grad(), or freeze it before the loop: "
                f"{attribute}.requires_grad_(False). Where it was meant to learn, hand its parameters to the "
                "optimizer: it does not learn now."
            ),
            diff=diff([], [f"with torch.no_grad():  # around the call of {module}, and of nothing that learns"]),
        )
    return Fix(
        text=(
            f"Freeze it: {attribute}.requires_grad_(False) before the loop. Where it was meant to learn, hand its "
            "parameters to the optimizer: it does not learn now."
        ),
        diff=diff([], [f"{attribute}.requires_grad_(False)"]),
    )
