from __future__ import annotations

import pytest
from synthetic import LIBRARY, SCRIPT, SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
class WordTokenizer:
    def encode(self, text):
        return [self.ids[word] for word in text.split()]


class Texts(Dataset):
    def __getitem__(self, index):
        ids = self.tokenizer(self.texts[index], truncation=True)
        raw = self.texts[index].encode()
        return ids


def collate(items):
    return tokenizer.pad(items)


loader = DataLoader(Texts())
for batch in loader:
    ids = tokenizer(batch)
"""
RULE = "tokenize-in-loop"
BATCHES = 150
PACKAGES = f"{LIBRARY}/site-packages"
CALLING = [(f"{PACKAGES}/transformers/tokenization_utils_base.py", 2900, "PreTrainedTokenizerBase.__call__")]
PADDING = [(f"{PACKAGES}/transformers/tokenization_utils_base.py", 3300, "PreTrainedTokenizerBase.pad")]


def record(tmp_path, text, below=(), *, ms=20.0, workers=2, function="Texts.__getitem__", above=(), train=(2, 4, 1)):
    run = SyntheticRun(tmp_path, SOURCE, cores=2)
    loader = run.loader(run.line("DataLoader("), num_workers=workers)
    line = run.line(text)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, ms + 2, 0.5, fetch_lines={line: ms}, function=function, below={line: below}, above=above)
            run.train(*train)
    return run.evidence()


def test_slow_names_the_line_and_saves_all_of_it(tmp_path):
    evidence = record(tmp_path, "self.tokenizer(", CALLING)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [8]
    assert "+ids = self.tokens[index]" in verdict.diagnosis.fix.diff
    assert "on 2 processes" in verdict.diagnosis.fix.text
    fixed = record(tmp_path / "fixed", "self.tokenizer(", CALLING, ms=0.4)
    assert verdict.saved_s == pytest.approx(evidence.partition.loop_s - fixed.partition.loop_s, rel=0.1)


def test_a_compiled_tokenizer_is_known_by_its_call(tmp_path):
    assert ask(RULE, record(tmp_path, "self.tokenizer(")).lines == [8]


def test_a_tokenizer_of_the_users_is_named_where_it_is_called(tmp_path):
    caller = [(SCRIPT, 8, "Texts.__getitem__")]
    evidence = record(tmp_path, "self.ids[word]", function="WordTokenizer.encode", above=caller)
    assert ask(RULE, evidence).lines == [8]
    found = examine(evidence)
    assert found.outcomes["slow-transform"].reason == "tokenize-in-loop names the same line"


def test_tensors_of_the_tokens_go_as_well_and_no_other_rule_has_them(tmp_path):
    """7 ms of tokenizing, 15 on the line that makes a tensor of it, 4 on one that makes one of something else."""
    source = """\
class Texts(Dataset):
    def __getitem__(self, index):
        ids = self.tokenizer.encode(self.texts[index])
        label = torch.tensor(self.labels[index])
        return torch.tensor(ids), label


loader = DataLoader(Texts())
"""
    run = SyntheticRun(tmp_path, source, cores=2)
    loader = run.loader(run.line("DataLoader("), num_workers=2)
    lines = {3: 7.0, 5: 15.0, 4: 4.0}
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 26.0, 0.5, fetch_lines=lines, function="Texts.__getitem__")
            run.train(2, 4, 1)
    evidence = run.evidence()
    verdict = ask(RULE, evidence)
    assert verdict.lines == [3]
    assert verdict.diagnosis.evidence["share of making a batch"] == pytest.approx(22 / 26.5, abs=0.01)
    assert not {"slow-transform", "list-to-tensor"} & {finding.rule for finding in examine(evidence).findings}


def test_in_the_step_it_is_found_too(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(run.line("DataLoader("), num_workers=2)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, 1.0)
            run.train(2, 4, 1)
            run.python(3.0, run.line("ids = tokenizer(batch)"), below=CALLING)
    verdict = ask(RULE, run.evidence())
    assert verdict.lines == [19]
    assert verdict.saved_s == pytest.approx(BATCHES * 0.003, rel=0.1)


IN_A_MODULE = """\
class WordPiece:
    def __call__(self, texts):
        return [self.split(word) for text in texts for word in re.findall(r"[a-z]+", text)]

    def split(self, word):
        return self.ids[word] if word in self.ids else self.longest(word)


for rows in order:
    ids = tokenizer([tickets[row] for row in rows])
    ids = pieces([tickets[row] for row in rows])
"""


def test_one_of_the_users_is_told_by_the_name_in_the_line_of_the_loop_that_calls_it(tmp_path):
    """Its own lines say nothing of the kind; the same called by another name is no tokenizer."""
    for name, status in (("tokenizer", "found"), ("pieces", "passed")):
        run = SyntheticRun(tmp_path / name, IN_A_MODULE)
        above = [(SCRIPT, run.line(f"ids = {name}("), "main"), (SCRIPT, 3, "WordPiece.__call__")]
        for _ in range(BATCHES):
            run.train(2, 4, 1)
            run.python(3.0, run.line("return self.ids[word]"), "WordPiece.split", above=above)
        verdict = ask(RULE, run.evidence())
        assert verdict.status == status
        if status == "found":
            assert verdict.lines == [run.line("ids = tokenizer(")]
            assert verdict.saved_s == pytest.approx(BATCHES * 0.003, rel=0.1)
            assert [finding.rule for finding in examine(run.evidence()).findings] == [RULE]


def test_fixed_passes(tmp_path):
    assert ask(RULE, record(tmp_path, "self.tokenizer(", CALLING, ms=0.4)).status == "passed"


@pytest.mark.parametrize(("text", "below"), [("tokenizer.pad", PADDING), (".encode()", ())])
def test_padding_and_encoding_a_string_are_no_tokenizing(tmp_path, text, below):
    """Near miss: a tokenizer pads; a string is encoded."""
    assert ask(RULE, record(tmp_path, text, below)).status == "passed"


def test_a_loader_that_keeps_up_passes(tmp_path):
    """Near miss: it tokenizes for most of a batch, and the steps take longer."""
    verdict = ask(RULE, record(tmp_path, "self.tokenizer(", CALLING, train=(20, 30, 1)))
    assert verdict.status == "passed"
    assert "hardly waits" in verdict.outcome.reason


def test_without_a_loader_or_samples_it_says_so(tmp_path):
    run = SyntheticRun(tmp_path)
    for _ in range(20):
        run.train()
        run.spend(1.0, sampled=False)
    assert ask(RULE, run.evidence()).status in ("not-checked", "passed")


BY_HAND = """\
def words_of(text):
    return [piece for piece in PATTERN.findall(text.lower()) if piece != ","]


class Reviews(Dataset):
    def encode(self, text):
        return [self.places.get(word, 0) for word in words_of(text)]

    def __getitem__(self, index):
        volume, part = self.volume.split(8), self.names[index].split("/")
        kept = [self.order[each] for each in part]
        return torch.tensor(self.encode(self.texts[index])), self.stars[index]


loader = DataLoader(Reviews())
"""


def by_hand(tmp_path, source, lines, function, above=(), workers=0):
    run = SyntheticRun(tmp_path, source, cores=2)
    loader = run.loader(run.line("DataLoader("), num_workers=workers)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(
                loader,
                sum(lines.values()) + 2,
                0.5,
                fetch_lines={run.line(text): ms for text, ms in lines.items()},
                function=function,
                above=above,
            )
            run.train(2, 4, 1)
    return run.evidence()


def test_a_tokenizer_of_two_helpers_is_told_by_what_it_does(tmp_path):
    """The innermost line only splits; its callers look the words up. No name says what they are."""
    above = [(SCRIPT, 12, "Reviews.__getitem__"), (SCRIPT, 7, "Reviews.encode")]
    evidence = by_hand(tmp_path, BY_HAND, {"PATTERN.findall": 20.0}, "words_of", above, workers=2)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [12]
    found = examine(evidence)
    assert [finding.rule for finding in found.findings][:1] == [RULE]


@pytest.mark.parametrize(
    ("splitting", "looking"),
    [
        ("words = text.lower().split()", "ids = [self.places[word] for word in words]"),
        ("words = re.split(r'\\s+', text)", "ids = torch.tensor([self.places.get(word, 0) for word in words])"),
        ("text = text.strip()", "ids = [vocabulary[char] for char in text]"),
    ],
)
def test_splitting_and_looking_up_within_the_item_is_tokenizing(tmp_path, splitting, looking):
    source = f"""\
class Reviews(Dataset):
    def __getitem__(self, index):
        text = self.texts[index]
        {splitting}
        {looking}
        return ids


loader = DataLoader(Reviews())
"""
    evidence = by_hand(tmp_path, source, {looking: 20.0}, "Reviews.__getitem__")
    assert ask(RULE, evidence).lines == [5]


@pytest.mark.parametrize("text", ["self.volume.split(8)", "self.order[each]"])
def test_parts_of_arrays_and_of_paths_are_no_words(tmp_path, text):
    """Near miss: a tensor, and the name of a file, are split, and the latter's parts looked up."""
    assert ask(RULE, by_hand(tmp_path, BY_HAND, {text: 20.0}, "Reviews.__getitem__")).status == "passed"


def test_numbers_of_a_line_of_text_are_no_words(tmp_path):
    """Near miss: a line of a table is split, and its parts are converted."""
    source = BY_HAND.replace("self.places.get(word, 0)", "float(word)")
    above = [(SCRIPT, 12, "Reviews.__getitem__"), (SCRIPT, 7, "Reviews.encode")]
    assert ask(RULE, by_hand(tmp_path, source, {"PATTERN.findall": 20.0}, "words_of", above, 2)).status == "passed"
