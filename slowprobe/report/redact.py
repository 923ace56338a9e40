"""Takes out of a document what is nobody else's business: who ran it on which machine, and what looks like a secret.

Home folders become ``~``, their owner ``user``, the machine's name ``host``; what is masked of a secret is all of it.
A secret is told by its form (the prefixes that services give their tokens, passwords in addresses), by the option that
it follows on the command line, and in source text by the name that it is given to.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from slowprobe.report.document import Document
from slowprobe.report.strings import each_string

MASK = "[masked]"
_HOME = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\Users\\)([^/\\\s:\"']+)|/root(?=/|$)")
_SECRET_NAME = r"(?:[\w-]*[_-])?(?:api[_-]?key|access[_-]?key|secret(?:[_-]key)?|token|passw(?:or)?d|credentials?)"
_OPTION = re.compile(rf"(--?{_SECRET_NAME})(=|\s+)('[^']*'|\"[^\"]*\"|[^\s'\"]+)", re.IGNORECASE)
_ASSIGNED = re.compile(rf"(\b{_SECRET_NAME}\b[\"']?\s*[=:]\s*)([\"'])(?!\s*\2)[^\"'\s]{{6,}}\2", re.IGNORECASE)
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abpors]-[A-Za-z0-9-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
)
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_COMMON = ("root", "user", "host", "localhost", "main", "python", "ubuntu", "admin", "data", "home", "train", "test")
_MIN_NAME = 3  # letters; a shorter name is part of too much else


def redacted(document: Document) -> Document:
    """`document` with all that masked, and a note that says what was."""
    seen: Counter[str] = Counter()
    data = msgspec.to_builtins(document)
    masks = _masks(_users(data), seen)

    def change(text: str) -> str:
        for mask in masks:
            text = mask(text)
        return text

    masked = msgspec.convert(each_string(data, change), Document)
    masked.run.command = _OPTION.sub(lambda found: _secret(found, seen), masked.run.command)
    if seen:
        kinds = ", ".join(f"{what} ({count} times)" if count > 1 else what for what, count in sorted(seen.items()))
        masked.notes.append(f"Masked in this report: {kinds}. --no-redact keeps them.")
    return masked


def _masks(users: set[str], seen: Counter[str]) -> list[Callable[[str], str]]:
    def counted(what: str, pattern: re.Pattern[str], by: str | Callable[[re.Match[str]], str]) -> Callable[[str], str]:
        def mask(text: str) -> str:
            changed, times = pattern.subn(by, text)
            seen.update({what: times} if times else {})
            return changed

        return mask

    masks = [
        counted("secrets", _TOKENS, MASK),
        counted("secrets", _IN_ADDRESS, MASK),
        counted("secrets", _ASSIGNED, rf"\1\2{MASK}\2"),
        counted("home folders", _HOME, "~"),
    ]
    own = os.path.expanduser("~")
    if own not in ("/", "~") and not _HOME.fullmatch(own):
        masks.append(counted("home folders", re.compile(rf"{re.escape(own)}(?=[/\\]|$)"), "~"))
    for what, names, by in (
        ("user names", users, "user"),
        ("machine names", {socket.gethostname()}, "host"),
    ):
        known = sorted(name for name in names if len(name) >= _MIN_NAME and name.lower() not in _COMMON)
        if known:
            words = "|".join(map(re.escape, known))
            masks.append(counted(what, re.compile(rf"(?<![\w-])(?:{words})(?![\w-])"), by))
    return masks


def _users(data: Any) -> set[str]:
    """The owner of each home folder in the document, and who makes the report."""
    names: set[str] = set()

    def look(text: str) -> str:
        names.update(found[1] for found in _HOME.finditer(text) if found[1])
        return text

    each_string(data, look)
    with contextlib.suppress(KeyError, OSError, ImportError):  # a process without a user, as in some containers
        names.add(getpass.getuser())
    return names


def _secret(found: re.Match[str], seen: Counter[str]) -> str:
    seen["secrets"] += 1
    return f"{found[1]}{found[2]}{MASK}"
