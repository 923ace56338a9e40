"""The recording itself: its steps, its loaders, the machine it ran on."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.run.reader import RunRecords
from slowprobe.run.schema import Resources, State
from slowprobe.timeline.labels import Labels, label_run
from slowprobe.timeline.loaders import LoaderFacts, loader_facts
from slowprobe.timeline.neighbours import Neighbours, neighbours
from slowprobe.timeline.partition import Partition, partition
from slowprobe.timeline.probe_cost import costs
from slowprobe.timeline.ranks.count import ranks
from slowprobe.timeline.recording import Recording
from slowprobe.timeline.roles import Roles, assign_roles
from slowprobe.timeline.sources import SourceText
from slowprobe.timeline.step_stats import StepStats, step_stats


class RecordedRun:
    """The recording itself: its steps, its loaders, the machine it ran on."""

    serious_s = 0.05
    """Saved in the recorded run, at least, for a finding to be serious: in a loop of milliseconds one collection is a
    tenth of it."""

    def __init__(self, run: RunRecords) -> None:
        self.run = run
        self.recording = Recording(run)

    @cached_property
    def worker_recordings(self) -> list[Recording]:
        """One recording a loader worker."""
        return [Recording(RunRecords(self.run.folder, self.run.manifest, records)) for records in self.run.workers]

    @cached_property
    def roles(self) -> Roles:
        """Which loader trains, what a step is."""
        return assign_roles(self.recording)

    @cached_property
    def labels(self) -> Labels:
        """Scope and bucket of everything that was recorded."""
        return label_run(self.recording, self.roles)

    @cached_property
    def partition(self) -> Partition:
        """The wall identity."""
        return partition(self.recording, self.labels)

    @cached_property
    def steps(self) -> StepStats:
        """The training steps."""
        return step_stats(self.recording, self.roles, self.labels, self.partition.probes)

    @cached_property
    def loaders(self) -> list[LoaderFacts]:
        """Every loader that was asked for batches."""
        return loader_facts(self.recording, self.worker_recordings, self.roles)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """torch's global settings once the loop ran."""
        state = self.run.last(State)
        if state is None:
            raise EvidenceMissing("the loop ended before torch's settings were read")
        return dict(state.values)

    @cached_property
    def operator_threads(self) -> int | None:
        """Threads that torch's operators run on; None where that was not read."""
        state = self.run.last(State)
        count = state.values.get("num_threads") if state is not None else None
        return count if isinstance(count, int) else None

    @cached_property
    def host(self) -> dict[str, Any]:
        """The machine."""
        return dict(self.run.manifest.host)

    @cached_property
    def cores(self) -> float:
        """Cores this process may use: affinity, and the cgroup's quota where there is one."""
        cores = float(self.host.get("cores") or 1)
        quota = self.host.get("quota_cores")
        return min(cores, float(quota)) if quota else cores

    @cached_property
    def ranks_here(self) -> int:
        """How many ranks share this machine."""
        return max(1, int(self.host.get("local_world_size") or ranks(self.run)))

    @cached_property
    def cores_per_rank(self) -> float:
        """This rank's part of the cores."""
        return max(1.0, self.cores / self.ranks_here)

    @cached_property
    def available_bytes(self) -> int | None:
        """The least memory that was free while the run was recorded, for this rank; None where it was not read."""
        read = [record.available_bytes for record in self.run.of(Resources) if record.available_bytes]
        return min(read) // self.ranks_here if read else None

    @cached_property
    def costs(self) -> dict[str, float]:
        """Values measured on this machine after the run."""
        return costs(self.recording)

    @cached_property
    def source(self) -> SourceText:
        """The user's source files as they ran."""
        return SourceText(self.run)

    @cached_property
    def neighbours(self) -> Neighbours | None:
        """What other processes took of the machine."""
        return neighbours(self.recording, self.worker_recordings)

    recorded_by_profiler = False
    """A run has recordings of its own; what a profiler window shows is a part of them."""
