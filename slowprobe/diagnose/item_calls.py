"""What code was doing while a batch was made: waiting elsewhere, tokenizing, decoding or reading a file."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from slowprobe.diagnose.word_lookups import tokenizes_at
from slowprobe.run.record import Site
from slowprobe.timeline.making_stacks import StackTime
from slowprobe.timeline.recording import Frame
from slowprobe.timeline.sources import SourceText

CallKind = Literal["elsewhere", "tokenize", "decode", "read"]

_INSTALLED = re.compile(r"/(?:site|dist)-packages/(.*)")
_STANDARD = re.compile(r"/python3[^/]*/([^/]+(?:/[^/]+)?)$")
_ELSEWHERE = re.compile(
    r"(requests|urllib3|botocore|boto3|s3fs|gcsfs|aiohttp|aiobotocore|httpx|httpcore|grpc|redis|pymongo|psycopg2?)/"
)
_ELSEWHERE_STANDARD = ("http/client.py", "urllib/request.py", "socket.py", "ssl.py", "threading.py", "queue.py")
_TOKENIZERS = re.compile(
    r"(transformers/(?:models/[^/]+/)?tokenization_|tokenizers/|sentencepiece/|tiktoken/|nltk/tokenize/|sacremoses/|"
    r"spacy/tokenizer)"
)
_TOKENIZING = re.compile(
    r"^(_?_?call_*(one)?|_?(batch_)?encode.*|_?tokenize|convert_tokens_to_ids|apply_chat_template)$"
)
_NO_TOKENIZING = ("pad", "_pad", "save_pretrained", "from_pretrained")
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
_ITEMS = ("__getitem__", "__getitems__", "__iter__", "__next__")
_TOKENIZE_CALLS = ("tokenize", "encode_plus", "batch_encode_plus", "encode_batch", "encode_as_ids", "EncodeAsIds")


def kind_of(source: SourceText, stack: StackTime) -> CallKind | None:
    """What the stack's innermost line of the user's was busy with; None for all else."""
    if _tokenizes(source, stack):
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
        return any(_unpacks(frame) for frame in stack.below) or _last(stack.below[-1].function) in _DEFLATED
    site = stack.site
    return site is not None and any(
        names_match(name, DECOMPRESS_CALLS) for name, _ in called(source.line(site.file, site.line))
    )


def _unpacks(frame: Frame) -> bool:
    file = installed(frame)
    return _DECOMPRESSORS.match(file) is not None or file.startswith(_DECOMPRESSORS_STANDARD)


def tokenized_at(source: SourceText, stack: StackTime) -> Site | None:
    """The user's line that calls a tokenizer: of a tokenizer of the user's own, the line before it."""
    for index, (frame, is_users) in enumerate(zip(stack.frames, stack.users, strict=True)):
        if is_users and index and stack.users[index - 1] and _is_tokenizer(frame):
            return stack.site_at(index - 1)
    found = _looks_words_up(source, stack)
    if found is None:
        return None
    is_item = not found or not stack.users[found - 1] or _last(stack.frames[found].function) in _ITEMS
    return stack.site_at(found if is_item else found - 1)


def _looks_words_up(source: SourceText, stack: StackTime) -> int | None:
    """The outermost frame below the loader that splits texts and looks their words up; None where there is none."""
    loader = max((at for at, frame in enumerate(stack.frames) if "/torch/utils/data/" in frame.file), default=-1)
    for index in range(loader + 1, len(stack.frames)):
        site = stack.site_at(index) if stack.users[index] else None
        if site is not None and _is_word_lookup(source, site):
            return index
    return None


@lru_cache(maxsize=4096)
def _is_word_lookup(source: SourceText, site: Site) -> bool:
    return tokenizes_at(source, site)


def _is_tokenizer(frame: Frame) -> bool:
    name = _last(frame.function)
    return name == "tokenize" or ("tokeniz" in frame.function.lower() and _TOKENIZING.match(name) is not None)


def installed(frame: Frame) -> str:
    """The frame's file below site-packages, or below the standard library; empty for the user's."""
    found = _INSTALLED.search(frame.file) or _STANDARD.search(frame.file)
    return found.group(1) if found else ""


def called(text: str) -> Iterator[tuple[str, ast.Call]]:
    """The calls in one line of code, with the dotted names of what they call; nothing where it is no code by itself."""
    yield from _called(text)


def names_match(name: str, wanted: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of `wanted`, or ends in one of them."""
    return any(name == each or name.endswith("." + each) for each in wanted)


def _kind_of_frame(frame: Frame) -> CallKind | None:
    file, function = installed(frame), _last(frame.function)
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


def _tokenizes(source: SourceText, stack: StackTime) -> bool:
    for frame, is_users in zip(stack.frames, stack.users, strict=True):
        name = _last(frame.function)
        if name in _NO_TOKENIZING:
            return False
        if is_users and _is_tokenizer(frame):
            return True
        if not is_users and _TOKENIZERS.match(installed(frame)) and _TOKENIZING.match(name):
            return True
    if _looks_words_up(source, stack) is not None:
        return True
    site = stack.site
    if stack.below or site is None:
        return False
    return any(_calls_tokenizer(name) for name, _ in called(source.line(site.file, site.line)))


def _calls_tokenizer(name: str) -> bool:
    owner, _, method = name.rpartition(".")
    held = _last(owner).lower()
    if names_match(name, _TOKENIZE_CALLS) or method.lower().strip("_") in ("tokenizer", "tok"):
        return True
    return method in ("encode", "__call__") and ("tok" in held or held in ("sp", "bpe", "enc"))


def _last(name: str) -> str:
    return name.rpartition(".")[2]


@lru_cache(maxsize=4096)
def _called(text: str) -> tuple[tuple[str, ast.Call], ...]:
    tree = _parse(textwrap.dedent(text))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree is not None else []
    return tuple((_dotted(call.func), call) for call in calls)


def _parse(text: str) -> ast.AST | None:
    for candidate in (text, text.rstrip().rstrip("([{,"), f"{text} pass", f"{text}\n    pass"):
        try:
            return ast.parse(candidate)
        except (SyntaxError, ValueError, RecursionError):
            continue
    return None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else node.attr
    return node.id if isinstance(node, ast.Name) else ""
