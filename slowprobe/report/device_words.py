"""What the parts of the device's time are called, and the device's time in a sentence, the same in every renderer."""

from __future__ import annotations

import re

from slowprobe.report.device_document import Device, DevicePart
from slowprobe.report.quantities import percent, seconds

HOST_STATES = ("python", "framework", "data", "launch", "sync", "allocator")

_CLASSES = {
    "matmul": "Matmul",
    "convolution": "Convolution",
    "attention": "Attention",
    "elementwise": "Elementwise",
    "normalization": "Normalization",
    "reduction": "Reduction",
    "indexing": "Indexing",
    "optimizer": "Optimizer",
    "embedding": "Embedding",
    "memset": "Memset",
    "other": "Other kernels",
    "communication": "Communication",
    "copy": "Copies",
    "copy_kernel": "Copy kernels",
}
IDLE_LABELS = {
    "data": "Idle: waiting for data",
    "python": "Idle: Python and framework",
    "launch": "Idle: launch calls",
    "queue_full": "Idle: launch queue full",
    "allocator": "Idle: allocating memory",
    "off_step": "Idle: work between steps",
    "other": "Idle: other",
}
_HOST = {
    "python": "Python",
    "framework": "Operators (framework)",
    "data": "Getting the next batch",
    "launch": "Launch calls",
    "sync": "Waiting for the device",
    "allocator": "Allocating device memory",
}
LABELS = (
    _CLASSES
    | {f"idle_{cause}": label for cause, label in IDLE_LABELS.items()}
    | {f"host_{state}": label for state, label in _HOST.items()}
)

COPIES = {
    "h2d_pageable": "Host → device, pageable",
    "h2d_pinned": "Host → device, pinned",
    "d2h_pageable": "Device → host, pageable",
    "d2h_pinned": "Device → host, pinned",
    "d2d": "Within the device",
    "p2p": "Device → device",
    "other": "Other copies",
}
BASES = {
    "slowprobe.step": "Steps are those that slowprobe marked.",
    "ProfilerStep": "Steps are those that the profiler marked.",
    "optimizer": "Nothing marks the steps; one ends where the optimizer has stepped.",
    "dataloader": "Nothing marks the steps; one begins where a batch is asked for.",
    "none": "Nothing marks the steps.",
}
GROUPS = {
    "compute": "Computing",
    "communication": "Communication that nothing hides",
    "copy": "Copies that nothing hides",
    "idle": "Idle",
}
_BECAUSE = {
    "data": "because it waited for data",
    "python": "because Python and the framework launched too slowly",
    "launch": "because of the launch calls themselves",
    "queue_full": "because the launch queue was full",
    "allocator": "because memory was being allocated",
    "off_step": "because of work between the steps",
}


def idle_part(cause: str) -> str:
    """The part that an idle cause is."""
    return f"idle_{cause}"


def class_part(kernel_class: str) -> str:
    """The part that computing kernels of a class are; a kernel that copies is not a copy engine's work."""
    return "copy_kernel" if kernel_class == "copy" else kernel_class


def host_part(state: str) -> str:
    """The part that a state of the host is."""
    return f"host_{state}"


def label(part: str) -> str:
    """A part in words; one that is not known keeps its id."""
    return LABELS.get(part, part)


def bucket(part: str) -> str:
    """The name of a part's colour in the palette; the host's state has the colour of the idle time that it causes."""
    state = part.removeprefix("idle_").removeprefix("host_")
    return "data_wait" if state == "data" and state != part else state


def is_idle(part: str) -> bool:
    """Whether nothing ran: such parts are hatched."""
    return part.startswith("idle_")


def short_kernel(name: str) -> str:
    """A kernel's name without return type, namespace and parameters; of its template arguments, what it computes."""
    if name.startswith(("Memcpy", "Memset")) or ("(" not in name and "<" not in name):
        return name
    kept, inside, depth = [], [], 0
    for letter in re.sub(r"^void |\(anonymous namespace\)::|\bat::native::", "", name):
        if letter == "(" and depth == 0:
            break
        depth += letter in "<("
        (inside if depth else kept).append(letter)
        if letter in ">)" and depth:
            depth -= 1
            if depth == 0:
                kept.append(f"<{_computed(''.join(inside))}…>")
    return "".join(kept).strip() or name


def _computed(arguments: str) -> str:
    """The functor or operation among template arguments, if there is one."""
    found = re.findall(r"\b\w*[Ff]unctor\w*|\b\w+Ops?\b", arguments) or re.findall(r"\b\w+[Kk]ernel\w*", arguments)
    return str(found[-1]) if found else ""


def headline(device: Device) -> str:
    """The device's time in one sentence or two."""
    who = device.name or "the device"
    who = who[:1].upper() + who[1:]
    span = device.span_us
    if not span > 0:
        return f"{who} did nothing in the recording."
    text = f"{who} was busy {percent(device.busy_us / span)} of {seconds(span / 1e6)}"
    hidden = [
        f"{percent(us / span)} in {what} that nothing hides"
        for what, us in (("communication", device.exposed_communication_us), ("copies", device.exposed_copy_us))
        if us >= 0.005 * span
    ]
    text += f" ({', '.join(hidden)})" if hidden else ""
    cause = max(device.idle_causes, key=lambda each: device.idle_causes[each], default="other")
    because = _BECAUSE.get(cause)
    if device.idle_us < 0.005 * span or because is None:
        return f"{text}."
    share = device.idle_causes[cause] / device.idle_us
    mostly = "" if share > 0.95 else ", mostly" if share >= 0.5 else ", above all"
    return f"{text}. It was idle {percent(device.idle_us / span)} of the time{mostly} {because}."


def summary(device: Device | None) -> list[str]:
    """What a terminal or a pull request is told of the device: one line, or none."""
    if device is None or not device.span_us > 0:
        return []
    largest = [part for part in ranked(device.parts) if part.share >= 0.01][:5]
    parts = ", ".join(f"{_lower(label(part.id))} {percent(part.share)}" for part in largest)
    return [f"Device: {headline(device)}" + (f" Its time: {parts}." if parts else "")]


def short_site(site: str) -> str:
    """`path/to/file.py(12): function` without the folders; an operator's name as it is."""
    path, bracket, rest = site.partition(".py(")
    return path.replace("\\", "/").rpartition("/")[2] + bracket + rest if bracket else site


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def ranked(parts: list[DevicePart]) -> list[DevicePart]:
    """The parts that took any time, the largest first."""
    return sorted((part for part in parts if part.us > 0), key=lambda part: (-part.us, part.id))
