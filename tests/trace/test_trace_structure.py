"""Brackets outside strings, against a scan character by character."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slowprobe.trace import structure
from slowprobe.trace.structure import Cut, exact_cut, object_end


def plain_scan(text: bytes) -> Cut:
    depth, end, in_string, escaped = 0, 0, False, False
    for at, code in enumerate(text):
        character = chr(code)
        escaped, was_escaped = False, escaped
        if was_escaped and character in '"\\':
            continue
        if character == "\\":
            escaped = True
        elif character == '"':
            in_string = not in_string
        elif not in_string and character in "[{":
            depth += 1
        elif not in_string and character in "]}":
            depth -= 1
            if depth < 0:
                return Cut(end, at if character == "]" else None)
            if depth == 0 and character == "}":
                end = at + 1
    return Cut(end, None)


@settings(max_examples=500)
@given(st.text(alphabet='{}[]"\\,x', max_size=60), st.integers(1, 70))
def test_cuts_are_those_of_a_plain_scan(text, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure, "_WINDOW_BYTES", window)
        assert exact_cut(text.encode()) == plain_scan(text.encode())


def test_an_object_ends_with_its_own_brace():
    assert object_end(b'{"a": "}", "b": [{}]}, {') == 21
    assert object_end(b'{"a": "}') is None
