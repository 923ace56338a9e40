"""Makes `BatchMaking` of a loader from what its workers and the training process recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from slowprobe.run.loader_records import LoaderCpu, LoaderReads
from slowprobe.run.record import Site
from slowprobe.run.worker_records import Transforms, WorkerBatches, WorkerHandOvers, WorkerHello, WorkerResources
from slowprobe.timeline.head_of_line import head_of_line_s
from slowprobe.timeline.recording import Recording
from slowprobe.timeline.worker_side import BatchMaking, Floats, Ints, TransformTime, WorkerFacts

MIN_READINGS = 3
NOT_READ = -1


@dataclass(frozen=True)
class _Process:
    """One worker process's records, its batches as equally long columns (ns)."""

    hello: WorkerHello
    start: int
    rows: dict[str, Ints]
    weight: Ints
    """How many batches each recorded one stands for."""
    hand_overs: dict[str, Ints]
    resources: list[WorkerResources]
    transforms: list[Transforms]


def batch_making(
    recording: Recording, workers: list[Recording], number: int, made_s: float | None, cpu_share: float
) -> BatchMaking:
    """The facts of loader `number`, whose batches took `made_s` in all to make, `cpu_share` of it on the CPU."""
    attrs = recording.subject(number).attrs
    processes = _processes(workers, number)
    settings: dict[str, Any] = {
        "in_order": attrs.get("in_order") is not False,
        "pin_thread": attrs.get("pin_thread"),
        "pin_memory": bool(attrs.get("pin_memory")),
        "timeout_s": float(attrs.get("timeout_s") or 0.0),  # type: ignore[arg-type]
        "context": str(attrs["context"]) if attrs.get("context") else None,
    }
    counted = [process.transforms for process in processes]
    counted.append([record for record in recording.run.of(Transforms) if record.loader == number])
    transforms = _transforms([records[-1] for records in counted if records], made_s)
    making = {
        **settings,
        "transforms": transforms,
        "transform_s": sum(transform.wall_s for transform in transforms) if transforms else None,
    }
    if processes:
        making |= _from_processes(recording, processes, number, settings["in_order"])
    else:
        read = [record.batch_bytes for record in recording.run.of(LoaderCpu) if record.loader == number]
        making["batch_bytes"] = float(read[-1]) if read and read[-1] > 0 else None
        making["io_wait_s"] = None if made_s is None or attrs.get("num_workers") else made_s * (1 - cpu_share)
        making |= _thread_reads([record for record in recording.run.of(LoaderReads) if record.loader == number])
    return BatchMaking(**making)


def workers_of(workers: list[Recording], number: int) -> list[tuple[WorkerHello, Recording]]:
    """The worker processes of loader `number`, by their start, their number and their process id."""
    found = [(hello, worker) for worker in workers if (hello := worker.run.last(WorkerHello)) is not None]
    mine = [entry for entry in found if entry[0].loader == number]
    return sorted(mine, key=lambda entry: (entry[0].spawned_ns, entry[0].worker, entry[0].pid))


def _processes(workers: list[Recording], number: int) -> list[_Process]:
    found = workers_of(workers, number)
    spawned = sorted({hello.spawned_ns for hello, _ in found})
    return [_process(hello, spawned.index(hello.spawned_ns), worker) for hello, worker in found]


def _process(hello: WorkerHello, start: int, worker: Recording) -> _Process:
    parts = worker.run.of(WorkerBatches)
    handed = worker.run.of(WorkerHandOvers)
    names = (
        "start",
        "fetch",
        "fetch_cpu",
        "collate",
        "size",
        "number",
        "collate_cpu",
        "tensor_bytes",
        "tensors",
        "digest",
    )
    return _Process(
        hello=hello,
        start=start,
        rows={name: _joined(_column(part, name) for part in parts) for name in names},
        weight=_joined([part.every] * len(part.start) for part in parts),
        hand_overs={
            name: _joined(getattr(part, name) for part in handed) for name in ("number", "index", "wall", "payload")
        },
        resources=worker.run.of(WorkerResources),
        transforms=worker.run.of(Transforms),
    )


def _column(part: WorkerBatches, name: str) -> list[int]:
    """A column that a recording of an earlier version lacks is made up so that it says nothing."""
    values: list[int] = getattr(part, name)
    if len(values) == len(part.start):
        return values
    return [NOT_READ] * len(part.start)


def _joined(parts: Iterable[list[int]]) -> Ints:
    return np.asarray([value for part in parts for value in part], dtype=np.int64)


def _from_processes(recording: Recording, processes: list[_Process], number: int, in_order: bool) -> dict[str, Any]:
    rows = {name: np.concatenate([process.rows[name] for process in processes]) for name in processes[0].rows}
    weight = np.concatenate([process.weight for process in processes])
    batches = int(weight.sum())
    handed = [_of_batches(process) for process in processes]
    index = np.concatenate([part[0] for part in handed])
    hand_over, payload = (np.concatenate([part[place] for part in handed]) for place in (1, 2))
    worker = np.repeat([process.hello.worker for process in processes], [len(p.weight) for p in processes])
    end = rows["start"] + rows["fetch"] + rows["collate"]
    fetch_ns = int((weight * rows["fetch"]).sum())
    fetch_cpu_share = _cpu_share(rows["fetch_cpu"], rows["fetch"], weight)
    sizes = rows["tensor_bytes"][rows["tensor_bytes"] > 0]
    counts = rows["tensors"][rows["tensors"] >= 0]
    facts = [_worker(process) for process in processes]
    startup = _startup(facts)
    known = ~np.isnan(hand_over)
    return {
        "worker": worker.astype(np.int64),
        "number": rows["number"],
        "index": index,
        "digest": rows["digest"],
        "start_s": rows["start"] / 1e9,
        "end_s": end / 1e9,
        "fetch_cpu": np.where(rows["fetch_cpu"] >= 0, rows["fetch_cpu"] / 1e9, np.nan),
        "fetch_cpu_share": fetch_cpu_share,
        "collate_cpu_share": _cpu_share(rows["collate_cpu"], rows["collate"], weight),
        "io_wait_s": None if fetch_cpu_share is None else fetch_ns / 1e9 * (1 - fetch_cpu_share),
        "hand_over": hand_over,
        "hand_over_s": float(np.average(hand_over[known], weights=weight[known]) * batches) if known.any() else None,
        "payload_bytes": float(np.average(payload[known], weights=weight[known])) if known.any() else None,
        "batch_bytes": float(sizes.mean()) if len(sizes) else None,
        "batch_tensors": float(counts.mean()) if len(counts) else None,
        "workers": tuple(facts),
        "startup": startup,
        "startup_s": float(startup.sum()) if len(startup) else None,
        "head_of_line_s": head_of_line_s(
            recording, number, index, rows["start"], end + (np.nan_to_num(hand_over) * 1e9).astype(np.int64)
        )
        if in_order and processes[0].hello.num_workers > 1
        else None,
        **_reads(processes, facts),
    }


def _cpu_share(cpu: Ints, wall: Ints, weight: Ints) -> float | None:
    """CPU over wall time, in the batches of which the CPU clock was read."""
    read = cpu >= 0
    whole = int((weight * wall)[read].sum())
    return min(1.0, float((weight * cpu)[read].sum() / whole)) if whole else None


def _of_batches(process: _Process) -> tuple[Ints, Floats, Floats]:
    """Of each recorded batch: its place in the pass, seconds of pickling, payload bytes."""
    numbers = process.rows["number"]
    index = np.full(len(numbers), -1, dtype=np.int64)
    wall, payload = np.full(len(numbers), np.nan), np.full(len(numbers), np.nan)
    rows = {int(number): row for row, number in enumerate(process.hand_overs["number"])}
    for place, number in enumerate(numbers.tolist()):
        row = rows.get(number)
        if row is not None:
            index[place] = process.hand_overs["index"][row]
            wall[place] = process.hand_overs["wall"][row] / 1e9
            payload[place] = process.hand_overs["payload"][row]
    return index, wall, payload


def _worker(process: _Process) -> WorkerFacts:
    rows, weight, hello = process.rows, process.weight, process.hello
    made = rows["fetch"] + rows["collate"]
    made_s = float((weight * made).sum()) / 1e9
    lived_s = float(rows["start"][-1] + made[-1] - rows["start"][0]) / 1e9 if len(made) else 0.0
    last = process.resources[-1] if process.resources else None
    growth, slope = _growth(process.resources)
    counters = (
        *("rchar", "read_bytes", "read_calls", "opens"),
        *("voluntary_switches", "involuntary_switches", "run_delay_ns", "native_cpu_ns"),
    )
    return WorkerFacts(
        pid=hello.pid,
        worker=hello.worker,
        start=process.start,
        batches=int(weight.sum()),
        items=int((weight * rows["size"]).sum()),
        made_s=made_s,
        busy_share=min(1.0, made_s / lived_s) if len(made) > 1 and lived_s > 0 else float("nan"),
        spawn_s=max(0, hello.at_ns - hello.spawned_ns) / 1e9,
        first_fetch_s=float(rows["start"][0] - hello.at_ns) / 1e9 if len(made) else float("nan"),
        cpu_s=(last.cpu_ns - process.resources[0].cpu_ns) / 1e9 if last and len(process.resources) > 1 else None,
        rss_bytes=last.rss_bytes if last else None,
        pss_bytes=_latest(process.resources, "pss_bytes"),
        uss_bytes=_latest(process.resources, "uss_bytes"),
        native_threads=_latest(process.resources, "native_threads"),
        growth_bytes=growth,
        growth_bytes_s=slope,
        **{name: _risen(process.resources, name) for name in counters},
    )


def _risen(readings: list[WorkerResources], name: str) -> int | None:
    """What a counter gained from the first reading to the last."""
    values = [value for reading in readings if (value := getattr(reading, name)) is not None]
    return values[-1] - values[0] if len(values) > 1 else None


def _latest(readings: list[WorkerResources], name: str) -> int | None:
    return next((value for reading in reversed(readings) if (value := getattr(reading, name)) is not None), None)


def _growth(readings: list[WorkerResources]) -> tuple[int | None, float | None]:
    for name in ("uss_bytes", "rss_bytes"):
        seen = [(r.at_ns / 1e9, getattr(r, name)) for r in readings if getattr(r, name) is not None]
        if len(seen) < 2:
            continue
        steady = seen[1:] if len(seen) > MIN_READINGS else seen  # the first finds a process that is still warming up
        at, sizes = (np.array(column, dtype=float) for column in zip(*steady, strict=True))
        enough = len(steady) >= MIN_READINGS and at[-1] > at[0]
        return seen[-1][1] - seen[0][1], float(np.polyfit(at - at[0], sizes, 1)[0]) if enough else None
    return None, None


def _startup(workers: list[WorkerFacts]) -> Floats:
    by_start: dict[int, list[float]] = defaultdict(list)
    for worker in workers:
        taken = worker.spawn_s + (0.0 if np.isnan(worker.first_fetch_s) else worker.first_fetch_s)
        by_start[worker.start].append(taken)
    return np.array([max(taken) for _, taken in sorted(by_start.items())])


def _reads(processes: list[_Process], workers: list[WorkerFacts]) -> dict[str, Any]:
    sites: dict[Site, int] = defaultdict(int)
    for process in processes:
        for file, line, function, count in process.resources[-1].open_sites if process.resources else ():
            sites[Site(file, line, function)] += count
    looked_at = sum(sites.values())
    return {
        "opens_per_item": _per(workers, "opens", "items"),
        "rchar_per_batch": _per(workers, "rchar", "batches"),
        "read_bytes_per_batch": _per(workers, "read_bytes", "batches"),
        "read_calls_per_item": _per(workers, "read_calls", "items"),
        "items_per_batch": _ratio(sum(each.items for each in workers), sum(each.batches for each in workers)),
        "open_sites": tuple(
            (site, count / looked_at) for site, count in sorted(sites.items(), key=lambda entry: -entry[1])
        ),
    }


def _thread_reads(records: list[LoaderReads]) -> dict[str, Any]:
    """The same of a loader without workers, where files are not counted."""
    batches, items = sum(record.batches for record in records), sum(record.items for record in records)
    return {
        "items_per_batch": _ratio(items, batches),
        "rchar_per_batch": _ratio(sum(record.rchar for record in records), batches),
        "read_bytes_per_batch": _ratio(sum(record.read_bytes for record in records), batches),
        "read_calls_per_item": _ratio(sum(record.read_calls for record in records), items),
    }


def _per(workers: list[WorkerFacts], counter: str, unit: str) -> float | None:
    known = [worker for worker in workers if getattr(worker, counter) is not None]
    return _ratio(sum(getattr(worker, counter) for worker in known), sum(getattr(worker, unit) for worker in known))


def _transforms(records: list[Transforms], made_s: float | None) -> tuple[TransformTime, ...]:
    sums: dict[tuple[str, Site | None], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for record in records:
        for name, *values in record.rows:
            if name < len(record.names) and len(values) == 4:
                row = sums[record.names[name], record.sites[name] if name < len(record.sites) else None]
                for place, value in enumerate(values):
                    row[place] += value
    found = [
        TransformTime(
            name=name,
            where=where,
            calls=calls,
            wall_s=wall / 1e9,
            cpu_s=wall / 1e9 * min(1.0, cpu / read) if read > 0 else None,
            share=min(1.0, wall / 1e9 / made_s) if made_s else 0.0,
        )
        for (name, where), (calls, wall, read, cpu) in sums.items()
    ]
    return tuple(sorted(found, key=lambda transform: -transform.wall_s))


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
