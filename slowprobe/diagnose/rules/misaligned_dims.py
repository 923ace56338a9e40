"""Matrix products have sizes that tensor cores cannot read in whole words.

What it is: a vocabulary of 50,257 words, a hidden size of 30, a sequence of 5,185 positions: no multiples of 8.

Why it is slow: the fast kernels read and write 16 bytes at a time, 8 numbers of 16 bits or 4 of TF32. Rows that do not
begin at such a boundary go through slower kernels, or through ordinary units.

How it is seen: recorded shapes of products, and kernels whose names say how they read (align1, align4). Where a name
does not say, the width of a result counts, for its rows lie in memory one behind the other; and the depth of a product
where it is the width of another. Their part of all products' time. The recorded graph is replayed with their kernels
faster.

Saving: a stated range. Of their kernels 0.45 remains at best, 0.65 is expected and all of it at worst, times what the
padding adds. In the trace of a recommendation model on an A100, products by align1 kernels reached 0.4 to 0.7 of the
rate of those by align4.

Stays quiet when: shapes were not recorded, such products take less than 10 % of the products' time or 3 % of all, no
tensor core is asked for (float32 without TF32), or the device is not NVIDIA's: others ask for other multiples.

Fix: pad: the vocabulary to a multiple of 64, hidden sizes and sequences to one of 8 (pad_to_multiple_of=8 of
tokenizers and collators).

Sources: NVIDIA matrix multiplication guide (16 bytes); nanoGPT (vocabulary of 50,304); Ascend advisor.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from slowprobe.diagnose.device_parts import on_device, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor
from slowprobe.timeline.matrix_products import MatrixProduct

HALF = ("c10::Half", "c10::BFloat16")
MIN_PART, MIN_SHARE = 0.10, 0.03  # of the products, of the time
LEFT = Factor(0.45, 0.65, 1.0)  # see "Saving" above
MIN_SIZE = 16  # of what is worth padding; narrower products are not for tensor cores
WIDE, WIDE_MULTIPLE = 1024, 64  # a vocabulary and its like: a whole tile more costs nothing there

NAMED = 0.1  # of the time of the worst size
_ALIGNED = re.compile(r"_align(\d+)")  # numbers read at a time, in the names of cutlass kernels
_Slow = tuple[MatrixProduct, dict[str, int]]

RULE = Rule(
    title="Sizes of products do not fit the tensor cores",
    bottleneck="compute",
    needs=("device", "matrix_products", "replay"),
)


def check(run: Evidence) -> Answer:
    """Look at the sizes of products."""
    return on_device(run, _judge)


def _judge(run: Evidence, facts: DeviceFacts) -> Diagnosis | Passed | NotChecked | NotApplicable:
    if facts.capability is None or not facts.has_tensor_cores:
        return NotApplicable("no NVIDIA device with tensor cores is named")
    products: list[MatrixProduct] = run.matrix_products
    tf32 = any(each.tensor_cores for each in products if each.dtype == "float")
    needed = dict.fromkeys(HALF, 8) | ({"float": 4} if tf32 else {})
    asked = [each for each in products if each.dtype in needed]
    if not asked:
        return NotApplicable("no product is meant for tensor cores")
    odd = {(each.dtype, each.n) for each in asked if each.n >= MIN_SIZE and each.n % needed[each.dtype]}
    slow = [(each, ns) for each in asked if (ns := _slow_ns(each, needed[each.dtype], odd))]
    whole_ns, taken_ns = sum(each.total_ns for each in products), sum(sum(ns.values()) for _, ns in slow)
    part = taken_ns / whole_ns if whole_ns else 0.0
    of_time = part * share(facts, facts.partition.by_class.get("matmul", 0))
    if part < MIN_PART or of_time < MIN_SHARE:
        return Passed(f"products of sizes that fit badly take {part:.1%} of the products' time, {of_time:.1%} of all")
    padded = {size: _padded(size, multiple) for size, multiple in _dearest(slow, needed)}
    growth = sum(sum(ns.values()) * _growth(each, needed[each.dtype]) for each, ns in slow) / taken_ns
    return Diagnosis(
        summary=(
            f"{part:.0%} of the time in matrix products is in sizes that are no multiple of "
            f"{max(needed[each.dtype] for each, _ in slow)} ({', '.join(map(str, padded))}): such rows cannot be read "
            "in whole words."
        ),
        where=[],
        fix=Fix(text=f"Pad what these sizes stand for: {', '.join(f'{a} to {b}' for a, b in padded.items())}."),
        changes=[_faster(products, slow, growth)],
        basis="stated range",
        evidence={
            "of the products' time": round(part, 4),
            "products": ", ".join(f"{each.operator} {each.m}x{each.k}x{each.n}" for each, _ in slow[:5]),
            "padding adds": round(growth - 1, 4),
            "type": ", ".join(sorted({each.dtype for each, _ in slow})),
        },
    )


def _slow_ns(product: MatrixProduct, multiple: int, odd: set[tuple[str, int]]) -> dict[str, int]:
    """The kernels of a product that read less than whole words, with their time."""
    if not _misfits(product, multiple):
        return {}
    by_size = bool({(product.dtype, product.n), (product.dtype, product.k)} & odd)
    told = {name: _ALIGNED.search(name) for name in product.ns_by_kernel}
    return {
        name: ns
        for name, ns in product.ns_by_kernel.items()
        if (by_size if (found := told[name]) is None else int(found[1]) < multiple)
    }


def _misfits(product: MatrixProduct, multiple: int) -> list[int]:
    return [size for size in set(product.sizes) if size >= MIN_SIZE and size % multiple]


def _dearest(slow: Sequence[_Slow], needed: Mapping[str, int]) -> list[tuple[int, int]]:
    """The sizes to blame and what they should be multiples of, by the time of the products that have them."""
    sums: dict[tuple[int, int], int] = {}
    for product, ns in slow:
        multiple = needed[product.dtype]
        for size in _misfits(product, multiple):
            sums[size, multiple] = sums.get((size, multiple), 0) + sum(ns.values())
    most = max(sums.values())
    return sorted((key for key in sums if sums[key] >= NAMED * most), key=lambda key: (-sums[key], key))[:4]


def _padded(size: int, multiple: int) -> int:
    multiple = WIDE_MULTIPLE if size >= WIDE else multiple
    return math.ceil(size / multiple) * multiple


def _growth(product: MatrixProduct, multiple: int) -> float:
    """How much more there is to multiply."""
    return math.prod(_padded(size, multiple) / size for size in _misfits(product, multiple))


def _faster(products: Sequence[MatrixProduct], slow: Sequence[_Slow], growth: float) -> Faster:
    """By the names of kernels: the steps that are replayed may be others than those whose shapes were recorded."""
    names = {name for _, ns in slow for name in ns}
    whole_ns = sum(ns for product in products for name, ns in product.ns_by_kernel.items() if name in names)
    taken_ns = sum(sum(ns.values()) for _, ns in slow)
    left = Factor(*(min(1.0, growth * each) for each in (LEFT.best, LEFT.expected, LEFT.worst)))
    return Faster(lambda name: name in names, left.of_part(taken_ns / whole_ns))
