"""Which line an edit changes: the call in the code that trains, or the line itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from slowprobe.diagnose.edit_site import edit_site, edits_first
from slowprobe.diagnose.finding import Where
from slowprobe.run.reader import RunRecords
from slowprobe.run.record import Site
from slowprobe.run.schema import Source
from slowprobe.timeline.sources import SourceText

TRAIN, TRACK = "/home/someone/train.py", "/home/someone/track.py"
HELPERS = """\
class Log:
    def write(self, **values):
        self.rows.append(values)
        json.dump(self.rows, self.file)

    def sometimes(self, step):
        if step % self.every:
            return
        json.dump(self.rows, self.file)  # rare

    def noted(self, value):
        self.write(value=value)
        return value

def ask(address):
    return urlopen(address)

"""
LOOP = """\
def main():
    log = Log()
    for epoch in range(3):
        for step, batch in enumerate(loader):
            {call}
            loss.backward()
            optimizer.step()
"""


def source_of(**texts: str) -> SourceText:
    files = {"train": TRAIN, "track": TRACK}
    return SourceText(RunRecords(Path("/nowhere"), None, [Source(file=files[n], text=t) for n, t in texts.items()]))


def found(call: str, fragment: str, droppable: bool = False) -> str:
    text = HELPERS + LOOP.format(call=call)
    line = next(n for n, code in enumerate(text.splitlines(), 1) if fragment in code)
    source = source_of(train=text)
    site = edit_site(source, Site(TRAIN, line, ""), droppable=droppable)
    return source.line(TRAIN, site.line)


@pytest.mark.parametrize("droppable", [False, True])
def test_a_helper_is_edited_where_the_loop_calls_it(droppable):
    assert found("log.write(step=step)", "json.dump", droppable) == "log.write(step=step)"


def test_work_to_hand_over_is_handed_over_at_the_call_whose_result_is_used():
    assert found("rules = ask(address)", "urlopen") == "rules = ask(address)"


def test_a_call_whose_result_is_used_is_not_dropped():
    assert found("rules = ask(address)", "urlopen", droppable=True) == "return urlopen(address)"
    assert found("kept = log.noted(1)", "json.dump", droppable=True) == "self.write(value=value)"


def test_a_helper_that_decides_when_is_edited_itself():
    assert found("log.sometimes(step)", "# rare", droppable=True) == "json.dump(self.rows, self.file)  # rare"


def test_a_line_in_the_loop_is_its_own_and_one_without_a_caller_too():
    assert found("print(step)", "print(step)") == "print(step)"
    assert found("pass", "urlopen") == "return urlopen(address)"


def test_a_line_in_a_function_that_trains_stays():
    text = "def step(batch):\n    print(batch)\n    loss.backward()\n\nfor batch in loader:\n    step(batch)\n"
    assert edit_site(source_of(train=text), Site(TRAIN, 2, "step")).line == 2


def test_a_helper_in_another_file_is_followed_by_a_name_that_is_the_only_one():
    loop = "for batch in loader:\n    loss.backward()\n    send(loss)\n"
    one = source_of(track="def send(loss):\n    post(loss)\n", train=loop)
    assert edit_site(one, Site(TRACK, 2, "send"), droppable=True) == Site(TRAIN, 3, "<module>")
    two = source_of(track="def send(loss):\n    post(loss)\n", train="def send():\n    pass\n\n" + loop)
    assert edit_site(two, Site(TRACK, 2, "send")) == Site(TRACK, 2, "send")


def test_an_object_that_is_called_is_known_by_what_it_was_made_of():
    text = (
        "class Log:\n    def __call__(self, loss):\n        print(loss)\n\nlog = Log()\n"
        "for batch in loader:\n    loss.backward()\n    log(loss)\n"
    )
    assert edit_site(source_of(train=text), Site(TRAIN, 3, "__call__")).line == 8


def test_calls_come_first_and_the_lines_below_them_after():
    text = HELPERS + LOOP.format(call="log.write(step=step)")
    call = next(n for n, code in enumerate(text.splitlines(), 1) if "log.write(" in code)
    where = [Where(TRAIN, 4, "write", 0.7), Where(TRAIN, 3, "write", 0.3)]
    ordered = edits_first(source_of(train=text), where, droppable=True)
    assert [(each.line, each.share) for each in ordered] == [(call, 1.0), (4, 0.7), (3, 0.3)]
