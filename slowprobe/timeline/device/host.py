"""The host's side of a trace: which rows launch, synchronise, allocate or wait for data, and what is around them."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

import numpy as np

from slowprobe.timeline.device.nesting import Nesting, thread_ids
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace

_LAUNCH = re.compile(r"launch|memcpy|memset|runFunction - job_prep", re.IGNORECASE)
_SYNC = re.compile(
    r"(Synchronize|^(cuda|hip)Memcpy(2D|3D|WithStream|ToSymbol|FromSymbol)?|^cuMemcpy(HtoD|DtoH))(_v\d)?(_pt(ds|sz))?$"
)
_ALLOCATOR = re.compile(
    r"^(cuda|hip)(Malloc|Free|HostAlloc|HostFree|HostMalloc|HostRegister|HostUnregister|MallocHost|FreeHost)"
    r"|^cuMem(Create|Map|Unmap|Release|SetAccess|AddressReserve|AddressFree|Alloc|Free)|empty_?cache",
    re.IGNORECASE,
)
_DATA = re.compile(r"^enumerate\(DataLoader\)#|^slowprobe\.data|torch/utils/data/dataloader\.py\(\d+\): __next__")
_LINE = re.compile(r"^(?P<path>[^<].*)\(\d+\): ")
_LIBRARIES = """torch torchvision torchaudio functorch transformers accelerate datasets lightning pytorch_lightning
    deepspeed peft diffusers timm numpy scipy pandas PIL cv2 sklearn tqdm wandb triton apex xformers flash_attn
    megatron slowprobe asyncio concurrent collections ctypes encodings importlib json logging multiprocessing
    threading.py contextlib.py functools.py typing.py copy.py random.py enum.py abc.py queue.py selectors.py socket.py
    ssl.py subprocess.py tempfile.py weakref.py pickle.py warnings.py inspect.py re.py os.py runpy.py genericpath.py
    posixpath.py codecs.py dataclasses.py types.py operator.py"""
_FOREIGN = frozenset(_LIBRARIES.split())


class Host:
    """Rows of the host by what they do. Masks have an entry a row of the trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.threads: Ints = thread_ids(trace)
        runtime = [name for name in trace.categories if name.endswith(("_runtime", "_driver"))]
        self.runtime: Bools = trace.is_category(*runtime)
        """Calls of the runtime or the driver."""
        self.operators: Bools = trace.operators()
        self.annotations: Bools = trace.annotations()
        self.python: Bools = trace.is_category("python_function")
        self.data: Bools = (self.annotations | self.python) & trace.matches(lambda name: bool(_DATA.search(name)))
        """Requests for data."""
        self.allocator: Bools = (self.runtime | self.python) & trace.matches(lambda name: bool(_ALLOCATOR.search(name)))
        """Calls that get memory from the device or give it back, past the caching allocator."""
        self.syncs: Bools = self.runtime & trace.matches(lambda name: bool(_SYNC.search(name)))
        """Calls that wait for the device by their name."""
        self.launches: Bools = self.runtime & trace.matches(lambda name: bool(_LAUNCH.search(name))) & ~self.syncs

    @cached_property
    def stack(self) -> Nesting:
        """Operators, annotations and Python functions as they nest."""
        return Nesting(self.trace, self.threads, self.operators | self.annotations | self.python)

    @cached_property
    def _top_operators(self) -> Ints:
        return self.stack.outermost(self.operators[self.stack.rows])

    @cached_property
    def _lines(self) -> Bools:
        return (self.python & self.trace.matches(is_own_line))[self.stack.rows]

    @cached_property
    def _labels(self) -> Bools:
        steps = self.trace.matches(lambda name: name.startswith(("ProfilerStep#", "slowprobe.step")))
        return (self.annotations & ~steps)[self.stack.rows]

    def around(self, rows: Ints) -> Ints:
        """Positions in the stack of what is innermost at the start of these rows; `MISSING` rows have none."""
        known = rows >= 0
        found = np.full(len(rows), MISSING, dtype=np.int64)
        found[known] = self.stack.at(self.threads[rows[known]], self.trace.start_ns[rows[known]])
        return found

    def operator_names(self, positions: Ints) -> list[str | None]:
        """The outermost operator at or around each position."""
        top = self._top_operators[np.maximum(positions, 0)] if len(self.stack.rows) else positions
        return self._names(np.where(positions >= 0, top, MISSING))

    def annotation_names(self, positions: Ints) -> list[str | None]:
        """The innermost annotation at or around each position, but for those that mark whole steps."""
        return self._names(self.stack.nearest(positions, self._labels))

    def lines(self, positions: Ints) -> list[str | None]:
        """The innermost line of Python outside known libraries, at or around each position; None without stacks."""
        return self._names(self.stack.nearest(positions, self._lines))

    def frames(self, positions: Ints) -> list[str | None]:
        """The innermost line of Python of any code, at or around each position; None without stacks."""
        return self._names(self.stack.nearest(positions, self.python[self.stack.rows]))

    def _names(self, positions: Ints) -> list[str | None]:
        names, ids = self.trace.names, self.trace.name_id
        return [names[ids[row]] if row >= 0 else None for row in self.stack.row_of(positions).tolist()]


@lru_cache(maxsize=65536)
def is_own_line(name: str) -> bool:
    """Whether a row of Python is of the user's own code, as far as its path tells.

    The profiler writes `path(line): function` with the first line of the function, and paths below a folder of
    `sys.path` without that folder.
    """
    found = _LINE.match(name)
    if found is None:
        return False
    parts = found["path"].replace("\\", "/").split("/")
    return parts[-1].endswith(".py") and not (
        parts[0] in _FOREIGN or {"site-packages", "dist-packages"}.intersection(parts) or "lib/python" in found["path"]
    )
