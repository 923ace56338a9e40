"""Decoding images, sound or video takes much of the time in which a batch is made.

What it is: a quarter or more of making a batch passes in a decoder: PIL.Image.open/convert, cv2.imread/imdecode,
torchvision.io, torchaudio.load, av, librosa, soundfile; or in a codec: gzip, zlib, bz2, lzma, zstandard, lz4, blosc,
arrays of a compressed .npz.

Why it is slow: a file is decoded at the size it was stored in, once for each item and each epoch, and mostly to be made
smaller right after. What a codec unpacks is the same each time, and unpacking takes 10 to 100 times as long as reading.

How it is seen: stack samples of the workers (or of the training process, with num_workers=0) inside a decoder's code,
or on a line that calls one, against all samples of making batches (not seen: codecs within C code, as HDF5's filters);
their CPU time tells decoding from waiting for the file. The fix is replayed with the decoder's time cheaper.

Saving: a stated range, for it depends on the files. Of the decoder's time 0.1 remains where the decoded items are kept
(one uint8 array, memory-mapped), 0.5 is expected (stored at the size the model takes: decoding time goes with the
pixels), 0.9 with nothing but another decoder (Pillow, OpenCV and torchvision all use libjpeg-turbo). Of a codec's time
0.05 is expected to remain, from 0.01 to 0.3: reading the same bytes raw took 0.01 to 0.04 of gzip's time for arrays of
80 to 590 KB, 0.11 to 0.16 for masks packed to a fifth, 0.002 to 0.04 of bz2's and lzma's; np.load of a .npy 0.03 to
0.3 of that of a compressed .npz (0.5 for one of 2 KB).

Stays quiet when: the loop does not wait for batches, more workers would hide it (workers-zero, workers-too-few; not
asked of a codec, whose work can go), or the decoder's lines mostly wait for their files (storage-bound).

Fix: once, before training:

    image = Image.open(path).convert("RGB").resize((256, 256)); image.save(small_path, quality=90)

or a decoder that returns tensors: torchvision.io.decode_image(torchvision.io.read_file(path), mode="RGB"). Of a codec:

    np.save(path.with_suffix(".npy"), np.frombuffer(gzip.decompress(path.read_bytes()), dtype=np.int16))

Sources: torchvision.io documentation; NVIDIA DALI and FFCV (stored sizes); PyTorch forum threads on slow JPEG loaders.
"""

from __future__ import annotations

from slowprobe.diagnose.call_names import called, names_match
from slowprobe.diagnose.edits import look_up
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.item_calls import decompresses, kind_of
from slowprobe.diagnose.making_parts import (
    MIN_SAMPLES,
    Part,
    budget_ms,
    cheaper,
    examined,
    file_wait,
    hardly_waits,
    item_ms,
    of_batch,
    part_of,
    passes_for,
)
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import BESIDE_WORKERS, COVERING
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor

MIN_PART = 0.25  # of making a batch; below, halving it saves less than an eighth
MOSTLY_WAITING = 0.6  # off the CPU, other than for a core; then a nearer file mends more than a decoder
REMAINING, RAW = Factor(0.1, 0.5, 0.9), Factor(0.01, 0.05, 0.3)  # see "Saving" above
MOSTLY_CODEC = 0.5  # of the decoders' time; then the advice is about the codec
RAW_ADVICE = (
    "Store the data unpacked, once, before training (np.save, or one array that is memory-mapped); where the disk is "
    "too small for that, with a codec made for fast reading (lz4, zstd)."
)

RULE = Rule(
    title="Decoding takes much of making a batch",
    bottleneck="input",
    needs=("loaders", "making_stacks", "source", *BESIDE_WORKERS),
    closer_than=("slow-transform",),
    before=COVERING,
)


def check(run: Evidence) -> Answer:
    """Find loaders that mostly decode."""
    return examined(run, _diagnose)


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | Passed | NotChecked:
    if loader.id not in run.making_stacks:
        return NotChecked("no stack samples were taken while batches were made")
    part = part_of(run, loader, "fetch", lambda stack: kind_of(run.source, stack) == "decode")
    share = of_batch(loader, part)
    if share < MIN_PART or part.samples < MIN_SAMPLES:
        return Passed(f"decoders take {share:.0%} of making a batch")
    waiting = file_wait(loader, part)
    if waiting >= MOSTLY_WAITING:
        return Passed(f"decoders wait for their files {waiting:.0%} of their time (see storage-bound)")
    unpacking = part_of(run, loader, "fetch", lambda stack: decompresses(run.source, stack))
    packed = min(1.0, unpacking.share / part.share)
    change = cheaper(loader, part, _mixed(packed))
    is_codec = packed > MOSTLY_CODEC  # work that is better not done than done elsewhere
    reason = hardly_waits(run, change) if is_codec else passes_for(run, loader, change)
    if reason:
        return Passed(f"decoders take {share:.0%} of making a batch, but {reason}")
    each, allowed = item_ms(loader, part.share), budget_ms(run, loader)
    site = part.site
    text = run.source.line(site.file, site.line) if site is not None else ""
    work = "Unpacking" if is_codec else "Decoding"
    return Diagnosis(
        title="Unpacking compressed data takes much of making a batch" if is_codec else "",
        summary=(
            f"{work} takes {share:.0%} of making a batch ({share * (loader.make_s or 0) * 1000:.1f} of "
            f"{(loader.make_s or 0) * 1000:.1f} ms){f': {text}' if text else ''}."
        ),
        where=part.where,
        fix=Fix(text=RAW_ADVICE if is_codec else _advice(each, allowed), diff=_diff(run, part)),
        changes=[change],
        basis="stated range",
        evidence={
            "share of making a batch": round(share, 4),
            "decoding an item, ms": "unknown" if each is None else round(each, 3),
            "an item may take, for batches to keep up, ms": "unknown" if allowed is None else round(allowed, 3),
            "waiting for files, of its time": round(waiting, 3),
            "library function": part.callee or "none",
            "num_workers": loader.num_workers,
        },
    )


def _mixed(packed: float) -> Factor:
    """What remains where this share of the decoders' time is a codec's."""
    best, expected, worst = (
        packed * getattr(RAW, case) + (1 - packed) * getattr(REMAINING, case) for case in ("best", "expected", "worst")
    )
    return Factor(best, expected, worst)


def _advice(each: float | None, allowed: float | None) -> str:
    text = "Store the files once at the size that the model takes, or decoded, as one uint8 array in a file"
    if each is None or allowed is None:
        return f"{text}."
    return f"{text}: decoding an item takes {each:.2g} ms, and all of an item may take {allowed:.2g} ms."


def _diff(run: Evidence, part: Part) -> str:
    """The decoded item looked up, where the line opens an image by its path."""
    site = part.site
    names = [name for name, _ in called(run.source.line(site.file, site.line))] if site is not None else []
    kept = 'decoded once, at the size the model takes: np.load("images.npy", mmap_mode="r")'
    if any(names_match(name, ("Image.open",)) for name in names):
        return look_up(run.source, site, "Image.fromarray(self.images[{index}])", kept)
    if any(names_match(name, ("cv2.imread",)) for name in names):
        return look_up(run.source, site, "self.images[{index}]", kept)
    return ""
