"""Compiling takes a large part of the run, and the run is over before it pays.

What it is: torch.compile traces and compiles the model at its first call, and once more for its backward pass; with
max-autotune it also tries kernels out.

Why it is slow: the loop stands still for seconds or minutes. A long training earns that back, a short one does not.

How it is seen: torch.compile's own callbacks, each compilation timed on the training thread.

Stays quiet when: compilations inside the loop take less than 10 % of it, or are mostly recompilations, which have a
rule of their own.

Saving: the compilations, with the garbage collections inside them, as recorded: a run without torch.compile has none.
Its steps are taken to last as long as the compiled ones; what they would be slower is not known. At worst half of the
compilations remain, as with the other two ways: a warm cache on disk spares the code generation, not the tracing;
compiling only the block that repeats spares all copies of it but one. A run that goes on much longer needs none of
them: in a loop of less than five minutes, which may be a trial, the severity is low, and the verdict is about the rest.

Fix: leave torch.compile out of short runs; or keep the caches (TORCHINDUCTOR_CACHE_DIR on a disk that outlives the
job), or compile the repeated block instead of the whole model.

Sources: PyTorch documentation (compile-time caching; regional compilation recipe).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.10  # of the loop; below, an ordinary training has not even begun to be long
MIN_S = 2.0  # nobody rearranges a script for less
TRIAL_S = 300.0  # of the loop; a shorter run may be a trial of one in which compiling is soon forgotten
MOSTLY = 0.5  # of the compilations' time in recompilations: then these are what to mend
LEFT = Factor(0.0, 0.0, 0.5)  # of compile time, see "Saving"

RULE = Rule(
    title="Compiling takes a large part of the run",
    bottleneck="compile",
    needs=("steps", "compilations", "compile_loop_s", "compile_collections", "compiles", "partition"),
)


def check(run: Evidence) -> Answer:
    """Compare the seconds in compilations with the loop."""
    if not run.compiles:
        return NotApplicable("torch.compile was not used")
    seconds, loop_s = run.compile_loop_s + sum(run.compile_collections.values()), run.partition.loop_s
    share = seconds / loop_s
    if share < MIN_SHARE or seconds < MIN_S:
        return Passed(f"compilations take {seconds:.1f} s, {share:.1%} of loop time")
    noted = run.compilations
    rows = noted.rows if noted is not None else []
    again = sum(row[4] for row in rows if row[5]) / max(sum(row[4] for row in rows), 1e-9)
    if again >= MOSTLY:
        return Passed(f"{again:.0%} of the compilations' time is recompilations")
    scopes = {scope: sum(each.scopes.get(scope, 0.0) for each in run.compiles) for scope in ("step", "off_step")}
    return Diagnosis(
        summary=(
            f"torch.compile takes {seconds:.1f} s of a loop of {loop_s:.1f} s: {share:.0%}. In a run of this length it "
            "has to make every step that much faster to pay."
        ),
        where=place(*(facts.where for facts in run.compiles[:2])),
        fix=Fix(
            text=(
                "For runs as short as this, leave torch.compile out, keep its cache between runs "
                "(TORCHINDUCTOR_CACHE_DIR), or compile the repeated block only: block.compile() for each."
            ),
        ),
        changes=[Scale("compile", scope, spent, LEFT) for scope, spent in scopes.items() if spent > 0]
        + [Scale("gc", scope, spent, LEFT) for scope, spent in run.compile_collections.items() if spent > 0],
        basis="stated range",
        offer=loop_s < TRIAL_S,
        evidence={
            "seconds": round(seconds, 3),
            "share of loop time": round(share, 4),
            "compilations": sum(facts.calls for facts in run.compiles),
            "of their time, recompilations": round(again, 3),
        },
    )
