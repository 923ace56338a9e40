"""Device sections to render: a training that waits for data, on two ranks, and one that attacks the page."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec

from slowprobe.report.device_document import (
    Device,
    DeviceCollective,
    DeviceCopy,
    DeviceMemory,
    DevicePart,
    DeviceRank,
    DeviceRanks,
    DeviceSteps,
    DeviceSync,
    Kernel,
    RankCollective,
)
from slowprobe.report.timeline_document import Gap, Lane, StepTimeline

CLASSES = {"convolution": 310.0, "matmul": 40.0, "normalization": 120.0, "elementwise": 95.0, "optimizer": 30.0}
IDLE = {"data": 240.0, "python": 40.0, "launch": 12.0, "off_step": 8.0}
COMPUTE = sum(CLASSES.values())
SPAN = COMPUTE + 60.0 + 45.0 + sum(IDLE.values())
SITE = "train.py(42): main"


def device() -> Device:
    cells = [
        *((part, "compute", us) for part, us in CLASSES.items()),
        ("communication", "communication", 60.0),
        ("copy", "copy", 45.0),
        *((f"idle_{cause}", "idle", us) for cause, us in IDLE.items()),
    ]
    parts = [DevicePart(id=part, group=group, us=us * 1e3, share=us / SPAN) for part, group, us in cells]  # type: ignore[arg-type]
    return Device(
        span_us=SPAN * 1e3,
        busy_us=(SPAN - sum(IDLE.values())) * 1e3,
        idle_us=sum(IDLE.values()) * 1e3,
        compute_us=COMPUTE * 1e3,
        communication_us=110e3,
        exposed_communication_us=60e3,
        exposed_copy_us=45e3,
        idle_causes={cause: us * 1e3 for cause, us in IDLE.items()},
        name="Tesla V100-DGXS-32GB",
        rank=0,
        trace="worker0.pt.trace.json",
        copy_us=50e3,
        drained_us=31e3,
        tensor_core_us=0.0,
        tensor_core_able_us=350e3,
        parts=parts,
        steps=steps(parts),
        timeline=timeline(),
        queue={"median_delay_us": 812.0, "p90_delay_us": 2_400.0, "deepest": 212.0, "unlaunched": 3.0},
        kernels=[kernel(number) for number in range(30)],
        kernels_left_out=11,
        kernels_left_out_us=1_900.0,
        copies=[
            DeviceCopy(
                kind="h2d_pageable",
                where=SITE,
                op="aten::to",
                count=20,
                total_us=50e3,
                exposed_us=45e3,
                size_bytes=385_351_680,
            ),
            DeviceCopy(kind="d2d", where="", op="", count=4, total_us=12.0, exposed_us=0.0, size_bytes=None),
        ],
        syncs=[
            DeviceSync(
                name="cudaStreamSynchronize", where=SITE, op="aten::item", count=10, total_us=90e3, drained_us=31e3
            )
        ],
        collectives=[
            DeviceCollective(
                name="all_reduce", group="default_pg", count=80, total_us=110e3, exposed_us=60e3, size_bytes=2**30
            )
        ],
        ranks=ranks(),
        memory=memory(),
        host={
            "operators": 1_830.0,
            "launches": 640.0,
            "data_us": 24e3,
            "sync_us": 9e3,
            "launch_us": 6e3,
            "operators_us": 40e3,
            "python_us": 16e3,
            "step_us": 95e3,
        },
        warnings=["3 device rows have no launch in the trace."],
    )


def steps(parts: list[DevicePart]) -> DeviceSteps:
    lengths = [0.9, 1.0, 1.1, 1.0, 1.6, 0.95, 1.05, 1.0]
    return DeviceSteps(
        basis="ProfilerStep",
        count=len(lengths),
        median_us=SPAN * 1e3 / 8,
        typical=11,
        group=1,
        number=list(range(10, 18)),
        span_us=[SPAN * 1e3 / 8 * length for length in lengths],
        parts={part.id: [part.us / 8 * length for length in lengths] for part in parts},
        left_out=["Step 18 is cut off by the end of the recording."],
    )


PARTS = ["convolution", "normalization", "elementwise", "copy", "idle_data", "idle_python"]
PARTS += ["host_framework", "host_data", "host_launch", "host_python"]
STEP = 120_000.0


def lane(kind: str, label: str, runs: list[tuple[float, float, int, int]], merged: bool = False) -> Lane:
    totals: dict[str, float] = {}
    for start, end, part, _ in runs:
        totals[PARTS[part]] = totals.get(PARTS[part], 0.0) + (end - start) * (0.5 if merged else 1.0)
    return Lane(
        kind=kind,  # type: ignore[arg-type]
        label=label,
        start_us=[run[0] for run in runs],
        end_us=[run[1] for run in runs],
        busy_us=[(run[1] - run[0]) * (0.5 if merged else 1.0) for run in runs],
        part=[run[2] for run in runs],
        count=[9 if merged else 1] * len(runs),
        name=[run[3] for run in runs],
        mixed={"0": {"normalization": 20.0, "elementwise": 8.0}} if merged else {},
        totals_us=totals,
    )


def timeline(seed: int = 3) -> StepTimeline:
    chance = random.Random(seed)
    kernels, at = [], 31_000.0
    while at < STEP - 3_000:
        length = chance.lognormvariate(5.5, 0.8)
        kernels.append((at, min(at + length, STEP), chance.choice((0, 0, 0, 1, 2)), 0))
        at += length + chance.choice((0.0, 4.0, 60.0))
    host = [(0.0, 29_000.0, 7, -1)] + [(29_000.0 + 90 * n, 29_000.0 + 90 * n + 60, 6 + n % 3, -1) for n in range(240)]
    small = [(31_500.0 + 300 * n, 31_500.0 + 300 * n + 120, 2, 1) for n in range(250)]
    idle = [(0.0, 29_500.0, 4, 2), (29_500.0, 31_000.0, 5, -1), (STEP - 3_000.0, STEP, 5, -1)]
    return StepTimeline(
        label="step 11",
        span_us=STEP,
        merged_below_us=41.0,
        events=4_812,
        parts=PARTS,
        names=[
            "void cudnn::detail::bn_fw_tr_1C11_singleread<float, 512, true, 1, 2, 0>(float, float const*)",
            "k",
            SITE,
        ],
        lanes=[
            lane("host", "Main thread", host),
            lane("stream", "Stream 7", kernels),
            lane("stream", "Stream 24", small, merged=True),
            lane("idle", "Device idle, by cause", idle),
        ],
        gaps=[
            Gap(start_us=0.0, us=29_500.0, cause="data", drained_by="cudaStreamSynchronize", site=SITE),
            Gap(start_us=29_500.0, us=1_500.0, cause="python", drained_by="", site=""),
        ],
        gaps_left_out=417,
        queue_us=[STEP / 50 * n for n in range(50)],
        queue_depth=[min(n * 7, 190) for n in range(50)],
    )


def kernel(number: int) -> Kernel:
    kinds = ("convolution", "normalization", "elementwise", "matmul")
    total = 90e3 / (number + 1)
    return Kernel(
        name=f"void cutlass::Kernel<cutlass_{number}_tensorop_s884gemm_f16>(cutlass::Params)",
        kind=kinds[number % 4],
        tensor_cores=number % 8 == 0,
        count=20 * (number + 1),
        total_us=total,
        mean_us=total / 20 / (number + 1),
        median_us=total / 21 / (number + 1),
        longest_us=total / 9 / (number + 1),
        share=total / 400e3,
        ops=["aten::cudnn_convolution", "aten::conv2d"],
    )


def rank(number: int, wait: float | None = 8e3) -> DeviceRank:
    return DeviceRank(
        rank=number,
        device="Tesla V100-SXM2-16GB",
        steps=8,
        step_us=125e3,
        span_us=SPAN * 1e3,
        compute_us=COMPUTE * 1e3,
        exposed_communication_us=60e3,
        exposed_copy_us=45e3,
        idle_us=sum(IDLE.values()) * 1e3,
        communication_us=110e3,
        waiting_us=wait,
        transfer_us=None if wait is None else 110e3 - wait,
        suffered_us=wait,
        caused_us=None if wait is None else 60e3 / (number + 1),
        came_last=None if wait is None else 40,
    )


def ranks() -> DeviceRanks:
    return DeviceRanks(
        world_size=4,
        ranks=[rank(0, 2e3), rank(1, 58e3), rank(3, None)],
        straggler=0,
        words="Rank 0 comes last in 71 of 80 collectives: the others wait 118 ms for it.",
        calls=80,
        unmatched=2,
        alignment_us=31.0,
        collectives=[
            RankCollective(
                name="all_reduce",
                group="default_pg",
                count=80,
                total_us=220e3,
                waiting_us=60e3,
                transfer_us=160e3,
                complete=False,
            )
        ],
        warnings=["Rank 2 was not recorded."],
    )


def memory() -> DeviceMemory:
    allocated = [int(2**30 * (3 + 2.5 * math.sin(n / 6) ** 2)) for n in range(100)]
    return DeviceMemory(
        time_us=[9_000.0 * n for n in range(100)],
        allocated_bytes=allocated,
        reserved_bytes=[6 * 2**30] * 100,
        span_us=900e3,
        on_host=False,
        peak_bytes=max(allocated),
        peak_us=9_000.0 * allocated.index(max(allocated)),
        peak_reserved_bytes=6 * 2**30,
        allocations=4_100,
        frees=4_080,
        churn_bytes=40 * 2**30,
        allocations_per_step=512.0,
        churn_bytes_per_step=5.0 * 2**30,
        device_mallocs=12,
        device_frees=2,
        device_malloc_us=9_100.0,
    )


def attacked(value: Any, attacks: list[str], turn: int = 0) -> Any:
    """Every string an attack, every number that can be is not one, lists of unequal length."""
    if isinstance(value, str):
        return attacks[turn % len(attacks)]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return (math.nan, math.inf, -1.0, 0.0)[turn % 4]
    if isinstance(value, int):
        return (-1, 10**9, 0)[turn % 3]
    if isinstance(value, list):
        few = [attacked(item, attacks, turn + n) for n, item in enumerate(value[:20])]
        return few[: len(few) - turn % 2] or few
    if isinstance(value, dict):
        return {attacks[(turn + n) % len(attacks)]: attacked(item, attacks, n) for n, item in enumerate(value.values())}
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        bad = {name: attacked(getattr(value, name), attacks, turn + n) for n, name in enumerate(names)}
        closed = {"group": DevicePart, "kind": Lane}  # a reader takes no other value of these
        bad |= {name: getattr(value, name) for name, kind in closed.items() if isinstance(value, kind)}
        return type(value)(**bad)
    return value


def hostile(attacks: list[str]) -> Device:
    bad = attacked(device(), attacks)
    bad.span_us = SPAN
    assert isinstance(bad, Device) and bad.timeline is not None
    bad.timeline.span_us = STEP
    return bad
