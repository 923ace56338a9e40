"""Runs the recorded process and waits for it: passes signals on, and ends the way it ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_WITNESS_S = 0.05
_SENT_BY_KERNEL = 0x80  # SI_KERNEL: the terminal sent it, to the whole process group


def run(command: list[str]) -> int:
    """Run `command` to its end; returns its exit code, or minus the signal that killed it.

    Signals sent to this process alone are passed on; those from the terminal have reached the child already.
    """
    # What is ignored (nohup, a shell's background job) stays so, here and in the child.
    forwarded = [number for number in _FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    waited = {*forwarded, signal.SIGCHLD}
    for number in waited:
        signal.signal(number, lambda *_: None)
    # Descriptors that the shell has opened (3<file, <(command)) are the script's.
    child = subprocess.Popen(command, preexec_fn=_die_with_parent(os.getpid()), close_fds=False)
    witness = _Witness(forwarded)
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    try:
        while (status := child.poll()) is None:
            received = signal.sigtimedwait(waited, 1.0)  # SIGCHLD may have come before it was blocked
            if received is None or received.si_signo == signal.SIGCHLD:
                continue
            if received.si_code != _SENT_BY_KERNEL and not witness.has_seen(received.si_signo):
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(received.si_signo)
    finally:
        witness.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, waited)
    return status


class _Witness:
    """A process of the same group that only waits: a signal it has seen, too, went to the whole group.

    Such a signal (``kill -- -GROUP``, a batch system) has reached the child already and must not come twice.
    """

    def __init__(self, numbers: list[signal.Signals]) -> None:
        parent = os.getpid()
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
                (_die_with_parent(parent) or (lambda: None))()
                os.closerange(0, writing)  # no pipe of the user's stays open for this
                os.closerange(writing + 1, 256)
                while True:
                    os.write(writing, bytes([signal.sigwait(numbers)]))
            finally:
                os._exit(0)
        os.close(writing)

    def has_seen(self, number: int) -> bool:
        """Whether it has got `number` as well, give or take the moment that takes."""
        while select.select([self._reading], [], [], _WITNESS_S)[0]:
            seen = os.read(self._reading, 1)
            if not seen or seen[0] == number:
                return bool(seen)
        return False

    def close(self) -> None:
        """End the process."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._reading)


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def end_like(status: int) -> None:
    """End this process as the child ended: with its exit code, or by the same signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    if status >= 0:
        sys.exit(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the child has left its core dump, if any
    with contextlib.suppress(OSError, ValueError):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
    sys.exit(128 - status)
