"""Documents to render: a slow loop, a healthy one, a run without steps, a long one, and one that attacks the page."""

from __future__ import annotations

import math
import random
from typing import Any

from slowprobe.diagnose.finding import Finding, Fix, Outcome, Range, Saving, Where
from slowprobe.report.document import (
    SCHEMA,
    Bucket,
    Document,
    Flame,
    Hotspot,
    Loader,
    OpClass,
    OutlierCause,
    Overhead,
    Reach,
    ReachLayer,
    RunInfo,
    Snippet,
    Steps,
    StepSeries,
    Time,
    Verdict,
    Window,
)
from slowprobe.report.loader_document import (
    CurvePoint,
    LoaderWorker,
    Pipeline,
    PipelineStage,
    Transform,
    Waits,
    WorkerCurve,
)
from slowprobe.report.resource_document import Resources
from slowprobe.report.timeline_document import StepTimeline

from . import device_samples

SCRIPT = "/home/ada/projects/vision/train.py"

SOURCE = """\
def main() -> None:
    model = build_model(args.depth)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    # the images are decoded and augmented here, one batch at a time
    loader = DataLoader(dataset, batch_size=64, shuffle=True)
    for epoch in range(args.epochs):
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running += loss.item()
            print(f"loss {loss.item():.4f}")
        torch.save(model.state_dict(), "last.pt")
""".splitlines()
FIRST_LINE = 38


def snippet(line: int) -> Snippet:
    lines = [(FIRST_LINE + at, text, FIRST_LINE + at == line) for at, text in enumerate(SOURCE)]
    near = [row for row in lines if abs(row[0] - line) <= 3]
    return Snippet(file=SCRIPT, function="main", lines=near)


def run_info(**changes: Any) -> RunInfo:
    fields: dict[str, Any] = {
        "command": "slowprobe profile train.py --epochs 3",
        "script": "train.py",
        "started_at": "2026-03-02T09:14:07Z",
        "duration_s": 61.4,
        "python": "3.11.9",
        "torch": "2.13.0+cpu",
        "host": {"cores": 8, "memory_bytes": 33_554_432_000, "cpu_model": "AMD EPYC 7B13", "platform": "Linux 6.8"},
        "devices": [],
        "world_size": 1,
        "exit_code": 0,
        "exit": "exited with 0",
    }
    return RunInfo(**(fields | changes))


BUCKETS = [
    ("imports", "Imports", 3.9, "startup"),
    ("startup", "Other start-up", 1.2, "startup"),
    ("data_wait", "Waiting for data", 2.1, "step"),
    ("fetch", "Loading items on the training thread", 23.4, "step"),
    ("collate", "Collating on the training thread", 2.2, "step"),
    ("forward", "Forward", 8.8, "step"),
    ("backward", "Backward", 11.9, "step"),
    ("optimizer", "Optimizer", 2.3, "step"),
    ("zero_grad", "Zeroing gradients", 0.3, "step"),
    ("python", "Python in the loop", 1.4, "step"),
    ("log", "Logging", 0.6, "step"),
    ("save", "Checkpoints", 1.6, "off_step"),
    ("evaluation", "Evaluation", 0.9, "off_step"),
    ("epoch", "Epoch turn-over", 0.2, "off_step"),
    ("slowprobe", "slowprobe", 0.3, "off_step"),
    ("unaccounted", "Unaccounted", 0.2, "step"),
    ("shutdown", "Shutdown", 0.1, "shutdown"),
]


def time() -> Time:
    wall_s = sum(row[2] for row in BUCKETS)
    loop_s = sum(row[2] for row in BUCKETS if row[3] in ("step", "off_step"))
    return Time(
        wall_s=wall_s,
        loop_s=loop_s,
        unaccounted_share=0.2 / wall_s,
        buckets=[Bucket(id=i, label=label, seconds=s, share=s / wall_s, scope=scope) for i, label, s, scope in BUCKETS],  # type: ignore[arg-type]
    )


def series(count: int, seed: int = 7) -> StepSeries:
    chance = random.Random(seed)
    means = {"fetch": 41.0, "collate": 3.9, "data_wait": 3.1, "forward": 15.4, "backward": 20.9, "optimizer": 4.1}
    parts: dict[str, list[float]] = {name: [] for name in means}
    wall: list[float] = []
    for index in range(count):
        slow = 2.6 if chance.random() < 0.01 else 1.0
        for name, mean in means.items():
            cold = 6.0 if index == 0 and name == "forward" else 1.0
            parts[name].append(mean * cold * (slow if name == "fetch" else 1.0) * chance.lognormvariate(0, 0.09))
        wall.append(sum(column[-1] for column in parts.values()) + 2.5)
    start = [sum(wall[:1]) * 0.0] * count
    at = 5.1
    for index, value in enumerate(wall):
        start[index] = at
        at += value / 1e3
    return StepSeries(
        index=list(range(count)),
        start_s=start,
        wall_ms=wall,
        steady=[index >= 5 and not count // 3 <= index < count // 3 + 6 for index in range(count)],
        parts=parts,
        thinned=False,
    )


def loader() -> Loader:
    return Loader(
        id=1,
        where=f"{SCRIPT}:42",
        role="training",
        name="DataLoader over ImageFolder",
        batches=606,
        num_workers=0,
        batch_size=64,
        prefetch_factor=None,
        persistent_workers=False,
        epochs=3,
        wait_s=27.7,
        startup_s=0.02,
        fetch_s=23.4,
        transform_s=14.9,
        collate_s=2.2,
        io_wait_s=4.1,
        transforms=[
            Transform(
                name=name,
                where=f"/home/ada/projects/vision/data/augment.py:{line}",
                calls=38_784,
                seconds=s,
                cpu_seconds=0.9 * s,
                share=s / 25.6,
            )
            for name, line, s in (("RandomResizedCrop", 18, 9.6), ("ColorJitter", 44, 4.8), ("Normalize", 71, 0.5))
        ],
        pipeline=pipeline(storage=6.8, fetch=7.2, transform=24.6, collate=3.6, loader=3.5, step=42.0),
        waits=Waits(
            wait_ms=[120.0 if at % 202 == 0 else 45.0 + at % 7 for at in range(606)],
            index=list(range(606)),
            first_of_pass=[0, 202, 404],
            thinned=False,
        ),
        curve=curve(0, 4, {0: 87.7, 1: 52.0, 2: 46.0, 3: 43.8, 4: 42.9, 6: 42.7}),
    )


def pipeline(workers: int = 0, pace: str = "transform", **ms: float) -> Pipeline:
    """Stages as given, in order; those of workers are done by workers."""
    makers = ("storage", "fetch", "transform", "collate")
    period = sum(value for id, value in ms.items() if not workers or id in ("start", "wait", "step"))
    made = sum(ms[id] for id in makers if id in ms)
    return Pipeline(
        stages=[
            PipelineStage(
                id=id,  # type: ignore[arg-type]
                by="workers" if workers and id in (*makers, "hand_over") else "training_process",
                ms_per_batch=value,
                busy_share=value / period / (workers if workers and id in (*makers, "hand_over") else 1),
            )
            for id, value in ms.items()
        ],
        period_ms=period,
        making_ms=made or None,
        workers_busy_share=made / period / workers if workers else None,
        pace=pace,  # type: ignore[arg-type]
    )


def curve(present: int, recommended: int, ms: dict[int, float]) -> WorkerCurve:
    return WorkerCurve(
        present_num_workers=present,
        present_ms=ms.get(present, 1.0),
        recommended_num_workers=recommended,
        limit="step",
        points=[
            CurvePoint(num_workers=count, low_ms=0.96 * value, expected_ms=value, high_ms=1.07 * value)
            for count, value in ms.items()
        ],
    )


def worker(number: int) -> LoaderWorker:
    return LoaderWorker(
        pid=4000 + number,
        worker=number,
        start=0,
        batches=303,
        made_s=12.1,
        busy_share=0.97,
        spawn_s=0.021,
        first_fetch_s=0.13,
        cpu_s=9.3,
        rss_bytes=412_000_000,
        pss_bytes=171_000_000,
        uss_bytes=120_000_000,
        growth_bytes_s=70_000.0,
        rchar=None,
        read_bytes=None,
        voluntary_switches=None,
        involuntary_switches=None,
        opens=19_392,
    )


def with_workers() -> Document:
    """A training loader that two workers cannot keep up with, and an evaluation loader."""
    document = input_bound(606)
    training, evaluation = loader(), loader()
    training.num_workers, training.prefetch_factor = 2, 2
    training.workers = [worker(0), worker(1)]
    stages = {"storage": 9.0, "fetch": 7.0, "transform": 51.0, "collate": 3.0, "hand_over": 1.2}
    training.pipeline = pipeline(2, start=4.0, **stages, wait=17.0, step=18.0)
    training.curve = curve(2, 4, {0: 88.0, 1: 70.0, 2: 35.0, 3: 24.0, 4: 19.0, 6: 18.8})
    evaluation.id, evaluation.role, evaluation.name, evaluation.waits = 2, "evaluation", "DataLoader(Validation)", None
    document.loaders = [evaluation, training]
    document.timeline, document.resources = typical_step(2), resources(2)
    return document


def watched() -> Document:
    """A training iterable that was seen only from outside."""
    document = input_bound(300)
    seen = document.loaders[0]
    seen.name, seen.watched, seen.transforms, seen.curve = "generator", True, [], None
    seen.fetch_s = seen.transform_s = seen.collate_s = seen.io_wait_s = None
    seen.pipeline = pipeline(pace="wait", wait=6.1, step=1.8)
    return document


def input_finding(verified: bool = False) -> Finding:
    proof = {"speedup": {"low": 1.74, "expected": 1.81, "high": 1.88}, "rounds": 4, "loss_parity": True}
    return Finding(
        rule="input/batches-made-on-the-training-thread",
        bottleneck="input",
        severity="high",
        title="Batches are made on the training thread",
        summary="Every step stands still for 46 ms while its 64 items are loaded and augmented, because the DataLoader "
        "has no workers. The model then needs 42 ms, in which the next batch could have been made.",
        where=[
            Where(SCRIPT, 42, "main", 0.97),
            Where("/home/ada/projects/vision/data/augment.py", 18, "__call__", 0.6),
        ],
        fix=Fix(
            "Give the DataLoader four workers and keep them alive between epochs. Four are enough: one batch takes "
            "46 ms to make and the model takes one every 42 ms.",
            "-    loader = DataLoader(dataset, batch_size=64, shuffle=True)\n"
            "+    loader = DataLoader(dataset, batch_size=64, shuffle=True,\n"
            "+                        num_workers=4, persistent_workers=True)",
        ),
        saving=Saving(basis="replay", seconds=25.9, speedup=Range(1.66, 1.86, 1.94)),
        verified=proof if verified else None,
        evidence={
            "median time to make a batch (ms)": 46.2,
            "median time the model needs (ms)": 41.8,
            "workers": 0,
            "cores the process may use": 8,
            "slowest batches": {
                "columns": ["step", "made in (ms)", "of that, transforms (ms)", "first file"],
                "rows": [[311, 131.4, 88.0, "n01440764_10026.JPEG"], [87, 122.9, 81.3, "n02102040_1082.JPEG"]],
            },
        },
    )


def log_finding() -> Finding:
    return Finding(
        rule="sync/loss-read-every-step",
        bottleneck="logging",
        severity="low",
        title="The loss is printed at every step",
        summary="print takes 1.0 ms of each step; the terminal it writes to is slow.",
        where=[Where(SCRIPT, 50, "main")],
        fix=Fix(
            "Print every 50 steps.",
            '-            print(f"loss {loss.item():.4f}")\n'
            "+            if step % 50 == 0:\n"
            '+                print(f"loss {loss.item():.4f}")',
        ),
        saving=Saving(basis="calibrated replay", seconds=0.55, speedup=Range(1.005, 1.01, 1.012)),
    )


def outcomes() -> dict[str, Outcome]:
    return {
        "input/batches-made-on-the-training-thread": Outcome("found", "Batches are made on the training thread", ""),
        "logging/loss-printed-every-step": Outcome("found", "The loss is printed at every step", ""),
        "optimizer/not-foreach": Outcome(
            "passed", "The optimizer updates one tensor at a time", "AdamW runs with foreach."
        ),
        "host/gc-in-the-loop": Outcome(
            "passed", "Garbage collection runs inside steps", "0.1 % of loop time, limit 5 %."
        ),
        "evaluation/too-often": Outcome("passed", "Evaluation takes too long", "1.7 % of loop time, limit 5 %."),
        "transfer/pageable-copies": Outcome(
            "not-applicable", "Copies come from pageable memory", "The run used no device."
        ),
        "precision/fp32-matmul": Outcome(
            "not-checked", "Matmuls leave tensor cores unused", "No device window was recorded."
        ),
        "memory/allocator-retries": Outcome("error", "The allocator has to retry", "KeyError: 'allocator'"),
    }


def window() -> Window:
    classes = [
        ("matmul and convolution", 26.1, 58, 0.61),
        ("elementwise", 6.4, 212, 0.15),
        ("normalisation", 5.2, 40, 0.12),
    ]
    classes += [("optimizer", 3.3, 12, 0.08), ("copy and layout", 1.6, 71, 0.04)]
    ops = [("aten::convolution_backward", 14.2, 20, 0.33), ("aten::mkldnn_convolution", 9.3, 20, 0.22)]
    ops += [("aten::native_batch_norm", 3.1, 20, 0.07), ("aten::add_", 2.0, 64, 0.05)]
    return Window(
        steps=12,
        events=41_204,
        trace="traces/train.1772442847.pt.trace.json",
        bound="The operators themselves take the time (op-bound): 93 % of the step is inside operators of 112 µs each.",
        ops_per_step=393.0,
        median_op_us=112.0,
        python_between_ops_share=0.07,
        classes=[OpClass(name=n, ms_per_step=m, count_per_step=float(c), share=s) for n, m, c, s in classes],
        top_ops=[OpClass(name=n, ms_per_step=m, count_per_step=float(c), share=s) for n, m, c, s in ops],
        timeline=profiled_step(),
    )


def hotspots() -> list[Hotspot]:
    rows = [(44, 27.7, 0.45, 0.12, "fetch"), (47, 11.9, 0.19, 0.02, "backward"), (45, 8.8, 0.14, 0.01, "forward")]
    rows += [(50, 0.6, 0.01, 0.7, "log"), (51, 1.6, 0.03, 0.9, "save")]
    return [
        Hotspot(
            file=SCRIPT,
            line=line,
            function="main",
            text=SOURCE[line - FIRST_LINE],
            seconds=s,
            share=share,
            off_cpu_share=waiting,
            bucket=bucket,
        )
        for line, s, share, waiting, bucket in rows
    ]


def flame() -> Flame:
    calls = [
        ("main", 60, -1, 28.6, "data_wait"),
        ("train", 44, 1, 18.0, "data_wait"),
        ("train", 47, 1, 6.2, "backward"),
    ]
    calls += [
        ("train", 45, 1, 4.4, "forward"),
        ("Queue.get", 113, 2, 17.1, "data_wait"),
        ("run_backward", 9, 3, 6.1, ""),
    ]
    rows = [("", 0, -1, 28.6, "data_wait"), *((*call[:2], max(call[2], 0), *call[3:]) for call in calls)]
    users = [name in ("", "main", "train") for name, *_ in rows]
    return Flame(
        function=[name for name, *_ in rows],
        file=[SCRIPT if own else "/env/torch/queues.py" for own in users],
        line=[row[1] for row in rows],
        text=["for batch in loader:" if own else "" for own in users],
        users=users,
        parent=[-1, 0, 1, 1, 1, 2, 3],
        seconds=[row[3] for row in rows],
        bucket=[row[4] for row in rows],
    )


def typical_step(workers: int = 0) -> StepTimeline:
    """Two steps of 90 ms; with workers, each makes a batch of 70 ms meanwhile."""
    names = ["DataLoader(ImageFolder) · train.py:42", "ResNet · train.py:45", "loss.backward()", "batch 17"]
    parts = ["loop_fetch", "loop_forward", "loop_backward", "loop_python", "worker_fetch", "worker_collate"]
    runs = [(0.0, 4.0 if workers else 44.0, 0, 0), (44.0, 60.0, 1, 1), (60.0, 88.0, 2, 2), (88.0, 90.0, 3, -1)]
    training = [((at + step) * 1e3, (end + step) * 1e3, *what) for step in (0.0, 90.0) for at, end, *what in runs]
    rows = [device_samples.lane("host", "Training thread", training)]
    for number in range(workers):
        begin = 12e3 * number
        made = [(begin, begin + 62e3, 4, 3), (begin + 62e3, begin + 70e3, 5, 3)]
        rows.append(device_samples.lane("worker", f"Worker {number}", made))
    return StepTimeline(
        label="steps 211 to 212",
        span_us=180e3,
        merged_below_us=0.0,
        events=8 + 2 * workers,
        parts=parts,
        names=names,
        lanes=rows,
        gaps=[],
        gaps_left_out=0,
        queue_us=[],
        queue_depth=[],
        steps_us=[90e3],
    )


def profiled_step() -> StepTimeline:
    runs = [(300.0 * n, 300.0 * n + 200.0, n % 3, n % 2) for n in range(240)]
    return StepTimeline(
        label="profiled step 6 of 12",
        span_us=72e3,
        merged_below_us=0.0,
        events=240,
        parts=["op_convolution", "op_normalisation", "op_python"],
        names=["aten::convolution_backward", "aten::native_batch_norm"],
        lanes=[device_samples.lane("host", "Training thread", runs)],
        gaps=[],
        gaps_left_out=0,
        queue_us=[],
        queue_depth=[],
    )


def resources(workers: int = 0) -> Resources:
    count = 120
    return Resources(
        cores=8.0,
        end_s=[0.5 * (at + 1) for at in range(count)],
        training_cores=[1.0 if at < 10 else 5.2 + 0.3 * math.sin(at) for at in range(count)],
        worker_cores=[0.9 * workers if at >= 10 else 0.0 for at in range(count)],
        other_cores=[0.3] * count,
        training_bytes=[int(2**30 * min(1.9, 0.3 + at / 40)) for at in range(count)],
        worker_bytes=[workers * 120_000_000 if at >= 10 else 0 for at in range(count)],
        available_bytes=[20 * 2**30 - at * 2**20 for at in range(count)],
        most_workers=workers,
        loop_s=(5.1, 59.8),
        growth_bytes_s=70_000.0,
        new_memory_bytes_s=310e6,
        new_memory_in="Backward",
    )


def overhead() -> Overhead:
    return Overhead(
        share=0.0049,
        per_step_us=38.0,
        windows_s=0.26,
        text="slowprobe cost 0.5 % of the run: 38 µs on each step and 0.26 s for the profiler windows. "
        "Both are taken out of the figures above.",
    )


def input_bound(count: int = 606, verified: bool = False) -> Document:
    return Document(
        schema=SCHEMA,
        slowprobe_version="0.1.0",
        run=run_info(),
        verdict=Verdict(
            bottleneck="input",
            headline="The loop stands still half of the time because each batch is made on the training thread.",
            share=0.47,
            speedup=Range(1.68, 1.88, 1.97),
        ),
        steps=Steps(
            unit="one batch of the training loader",
            count=count,
            steady_count=count - 11,
            median_ms=90.7,
            mean_ms=92.4,
            p90_ms=99.8,
            p99_ms=141.5,
            first_ms=168.2,
        ),
        time=time(),
        loaders=[loader()],
        findings=[input_finding(verified), log_finding()],
        device=None,
        outcomes=outcomes(),
        overhead=overhead(),
        series=series(count),
        timeline=typical_step(),
        resources=resources(),
        hotspots=hotspots(),
        flame=flame(),
        window=window(),
        snippets={f"{SCRIPT}:42": snippet(42), f"{SCRIPT}:50": snippet(50)},
        notes=["The machine was busy: other processes used 22 % of its cores.", "The annotated window was skipped."],
    )


def healthy() -> Document:
    document = input_bound(300)
    document.verdict = Verdict(
        bottleneck="none",
        headline="This loop is healthy: 96 % of its time is computing, and nothing it waits for can be won back.",
        share=0.0,
        speedup=Range(1.0, 1.0, 1.0),
    )
    document.findings = []
    document.snippets = {}
    document.notes = []
    calm = document.loaders[0]
    calm.num_workers, calm.prefetch_factor, calm.workers = 2, 2, [worker(0), worker(1)]
    calm.pipeline = pipeline(2, "step", fetch=24.0, transform=26.0, collate=2.0, wait=0.2, step=42.0)
    calm.curve = curve(2, 2, {0: 95.0, 1: 53.0, 2: 42.3, 3: 42.2, 4: 42.2})
    document.outcomes = {
        rule: Outcome("passed" if outcome.status in ("found", "error") else outcome.status, outcome.title, "ok")
        for rule, outcome in outcomes().items()
    }
    return document


def no_steps() -> Document:
    document = input_bound(2)
    document.verdict = Verdict(
        bottleneck="none",
        headline="No training step was seen: the script ended before its loop began.",
        share=0.0,
        speedup=Range(1.0, 1.0, 1.0),
    )
    document.run = run_info(exit="exited with 1 (FileNotFoundError: data/train)", exit_code=1, duration_s=5.1)
    document.steps = document.series = document.window = document.flame = document.timeline = None
    document.loaders, document.findings, document.hotspots, document.snippets = [], [], [], {}
    buckets = [bucket for bucket in document.time.buckets if bucket.scope == "startup"]
    for bucket in buckets:
        bucket.share = bucket.seconds / 5.1
    document.time = Time(wall_s=5.1, loop_s=0.0, unaccounted_share=0.0, buckets=buckets)
    document.advice = [
        "No backward() and no optimizer step was called. Does the script train in another process?",
        "Fix the error it ended with, then profile again.",
    ]
    return document


def on_device() -> Document:
    document = input_bound(200)
    document.run = run_info(devices=["Tesla V100-DGXS-32GB"], torch="2.13.0+cu130")
    document.device = device_samples.device()
    return document


ATTACKS = [
    "</script><script>window.pwned=1</script>",
    "</SCRIPT ><img src=x onerror=window.pwned=1>",
    "<!--<script>",
    "]]><svg onload=window.pwned=1>",
    "javascript:window.pwned=1",
    "\"><a href='javascript:window.pwned=1'>x</a>",
    '<b>bold</b> <a href="https://evil.example/">x</a> &lt;i&gt;',
    "{{ 7 * 7 }} {% raw %} %{label} $x^2$",
    "abc\u202egnp.exe\u2066 \u200b \ufeff",
    "bell\x07 esc\x1b[31mred\x1b[0m nul\x00 del\x7f c1\x9b line\u2028sep\u2029 tab\t",
    "lone\udcff surrogate",
    "x" * 20_000,
    "</style><style>body{display:none}</style>",
    "url(https://evil.example/a.png)",
]


def _deep(levels: int) -> Any:
    return [_deep(levels - 1)] if levels else "bottom"


def hostile() -> Document:
    """Every string an attack, every number that can be is not one."""
    turn = iter(range(1 << 30))

    def bad() -> str:
        return ATTACKS[next(turn) % len(ATTACKS)]

    nan, inf = math.nan, math.inf
    wheres = [Where(bad(), number, bad(), nan) for number in range(20)]
    finding = Finding(
        rule=bad(),
        bottleneck="input",
        severity="high",
        title=bad(),
        summary=bad(),
        where=wheres,
        fix=Fix(bad(), "\n".join("+" + attack for attack in ATTACKS) * 3),
        saving=Saving(basis="replay", seconds=nan, speedup=Range(nan, inf, -inf)),
        verified={"speedup": {"low": bad(), "expected": None, "high": 2}, "rounds": bad(), "loss_parity": bad()},
        evidence={attack: attack for attack in ATTACKS}
        | {"n": nan, "i": inf, "big": 10**400, "nested": {"a": [1, {"b": bad()}]}, "deep": _deep(60)}
        | {"table": {"columns": ATTACKS, "rows": [ATTACKS] * 40}, "odd": {"columns": [1], "rows": [7, None, []]}},
        confidence="low",
        doubts=ATTACKS,
        risk=bad(),
    )
    document = input_bound(400)
    assert document.series is not None and document.window is not None and document.steps is not None
    document.slowprobe_version = bad()
    document.run = RunInfo(
        command=bad(),
        script=ATTACKS[0],
        started_at=bad(),
        duration_s=nan,
        python=bad(),
        torch=bad(),
        host={attack: attack for attack in ATTACKS},
        devices=ATTACKS,
        world_size=2,
        exit_code=None,
        exit=bad(),
    )
    document.verdict = Verdict(bottleneck="input", headline=ATTACKS[1], share=nan, speedup=Range(1.0, 1.5, inf))
    document.findings = [finding] * 60
    document.steps.unit = bad()
    document.steps.p99_ms = nan
    document.steps.outliers = [OutlierCause(label=attack, steps=-1, extra_s=nan, longest_ms=inf) for attack in ATTACKS]
    document.time.buckets += [
        Bucket(id=attack, label=attack, seconds=1.0, share=nan, scope="step") for attack in ATTACKS
    ] + [Bucket(id="log", label=bad(), seconds=value, share=value, scope="off_step") for value in (nan, inf, -1.0)]
    document.time.unaccounted_share = nan
    document.loaders = [
        Loader(
            **{
                **{name: getattr(document.loaders[0], name) for name in Loader.__struct_fields__},
                "where": attack,
                "name": attack,
                "role": attack,
                "wait_s": nan,
            }
        )
        for attack in ATTACKS
    ]
    for each in document.loaders[:3]:
        each.transforms = [
            Transform(name=attack, where=attack, calls=0, seconds=nan, cpu_seconds=nan, share=inf) for attack in ATTACKS
        ]
        each.workers = [worker(0)] * 60
        each.pipeline = pipeline(2, "fetch", start=nan, storage=inf, fetch=nan, wait=nan, step=-1.0)
        each.waits = Waits(wait_ms=[nan, inf, -1.0, 5.0], index=[1], first_of_pass=[0, 99, -4], thinned=True)
        each.curve = curve(-1, 10**9, {0: nan, 1: inf, 2: 3.0, 3: 4.0})
    document.outcomes = {attack: Outcome("passed", attack, attack) for attack in ATTACKS}
    document.hotspots = [
        Hotspot(
            file=attack,
            line=1,
            function=attack,
            text=attack,
            seconds=inf,
            share=nan,
            off_cpu_share=nan,
            bucket=attack,
        )
        for attack in ATTACKS
    ]
    rows = len(ATTACKS)
    document.flame = Flame(
        function=ATTACKS,
        file=ATTACKS,
        line=[-1] * rows,
        text=ATTACKS,
        users=[True] * rows,
        parent=[-1, 0, 1, 99, -7, 5, *[2] * (rows - 6)],
        seconds=[nan, inf, -1.0, *[2.0] * (rows - 3)],
        bucket=ATTACKS,
    )
    document.series.parts = dict.fromkeys(ATTACKS, document.series.parts["fetch"])
    document.series.wall_ms[3:5] = [nan, inf]
    document.window.bound = bad()
    document.window.trace = bad()
    document.window.median_op_us = nan
    classes = [OpClass(name=attack, ms_per_step=2.0, count_per_step=nan, share=nan) for attack in ATTACKS]
    document.window.classes = [*classes, OpClass(name="nan", ms_per_step=nan, count_per_step=inf, share=inf)]
    document.window.top_ops = classes
    document.window.reach = Reach(
        share=nan,
        gflops=inf,
        reach_gflops=-1.0,
        text=bad(),
        layers=[
            ReachLayer(name=attack, ms_per_step=nan, gflops=inf, alone_gflops=nan, bf16=inf, channels_last=-1.0)
            for attack in ATTACKS
        ],
        remains=ATTACKS,
    )
    document.device = device_samples.hostile(ATTACKS)
    document.timeline = device_samples.hostile(ATTACKS).timeline
    document.window.timeline = device_samples.hostile(ATTACKS).timeline
    document.resources = device_samples.attacked(resources(2), ATTACKS)
    document.snippets = {
        f"{where.file}:{where.line}": Snippet(
            file=bad(), function=bad(), lines=[(n, attack, n == 3) for n, attack in enumerate(ATTACKS * 10)]
        )
        for where in wheres
    }
    document.notes = [*ATTACKS, "megabytes " * 300_000]
    document.advice = list(ATTACKS)
    document.overhead.text = bad()
    return document


EVERY = {
    "input_bound": input_bound,
    "healthy": healthy,
    "no_steps": no_steps,
    "with_workers": with_workers,
    "watched": watched,
    "on_device": on_device,
    "long": lambda: input_bound(60_000),
    "hostile": hostile,
}
