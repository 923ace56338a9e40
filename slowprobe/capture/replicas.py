"""Watches the models that DistributedDataParallel wraps: how often their gradients are exchanged, and how."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from slowprobe.capture.by_identity import ByIdentity
from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.wrapping import like
from slowprobe.capture.recorder import Recorder
from slowprobe.capture.subjects import Subjects
from slowprobe.run.replica_record import Replicas

READ_EVERY = 64  # backward passes; some 20 µs each time, and models may be gone when the recording ends


class ReplicaWatch:
    """Costs nothing until a model is wrapped; from then on two attributes are read in each backward pass."""

    def __init__(self, recorder: Recorder, subjects: Subjects, write: Callable[[Replicas], None]) -> None:
        self._recorder = recorder
        self._subjects = subjects
        self._write = write
        self._wrapped: ByIdentity[bool] = ByIdentity()
        self._known = Replicas(at_ns=0, models=0)
        self._backwards = 0
        self._synced = 0
        self.models = 0
        """How many were wrapped so far."""

    def attach(self, patches: Patches) -> None:
        """Be told of each model that is wrapped."""
        from torch.nn.parallel import DistributedDataParallel

        patches.replace(DistributedDataParallel, "__init__", self._construct)

    def detach(self) -> None:
        """Write what is known now."""
        if self.models and self._backwards:
            self._read()

    def backward(self) -> None:
        """A backward pass is about to start."""
        try:
            self._backwards += 1
            alive = self._wrapped.keys()
            self._synced += any(model.require_forward_param_sync for model in alive)
            if self._backwards % READ_EVERY == 0 or self._backwards & (self._backwards - 1) == 0:
                self._read()
        except Exception:  # a model unlike torch's own: then this is not known
            self.models = 0

    def _construct(self, original: Callable[..., None]) -> Callable[..., None]:
        def __init__(model: Any, *args: Any, **kwargs: Any) -> None:
            original(model, *args, **kwargs)
            try:
                self._wrapped.set(model, True)
                self.models += 1
                site = self._subjects.sites.of_caller(sys._getframe(1))
                if self._known.site is None and site is not None:
                    self._known.site = site
                    self._subjects.named_files.add(site.file)
            except Exception:
                self.models = 0

        return like(__init__, original)

    def _read(self) -> None:
        known = self._known
        known.at_ns = time.perf_counter_ns() - self._recorder.origin_ns
        known.models, known.backwards, known.synced = self.models, self._backwards, self._synced
        alive = self._wrapped.keys()
        if alive:
            _settings(alive[0], known)
        self._write(known)


def _settings(model: Any, known: Replicas) -> None:
    """What torch notes about a model itself; where a version does not, the default stays."""
    noted = model._get_ddp_logging_data()
    known.world_size = int(noted.get("world_size", 1))
    known.unused_bytes = int(noted.get("unused_parameter_size", 0))
    known.parameter_bytes = int(noted.get("total_parameter_size_bytes", 0))
    known.buckets = str(noted.get("rebuilt_bucket_sizes") or noted.get("bucket_sizes") or "").count(",") + 1
    known.find_unused = bool(model.find_unused_parameters)
    known.static_graph = bool(model.static_graph)
    same = getattr(model.reducer, "_ddp_graph_static", None)
    known.same_graph = bool(same()) if same is not None else None
