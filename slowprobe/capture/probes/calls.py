"""Plain functions worth a span: checkpoints, logging, sleeping, subprocess and network calls, barriers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.wrapping import timed_call
from slowprobe.capture.recorder import Recorder
from slowprobe.capture.subjects import Subjects
from slowprobe.run.schema import SpanKind


class Target(NamedTuple):
    """A function to wrap once its module has been imported (by the user, never by slowprobe)."""

    module: str
    owner: str
    """A class in the module, or an empty string for the module itself."""
    name: str
    kind: SpanKind
    api: str


_WRITER_METHODS = ("scalar", "scalars", "histogram", "image", "images", "figure", "video", "audio", "text", "graph")

TARGETS: tuple[Target, ...] = (
    Target("torch", "", "save", "save", "torch.save"),
    Target("torch.distributed.checkpoint", "", "save", "save", "dcp.save"),
    Target("safetensors.torch", "", "save_file", "save", "safetensors save_file"),
    Target("builtins", "", "print", "log", "print"),
    Target("logging", "Logger", "handle", "log", "logging"),
    Target("tqdm.std", "tqdm", "refresh", "log", "tqdm"),
    Target("wandb.sdk.wandb_run", "Run", "log", "log", "wandb.log"),
    Target("mlflow.tracking.fluent", "", "log_metric", "log", "mlflow.log_metric"),
    Target("mlflow.tracking.fluent", "", "log_metrics", "log", "mlflow.log_metrics"),
    *(
        Target("torch.utils.tensorboard.writer", "SummaryWriter", f"add_{what}", "log", f"SummaryWriter.add_{what}")
        for what in _WRITER_METHODS
    ),
    Target("time", "", "sleep", "sleep", "time.sleep"),
    Target("subprocess", "", "run", "external", "subprocess.run"),
    Target("subprocess", "", "check_output", "external", "subprocess.check_output"),
    Target("subprocess", "Popen", "wait", "external", "subprocess"),
    Target("subprocess", "Popen", "communicate", "external", "subprocess"),
    Target("os", "", "system", "external", "os.system"),
    Target("http.client", "HTTPConnection", "request", "external", "HTTP request"),
    Target("http.client", "HTTPConnection", "getresponse", "external", "HTTP request"),
    Target("urllib.request", "", "urlopen", "external", "urllib.request.urlopen"),
    Target("socket", "", "create_connection", "external", "network connection"),
    *(
        Target("torch.distributed", "", name, "communication", f"dist.{name}")
        for name in ("barrier", "monitored_barrier", "all_gather_object", "gather_object", "broadcast_object_list")
    ),  # not the collectives that torch.compile knows by their function objects
)


class CallProbe:
    """Wraps `TARGETS`; those whose module is not there yet are tried again by `catch_up`."""

    def __init__(self, recorder: Recorder, subjects: Subjects, is_compiling: Callable[[], bool]) -> None:
        self._recorder = recorder
        self._subjects = subjects
        self._is_compiling = is_compiling
        self._left = list(TARGETS)
        self._patches: Patches | None = None
        self._seen_modules = 0

    def attach(self, patches: Patches) -> None:
        """Wrap what has been imported so far."""
        self._patches = patches
        self.catch_up()

    def catch_up(self) -> None:
        """Wrap what has been imported since; cheap when nothing was."""
        if self._patches is None or len(sys.modules) == self._seen_modules:
            return
        self._seen_modules = len(sys.modules)
        for target in list(self._left):
            owner: Any = sys.modules.get(target.module)
            if owner is None or getattr(getattr(owner, "__spec__", None), "_initializing", False):
                continue
            self._left.remove(target)
            owner = getattr(owner, target.owner, None) if target.owner else owner
            if owner is not None and hasattr(owner, target.name):
                self._patches.replace(owner, target.name, self._wrap(target))

    def _wrap(self, target: Target) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return lambda original: timed_call(
            original, self._recorder, self._subjects, target.kind, target.api, self._is_compiling
        )
