"""What the sampler leaves on disk: stacks, and what other threads and the interpreter lock took."""

from __future__ import annotations

from slowprobe.run.record import RecordBase


class Frames(RecordBase, tag="frames"):
    """New rows of the frame and stack tables of the stack sampler.

    frames: rows (id, file, line, function); stacks: rows (id, [frame ids from the outermost call to the innermost]).
    """

    frames: list[tuple[int, str, int, str]] = []
    stacks: list[tuple[int, list[int]]] = []


class Samples(RecordBase, tag="samples"):
    """Stack samples of one chunk, merged.

    rows: [kind, subject, is_open, stack, count, wall_ns, cpu_ns, process_cpu_ns]; kind and subject are the innermost
    open span (is_open 1), or the last closed outermost span when none was open (is_open 0; kind -1 before any).
    wall_ns is the time since the previous sample, cpu_ns the CPU time the sampled thread used in it, process_cpu_ns
    that of all threads of the process.
    """

    start_ns: int
    end_ns: int
    rows: list[list[int]]


class LockWaits(RecordBase, tag="lock_waits"):
    """How long a thread that asked for the interpreter lock had to wait, at Python's own switch interval."""

    at: list[int]
    """When it asked, ns."""
    late: list[int]
    """ns."""


class OtherThreads(RecordBase, tag="other_threads"):
    """Samples of the process's other Python threads, where one was at work while the training thread was sampled.

    rows: [stack, count, cpu_ns]; cpu_ns is what the thread used since it was seen before.
    """

    start_ns: int
    end_ns: int
    rows: list[list[int]]
    run_delay_ns: int = -1
    """The training thread was ready and had no core, since the record before; −1: not to be had on this machine."""
