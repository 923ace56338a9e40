from __future__ import annotations

import pytest
from synthetic import LIBRARY, SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine
from slowprobe.diagnose.rules.decode_bound import RAW, REMAINING

SOURCE = """\
class Images(Dataset):
    def __getitem__(self, index):
        image = Image.open(self.files[index]).convert("RGB")
        small = cv2.imread(self.names[index])
        return self.blur(image)


loader = DataLoader(Images())
"""
RULE = "decode-bound"
BATCHES = 150
PACKAGES = f"{LIBRARY}/site-packages"
LOADING = [(f"{PACKAGES}/PIL/Image.py", 900, "Image.convert"), (f"{PACKAGES}/PIL/ImageFile.py", 300, "ImageFile.load")]
RESIZING = [(f"{PACKAGES}/PIL/Image.py", 2300, "Image.resize")]


def record(tmp_path, *, text="Image.open", below=LOADING, decode_ms=24.0, workers=2, cpu=1.0, cores=2, train=(2, 4, 1)):
    run = SyntheticRun(tmp_path, SOURCE, cores=cores)
    loader = run.loader(run.line("DataLoader("), num_workers=workers)
    line = run.line(text)
    with run.epoch(loader):
        for _ in range(BATCHES):
            lines = {line: decode_ms, run.line("blur("): 4.0}
            run.batch(loader, decode_ms + 6.0, 0.5, fetch_lines=lines, below={line: below}, fetch_cpu=cpu)
            run.train(*train)
    return run.evidence()


def test_slow_names_the_line_and_saves_half_of_decoding(tmp_path):
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [3]
    assert "79% of making a batch" in verdict.diagnosis.summary
    assert "+image = Image.fromarray(self.images[index])" in verdict.diagnosis.fix.diff
    halved = record(tmp_path / "halved", decode_ms=12.0)
    assert REMAINING.expected == 0.5
    truth = evidence.partition.loop_s - halved.partition.loop_s
    # The replay lets the two workers and the step share two cores; in a synthetic run they do not.
    assert 0.75 * truth < verdict.saved_s <= truth


def test_a_decoder_without_python_frames_is_known_by_its_call(tmp_path):
    verdict = ask(RULE, record(tmp_path, text="cv2.imread", below=()))
    assert verdict.lines == [4]
    assert "+small = self.images[index]" in verdict.diagnosis.fix.diff


def test_slow_transform_yields_to_it(tmp_path):
    found = examine(record(tmp_path))
    assert found.outcomes[RULE].status == "found"
    assert found.outcomes["slow-transform"].reason == "decode-bound names the same line"
    assert "slow-transform" not in {finding.rule for finding in found.findings}


def test_a_dataset_of_a_library_is_named_by_its_loader(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE, cores=2)
    loader = run.loader(8)
    torch_frames = [(f"{PACKAGES}/torch/utils/data/_utils/fetch.py", 50, "fetch"), *LOADING]
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 30.0, fetch_lines={8: 28.0}, function="main", below={8: torch_frames})
            run.train(2, 4, 1)
    verdict = ask(RULE, run.evidence())
    assert verdict.lines == [8]
    assert "93% of making a batch" in verdict.diagnosis.summary


def test_fixed_small_images_pass(tmp_path):
    verdict = ask(RULE, record(tmp_path, decode_ms=1.5))
    assert (verdict.status, verdict.outcome.reason) == ("passed", "decoders take 19% of making a batch")


def test_other_work_of_the_same_library_passes(tmp_path):
    """Near miss: the time is PIL's, but in resizing."""
    assert ask(RULE, record(tmp_path, text="blur(", below=RESIZING)).status == "passed"


def test_waiting_for_the_files_is_left_to_storage_bound(tmp_path):
    """Near miss: the decoder's line is off the CPU."""
    verdict = ask(RULE, record(tmp_path, cpu=0.1))
    assert verdict.status == "passed"
    assert "storage-bound" in verdict.outcome.reason


def test_a_loader_that_keeps_up_passes(tmp_path):
    """Near miss: decoding is most of a batch, and the steps take longer."""
    verdict = ask(RULE, record(tmp_path, workers=4, cores=8, train=(10.0, 15.0, 1.0)))
    assert verdict.status == "passed"
    assert "hardly waits" in verdict.outcome.reason


def test_workers_that_would_hide_it_own_it(tmp_path):
    verdict = ask(RULE, record(tmp_path, workers=0, cores=8, train=(10.0, 15.0, 1.0)))
    assert verdict.status == "passed"
    assert "workers-zero" in verdict.outcome.reason


@pytest.mark.parametrize("workers", [0, 2])
def test_without_samples_it_is_not_checked(tmp_path, workers):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(8, num_workers=workers)
    with run.epoch(loader):
        for _ in range(20):
            run.batch(loader, 0.0 if workers == 0 else 20.0)
            run.train()
    assert ask(RULE, run.evidence()).status in ("not-checked", "passed")


PACKED = """\
class Slices(IterableDataset):
    def __iter__(self):
        for path in self.paths:
            raw = gzip.decompress(path.read_bytes())
            part = self.archive["part"]
            with lzma.open(path) as file:
                image = pickle.load(file)
            yield raw


loader = DataLoader(Slices())
"""
STANDARD = f"{LIBRARY}/lib/python3.11"
GZIP = [(f"{STANDARD}/gzip.py", 600, "decompress")]
NPZ = [(f"{PACKAGES}/numpy/lib/_npyio_impl.py", 250, "NpzFile.__getitem__")]
INFLATING = [*NPZ, (f"{STANDARD}/zipfile.py", 1014, "ZipExtFile._read1")]
STORED = [*INFLATING, (f"{STANDARD}/zipfile.py", 1040, "ZipExtFile._read2")]


def packed(tmp_path, text, below, ms=24.0):
    run = SyntheticRun(tmp_path, PACKED, cores=2)
    loader = run.loader(run.line("DataLoader("), num_workers=0, batch_size=None)
    line = run.line(text)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, ms + 2.0, 0.0, fetch_lines={line: ms}, below={line: below}, function="Slices.__iter__")
            run.train(2, 4, 1)
    return run.evidence()


@pytest.mark.parametrize(
    ("text", "below", "line"),
    [
        ("gzip.decompress", GZIP, 4),
        ("gzip.decompress", (), 4),
        ('self.archive["part"]', INFLATING, 5),
        ("pickle.load", [(f"{STANDARD}/lzma.py", 200, "LZMAFile.read")], 7),
    ],
)
def test_a_codec_is_a_decoder_of_which_reading_is_left(tmp_path, text, below, line):
    verdict = ask(RULE, packed(tmp_path, text, below))
    assert verdict.lines == [line]
    assert verdict.diagnosis.title.startswith("Unpacking compressed data")
    assert "unpacked" in verdict.diagnosis.fix.text
    assert verdict.saved_s == pytest.approx(BATCHES * 0.024 * (1 - RAW.expected), rel=0.01)


def test_stored_members_of_an_archive_are_only_read(tmp_path):
    """Near miss: an uncompressed .npz."""
    assert ask(RULE, packed(tmp_path, 'self.archive["part"]', STORED)).status == "passed"


def test_raw_files_pass(tmp_path):
    assert ask(RULE, packed(tmp_path, "gzip.decompress", GZIP, ms=0.5)).status == "passed"
