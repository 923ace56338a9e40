"""What code was doing while a batch was made: waiting elsewhere, tokenizing, decoding or reading a file."""

from __future__ import annotations

import re
from typing import Literal

from slowprobe.diagnose.call_names import called, installed, last_part, names_match
from slowprobe.diagnose.tokenizer_calls import tokenizes
from slowprobe.timeline.making_stacks import StackTime
from slowprobe.timeline.recording import Frame
from slowprobe.timeline.sources import SourceText

CallKind = Literal["elsewhere", "tokenize", "decode", "read"]

_ELSEWHERE = re.compile(
    r"(requests|urllib3|botocore|boto3|s3fs|gcsfs|aiohttp|aiobotocore|httpx|httpcore|grpc|redis|pymongo|psycopg2?)/"
)
_ELSEWHERE_STANDARD = ("http/client.py", "urllib/request.py", "socket.py", "ssl.py", "threading.py", "queue.py")
_DECODERS = re.compile(
    r"(PIL/(ImageFile|\w+ImagePlugin|Image)\.py|cv2/|torchvision/io/|torchaudio/|torchcodec/|av/|imageio/|imageio_|"
    r"decord/|soundfile\.py|librosa/core/audio\.py|audioread/|turbojpeg\.py|simplejpeg/|pydicom/|tifffile/|skimage/io/)"
)
_DECOMPRESSORS = re.compile(r"(numcodecs/|blosc2?/|zstandard/|lz4/|snappy/|isal/|zlib_ng/|brotli)")
_DECOMPRESSORS_STANDARD = ("gzip.py", "bz2.py", "lzma.py", "_compression.py", "compression/")
_DEFLATED = ("_read1",)  # of zipfile's ZipExtFile: what runs in it itself inflates; stored members are read below it
_PIL_IMAGE = ("open", "load", "convert", "_open", "draft")  # of PIL/Image.py; the rest are transforms
_READERS = re.compile(
    r"(numpy/lib/(_?npyio|_?format|_datasource)|h5py/|zarr/|pyarrow/|pandas/io/|tables/|netCDF4|xarray/backends/|lmdb/|"
    r"torch/serialization\.py|safetensors/|webdataset/|fsspec/implementations/local\.py|scipy/io/)"
)
_READERS_STANDARD = ("pathlib.py", "tarfile.py", "zipfile.py", "zipfile/__init__.py", "shelve.py", "dbm")

_SLEEPING = ("sleep", "urlopen", "get_object", "recv", "acquire")
DECODE_CALLS = (
    "imread", "imdecode", "decode_jpeg", "decode_png", "decode_image", "decode_webp", "read_image", "read_video",
    "VideoCapture", "VideoReader", "VideoDecoder", "AudioDecoder", "Image.open", "torchaudio.load", "soundfile.read",
    "sf.read", "librosa.load", "av.open", "dcmread", "jpeg.decode", "decompress", "unpack_array", "unpack_array2",
)  # fmt: skip
DECOMPRESS_CALLS = ("decompress", "unpack_array", "unpack_array2")
READ_CALLS = (
    "open", "read", "preadv", "pread", "readinto", "readline", "readlines", "read_bytes", "read_text", "np.load",
    "numpy.load", "fromfile", "memmap", "loadtxt", "genfromtxt", "loadmat", "torch.load", "pickle.load", "json.load",
    "load_file", "read_csv", "read_parquet", "read_table", "h5py.File", "zarr.open",
)  # fmt: skip


def kind_of(source: SourceText, stack: StackTime) -> CallKind | None:
    """What the stack's innermost line of the user's was busy with; None for all else."""
    if tokenizes(source, stack):
        return "tokenize"
    if decompresses(source, stack):
        return "decode"
    if stack.below:
        return next((kind for frame in stack.below if (kind := _kind_of_frame(frame)) is not None), None)
    site = stack.site
    return None if site is None else _kind_of_line(source.line(site.file, site.line))


def decompresses(source: SourceText, stack: StackTime) -> bool:
    """Whether bytes are being unpacked by a general codec: by gzip and its like, of an archive, or by a call of one."""
    if stack.below:
        return any(_unpacks(frame) for frame in stack.below) or last_part(stack.below[-1].function) in _DEFLATED
    site = stack.site
    return site is not None and any(
        names_match(name, DECOMPRESS_CALLS) for name, _ in called(source.line(site.file, site.line))
    )


def _unpacks(frame: Frame) -> bool:
    file = installed(frame)
    return _DECOMPRESSORS.match(file) is not None or file.startswith(_DECOMPRESSORS_STANDARD)


def _kind_of_frame(frame: Frame) -> CallKind | None:
    file, function = installed(frame), last_part(frame.function)
    if not file:
        return None
    if _ELSEWHERE.match(file) or file in _ELSEWHERE_STANDARD:
        return "elsewhere"
    if _DECODERS.match(file):
        return "decode" if not file.startswith("PIL/Image.py") or function in _PIL_IMAGE else None
    return "read" if _READERS.match(file) or file in _READERS_STANDARD else None


def _kind_of_line(text: str) -> CallKind | None:
    names = [name for name, _ in called(text)]
    if any(names_match(name, _SLEEPING) or name.startswith("requests.") for name in names):
        return "elsewhere"
    if any(names_match(name, DECODE_CALLS) for name in names):
        return "decode"
    return "read" if any(names_match(name, READ_CALLS) for name in names) else None
