"""What the machine is and how busy: cores, memory, limits, and torch's global settings."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import psutil

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from slowprobe.run.schema import Resources, State

# Where one of these is imported, a model in eval mode may be acting, which is no evaluation.
ENVIRONMENTS = ("gymnasium", "gym", "pettingzoo", "dm_env", "torchrl", "mujoco")
# Environment variables that make training slower on purpose; only their names are recorded.
DEBUG_VARIABLES = (
    "CUDA_LAUNCH_BLOCKING",
    "TORCH_DISTRIBUTED_DEBUG",
    "NCCL_DEBUG",
    "TORCH_LOGS",
    "TORCH_SHOW_CPP_STACKTRACES",
    "PYTHONDEVMODE",
    "PYTHONTRACEMALLOC",
    "PYTHONFAULTHANDLER",
)
_OFF = ("", "0", "OFF", "WARN", "VERSION")


def usable_cores() -> int:
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def quota_cores() -> float | None:
    """The cgroup's CPU limit in cores; None where there is none."""
    for path in ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"):
        try:
            words = Path(path).read_text().split()
            if len(words) == 1:
                words.append(Path(path).with_name("cpu.cfs_period_us").read_text())
            if words[0] not in ("max", "-1"):
                return float(words[0]) / float(words[1])
        except (OSError, ValueError):
            continue
    return None


def minor_faults() -> int:
    """First touches of memory by this process, in pages; 0 where that is not counted."""
    return 0 if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def describe_host() -> dict[str, int | float | str | None]:
    """The machine's size, as `Manifest.host` holds it."""
    return {
        "cores": usable_cores(),
        "physical_cores": psutil.cpu_count(logical=False),
        "quota_cores": quota_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_model": _cpu_model(),
        "cpu_bf16": bfloat16_instructions(),
        "local_world_size": _local_world_size(),
    }


def _local_world_size() -> int | None:
    """Ranks on this machine, as a launcher has told them; of several machines, fewer than train together."""
    told = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(told) if told.isdigit() and int(told) > 0 else None


def bfloat16_instructions() -> str | None:
    """The instructions with which this CPU multiplies bfloat16 numbers; None where it has none, or does not tell."""
    words = set(_cpu_line("flags").split()) | set(_cpu_line("Features").split())
    return next((name for name in ("amx_bf16", "avx512_bf16", "bf16") if name in words), None)


def _cpu_model() -> str | None:
    return _cpu_line("model name") or platform.processor() or None


def _cpu_line(key: str) -> str:
    """The first line of /proc/cpuinfo with this key; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


class ResourceMeter:
    """Reads `Resources` of this process and the machine."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._process = psutil.Process()

    def read(self, page_faults: dict[str, int]) -> Resources:
        """One reading; some 100 µs."""
        times = self._process.cpu_times()
        system = psutil.cpu_times()
        idle_s = system.idle + getattr(system, "iowait", 0.0)
        guests_s = getattr(system, "guest", 0.0) + getattr(system, "guest_nice", 0.0)  # in user and nice, too
        return Resources(
            at_ns=time.perf_counter_ns() - self._origin_ns,
            cpu_s=times.user + times.system,
            rss_bytes=self._process.memory_info().rss,
            system_busy_s=sum(system) - idle_s - guests_s,
            system_idle_s=idle_s,
            available_bytes=psutil.virtual_memory().available,
            page_faults=page_faults,
        )


def detects_anomalies() -> bool:
    """Whether torch.autograd looks for anomalies now."""
    import torch

    return bool(torch.is_anomaly_enabled())


def read_state(origin_ns: int, anomaly: bool = False) -> State:
    """torch's global settings now; settings that a torch version lacks are None.

    anomaly: whether anomaly detection was on in a backward pass.
    """
    import torch

    values: dict[str, Any] = {
        "torch": str(torch.__version__),
        "num_threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "anomaly": anomaly or detects_anomalies(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "default_dtype": str(torch.get_default_dtype()),
        "cudnn_benchmark": bool(torch.backends.cudnn.benchmark),
        "devices": _devices(torch),
        "accelerators": accelerators(torch),
        "ranks": _ranks(torch),
        "debug_env": [name for name in DEBUG_VARIABLES if os.environ.get(name, "").upper() not in _OFF],
        "python_dev_mode": sys.flags.dev_mode,
        "environments": [name for name in ENVIRONMENTS if name in sys.modules],
        "tracing": sys.gettrace() is not None or sys.getprofile() is not None,
    }
    return State(at_ns=time.perf_counter_ns() - origin_ns, values=values)


def accelerators(torch: Any) -> int:
    """Accelerators that this torch could use, seen without asking CUDA: to be asked would start its driver.

    Those that the script has hidden (CUDA_VISIBLE_DEVICES) do not count.
    """
    if torch.version.cuda is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None and (not visible.strip() or visible.strip().startswith("-")):
            return 0
        there = sum(path.name[6:].isdigit() for path in Path("/dev").glob("nvidia*"))
        return there if visible is None else min(there, len(visible.split(",")))
    return int(bool(torch.backends.mps.is_available()))


def _ranks(torch: Any) -> int:
    """Processes that train together; a script that starts them itself need not tell the environment."""
    group = torch.distributed
    return int(group.get_world_size()) if group.is_available() and group.is_initialized() else 1


def _devices(torch: Any) -> list[str]:
    if not torch.cuda.is_initialized():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
