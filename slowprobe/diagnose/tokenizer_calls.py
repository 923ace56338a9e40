"""Tells a tokenizer at work on a stack, a library's or the user's own, and the line that calls it."""

from __future__ import annotations

import re
from functools import lru_cache

from slowprobe.diagnose.call_names import called, installed, last_part, names_match
from slowprobe.diagnose.word_lookups import tokenizes_at
from slowprobe.run.record import Site
from slowprobe.timeline.making_stacks import StackTime
from slowprobe.timeline.recording import Frame
from slowprobe.timeline.sources import SourceText

_TOKENIZERS = re.compile(
    r"(transformers/(?:models/[^/]+/)?tokenization_|tokenizers/|sentencepiece/|tiktoken/|nltk/tokenize/|sacremoses/|"
    r"spacy/tokenizer)"
)
_TOKENIZING = re.compile(
    r"^(_?_?call_*(one)?|_?(batch_)?encode.*|_?tokenize|convert_tokens_to_ids|apply_chat_template)$"
)
_NO_TOKENIZING = ("pad", "_pad", "save_pretrained", "from_pretrained")
_ITEMS = ("__getitem__", "__getitems__", "__iter__", "__next__")
_TOKENIZE_CALLS = ("tokenize", "encode_plus", "batch_encode_plus", "encode_batch", "encode_as_ids", "EncodeAsIds")


def tokenizes(source: SourceText, stack: StackTime) -> bool:
    """Whether the stack is in a tokenizer, or its innermost line calls one."""
    own = own_tokenizer(source, stack)
    for index, (frame, is_users) in enumerate(zip(stack.frames, stack.users, strict=True)):
        name = last_part(frame.function)
        if name in _NO_TOKENIZING:
            return False
        if index == own or (not is_users and _TOKENIZERS.match(installed(frame)) and _TOKENIZING.match(name)):
            return True
    if _looks_words_up(source, stack) is not None:
        return True
    site = stack.site
    if stack.below or site is None:
        return False
    return any(_calls_tokenizer(name) for name, _ in called(source.line(site.file, site.line)))


def own_tokenizer(source: SourceText, stack: StackTime) -> int | None:
    """The outermost frame that is a tokenizer of the user's own, by its name or by that in the line that calls it."""
    for index, (frame, is_users) in enumerate(zip(stack.frames, stack.users, strict=True)):
        if is_users and (_is_tokenizer(frame) or (index and _enters_tokenizer(source, stack, index))):
            return index
    return None


def tokenized_at(source: SourceText, stack: StackTime) -> Site | None:
    """The user's line that calls a tokenizer: of a tokenizer of the user's own, the line before it."""
    index = own_tokenizer(source, stack)
    if index and stack.users[index - 1]:
        return stack.site_at(index - 1)
    found = _looks_words_up(source, stack)
    if found is None:
        return None
    is_item = not found or not stack.users[found - 1] or last_part(stack.frames[found].function) in _ITEMS
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
    name = last_part(frame.function)
    return name == "tokenize" or ("tokeniz" in frame.function.lower() and _TOKENIZING.match(name) is not None)


def _enters_tokenizer(source: SourceText, stack: StackTime, index: int) -> bool:
    """Whether a line of the user's says that the frame below it is one: ``tokenizer(texts)`` enters a ``__call__``."""
    site = stack.site_at(index - 1) if stack.users[index - 1] else None
    if site is None:
        return False
    entered = last_part(stack.frames[index].function)
    names = (name for name, _ in called(source.line(site.file, site.line)))
    return any(_calls_tokenizer(name) and entered in ("__call__", last_part(name)) for name in names)


def _calls_tokenizer(name: str) -> bool:
    owner, _, method = name.rpartition(".")
    held = last_part(owner).lower()
    if names_match(name, _TOKENIZE_CALLS) or method.lower().strip("_") in ("tokenizer", "tok"):
        return True
    return method in ("encode", "__call__") and ("tok" in held or held in ("sp", "bpe", "enc"))
