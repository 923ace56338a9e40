"""Texts are tokenized again in every epoch, while the model waits.

What it is: a tokenizer is called in the dataset, in collate_fn or in the training step itself.

Why it is slow: the tokens of a text are the same every time; tokenized once beforehand, in batches, reading them costs
next to nothing. A tokenizer written in Python takes 10 to 100 times as long as a compiled one.

How it is seen: stack samples in transformers' tokenization_*, tokenizers, sentencepiece, tiktoken, nltk; in functions
named tokenize or methods of a class named …Tokenizer; in functions of the user's that split a text (split, findall,
finditer) and look its pieces up in a table (``ids.get(word)``), or look words up in what is named a vocabulary; or on
lines that call one; and on lines beside them that make tensors of the tokens; while batches are made, and between the
parts of a step. The fix is replayed with that time gone.

Saving: nothing remains of it at best, 0.02 is expected (token ids are read instead), 0.2 at worst (padding and
truncation stay where they are).

Stays quiet when: it takes less than 5 % of making a batch, or the loop does not wait for batches. Workers would only do
it at the same time as the step, and again in each epoch.

Fix: once, before training:

    texts = texts.map(lambda rows: tokenizer(rows["text"], truncation=True), batched=True, num_proc=8)

Sources: Hugging Face Datasets documentation (map, batched); transformers documentation (fast tokenizers).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slowprobe.diagnose.edits import look_up
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import sampled_lines
from slowprobe.diagnose.item_calls import kind_of
from slowprobe.diagnose.making_parts import MIN_SAMPLES, Part, cheaper, hardly_waits, of_batch, part_of
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import COVERING, candidates
from slowprobe.diagnose.rules._token_tensors import converting
from slowprobe.diagnose.rules._tokenizing import tokenized_by, tokenizing_lines
from slowprobe.run.record import Site
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Reload, Scale

MIN_PART = 0.05  # of making a batch, or of loop time in the step: the tokens are the same each time, so all of it goes
REMAINING = Factor(0.0, 0.02, 0.2)  # see "Saving" above

RULE = Rule(
    title="Texts are tokenized in the loop",
    bottleneck="input",
    needs=("loaders", "making_stacks", "lines", "partition", "replay", "source", "cores"),
    closer_than=("slow-transform", "collate-heavy", "list-to-tensor", "python-bound", "repeated-deterministic-prep"),
    before=COVERING,
)


def check(run: Evidence) -> Answer:
    """Find tokenizers that work in the making of batches or in the step."""
    known = [loader for loader in candidates(run) if loader.id in run.making_stacks]
    answers = [_of_making(run, loader) for loader in known]
    found = [answer for answer in answers if isinstance(answer, Diagnosis)]
    in_step = _of_step(run)
    if in_step is not None:
        found.append(in_step)
    if found:
        return found
    reason = next((answer.reason for answer in answers if isinstance(answer, Passed)), "")
    if not reason and not sampled_lines(run):
        return NotChecked("no stack samples were taken")
    return Passed(reason or "no tokenizer works in the loop")


def _of_making(run: Evidence, loader: LoaderFacts) -> Diagnosis | Passed:
    parts = [_part(run, loader, bucket) for bucket in ("fetch", "collate")]
    part = max(parts, key=lambda part: of_batch(loader, part))
    share = of_batch(loader, part)
    if share < MIN_PART or part.samples < MIN_SAMPLES:
        return Passed(f"tokenizers take {share:.0%} of making a batch")
    change = cheaper(loader, part, REMAINING)
    reason = hardly_waits(run, change)
    if reason:
        return Passed(f"tokenizers take {share:.0%} of making a batch, but {reason}")
    ms = share * (loader.make_s or 0) * 1000
    return _diagnosis(
        run,
        part,
        f"Tokenizing takes {share:.0%} of making a batch ({ms:.1f} of {(loader.make_s or 0) * 1000:.1f} ms)",
        [change],
        {"share of making a batch": round(share, 4), "ms a batch": round(ms, 3), "num_workers": loader.num_workers},
    )


def _part(run: Evidence, loader: LoaderFacts, bucket: str) -> Part:
    """Tokenizing itself, and making tensors of the tokens; the lines of the former stand for both."""
    part = part_of(run, loader, bucket, lambda stack: kind_of(run.source, stack) == "tokenize")
    places = converting(run.source, part.lines)
    if not places:
        return part
    rest = part_of(
        run,
        loader,
        bucket,
        lambda stack: (
            kind_of(run.source, stack) != "tokenize"
            and (site := stack.site) is not None
            and (site.file, site.line) in places
        ),
    )
    return replace(
        part,
        share=min(1.0, part.share + rest.share),
        samples=part.samples + rest.samples,
        inner=(*part.inner, *rest.lines),
    )


def _of_step(run: Evidence) -> Diagnosis | None:
    lines = tokenizing_lines(run)
    seconds, samples = sum(line.seconds for line in lines), sum(line.samples for line in lines)
    if samples < MIN_SAMPLES or seconds < MIN_PART * run.partition.loop_s:
        return None
    share = seconds / run.partition.loop_s
    sites: dict[Site, float] = {}
    for line in lines:
        site = tokenized_by(run, line)
        sites[site] = sites.get(site, 0.0) + line.seconds
    return _diagnosis(
        run,
        Part("step", share, sites, samples),
        f"Tokenizing takes {share:.0%} of loop time, on the training thread",
        [Scale(line.bucket, line.scope, line.seconds, REMAINING, pause=True) for line in lines],
        {"share of loop time": round(share, 4), "seconds": round(seconds, 3)},
    )


def _diagnosis(
    run: Evidence, part: Part, summary: str, changes: list[Reload] | list[Scale], evidence: dict[str, Any]
) -> Diagnosis:
    site = part.site
    text = run.source.line(site.file, site.line) if site is not None else ""
    processes = max(1, int(run.cores))
    return Diagnosis(
        summary=f"{summary}{f': {text}' if text else ''}. The same texts give the same tokens in every epoch.",
        where=part.where,
        fix=Fix(
            text=(
                f"Tokenize once, before training, in batches of 1000 texts on {processes} "
                f"process{'es' if processes > 1 else ''}, and keep the token ids."
            ),
            diff=look_up(run.source, site, "self.tokens[{index}]", "tokenized once, in __init__ or before"),
        ),
        changes=changes,
        basis="stated range",
        covers=part.inner,
        evidence={**evidence, "library function": part.callee or "none"},
    )
