"""What the run used of the machine, in figures and in a sentence or two, the same in every renderer."""

from __future__ import annotations

from collections.abc import Sequence

from slowprobe.report.quantities import NOTHING, memory, percent
from slowprobe.report.resource_document import Resources

TABLE_ROWS = 24
_WORTH_SAYING = 0.02  # of the cores


def tiles(use: Resources) -> list[tuple[str, str]]:
    """The few figures worth seeing first, as label and value."""
    rows = [(f"of {cores(use.cores)} cores: training process", cores(loop_mean(use, use.training_cores)))]
    if use.most_workers:
        rows.append(("cores: its workers", cores(loop_mean(use, use.worker_cores))))
    rows.append(("cores: other processes", cores(loop_mean(use, use.other_cores))))
    rows.append(("training process, at most", memory(max(use.training_bytes, default=0))))
    if use.most_workers:
        many = "its worker" if use.most_workers == 1 else f"its {use.most_workers} workers"
        rows.append((f"{many}, own memory, at most", memory(max(use.worker_bytes, default=0))))
    rows.append(("free on the machine, at least", memory(min(use.available_bytes, default=0))))
    return rows


def in_words(use: Resources) -> str:
    """How much of the cores the loop kept busy, and whether its memory moved."""
    busy = loop_mean(use, use.training_cores) + loop_mean(use, use.worker_cores)
    when = "While it trained" if use.loop_s is not None else "Over the whole run"
    said = [f"{when}, the run kept {cores(busy)} of {cores(use.cores)} cores busy."]
    others = loop_mean(use, use.other_cores)
    if others >= _WORTH_SAYING * use.cores:
        said.append(f"Other processes took {cores(others)}.")
    if use.growth_bytes_s:
        said.append(
            f"The memory of the training process grew all the time, by {memory(use.growth_bytes_s * 60)} a minute."
        )
    if use.new_memory_bytes_s:
        most = f", most of it in: {use.new_memory_in}" if use.new_memory_in else ""
        said.append(f"It touched {memory(use.new_memory_bytes_s)} of memory new to it a second{most}.")
    return " ".join(said)


def cores(count: float) -> str:
    """So many cores, to a hundredth."""
    return f"{count:.2f}".rstrip("0").rstrip(".")


def loop_mean(use: Resources, values: Sequence[float]) -> float:
    """The mean over the stretches of the loop, weighted by their length; over all where none is in it."""
    begins = [0.0, *use.end_s]
    first, last = use.loop_s or (0.0, float("inf"))
    rows = list(zip(begins, use.end_s, values, strict=False))
    inside = [(end - begin, value) for begin, end, value in rows if begin < last and end > first]
    inside = inside or [(end - begin, value) for begin, end, value in rows]
    whole = sum(length for length, _ in inside)
    return sum(length * value for length, value in inside) / whole if whole > 0 else 0.0


def table(use: Resources) -> list[list[str]]:
    """A row a stretch: its end, cores of training process, workers and others, memory of the first two, free memory."""
    every = max(1, -(-len(use.end_s) // TABLE_ROWS))
    rows = []
    for at in range(0, len(use.end_s), every):
        part = slice(at, at + every)
        busy = [values[part] for values in (use.training_cores, use.worker_cores, use.other_cores)]
        rows.append(
            [
                f"{max(use.end_s[part]):.1f} s",
                *(percent(sum(each) / len(each) / use.cores) if each and use.cores > 0 else NOTHING for each in busy),
                memory(max(use.training_bytes[part], default=0)),
                memory(max(use.worker_bytes[part], default=0)),
                memory(min(use.available_bytes[part], default=0)),
            ]
        )
    return rows
