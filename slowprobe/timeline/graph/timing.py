"""How long a node waits between what it depends on and its own start."""

from __future__ import annotations

import numpy as np

from slowprobe.trace.reader import MISSING, Ints

_LATENCY_NS = 20_000  # at most, from the start of a launch, where no launch met an empty queue
_GAP_NS = 1_000  # between kernels queued one behind the other: 1.0 to 1.4 µs at the median on V100, A100 and H100


class Timing:
    """Gaps, latencies and delays that make a replay without changes give the recorded times exactly."""

    def __init__(
        self, start_ns: Ints, end_ns: Ints, before: Ints, launch: Ints, waiting: Ints, awaited: Ints, period_ns: Ints
    ) -> None:
        self._start_ns = start_ns
        self.origin_ns = int(start_ns.min()) if len(start_ns) else 0
        self.gap_ns = np.zeros_like(start_ns)
        self.lag_ns = np.zeros_like(start_ns)
        self.latency_ns = 0
        ready_ns = np.full(len(start_ns), self.origin_ns, dtype=np.int64)
        np.maximum.at(ready_ns, waiting, end_ns[awaited] + period_ns)
        ended_ns = np.where(before == MISSING, self.origin_ns, end_ns[before]) if len(before) else ready_ns
        launched = np.flatnonzero(launch != MISSING)
        if len(launched):
            self._launches(launched, launch, before, np.maximum(ready_ns, ended_ns), ended_ns, end_ns)
            lagged_ns = start_ns[launch[launched]] + self.lag_ns[launched]
            ready_ns[launched] = np.maximum(ready_ns[launched], lagged_ns)
        self.delay_ns = start_ns - np.maximum(ready_ns, ended_ns + self.gap_ns)

    def _launches(self, rows: Ints, launch: Ints, before: Ints, ready_ns: Ints, ended_ns: Ints, end_ns: Ints) -> None:
        """What starts behind an empty queue starts when it does because of its launch; else after what was in front."""
        since_launch_ns = self._start_ns[rows] - self._start_ns[launch[rows]]
        at_once = ready_ns[rows] <= self._start_ns[launch[rows]]
        latencies_ns = since_launch_ns[at_once & (since_launch_ns > 0)]
        if len(latencies_ns):
            self.latency_ns = int(np.median(latencies_ns))
        else:
            self.latency_ns = int(since_launch_ns[since_launch_ns > 0].min(initial=_LATENCY_NS))
        calls_ns = (end_ns - self._start_ns)[launch[rows]]
        returned_ns = calls_ns[calls_ns > 0]  # of one that stays until its work is done, nothing comes before the wait
        after_call_ns = max(self.latency_ns - int(np.median(returned_ns)), 0) if len(returned_ns) else 0
        likely_ns = np.maximum(self.latency_ns, calls_ns + after_call_ns)  # a call that took longer submitted later
        queued = ready_ns[rows] > self._start_ns[launch[rows]] + likely_ns
        self.lag_ns[rows] = np.where(queued, np.minimum(since_launch_ns, likely_ns), since_launch_ns)
        behind = rows[(before[rows] != MISSING) & queued & (ended_ns[rows] == ready_ns[rows])]
        gaps_ns = self._start_ns[behind] - ended_ns[behind]
        typical_ns = int(np.median(gaps_ns)) if len(gaps_ns) else _GAP_NS
        follows = rows[before[rows] != MISSING]
        self.gap_ns[follows] = np.minimum(self._start_ns[follows] - ended_ns[follows], typical_ns)
