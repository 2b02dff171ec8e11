"""What was worked out once is kept on disk under the hash of everything it was worked out from.

In: a key and a way to make the value. Out: the value, from the file if one stands there whole. Files
are msgpack with a checksum in front; a damaged, foreign or older file is made anew, never trusted.
Written to a temporary name and renamed, so that two processes cannot see half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from pipeline.detect.rulebook.rules import Rule, RuleBook
from pipeline.model.errors import UsageError
from pipeline.model.ids import content_hash
from pipeline.model.memory import collector_at_rest

VERSION: Final = "2"
"""Raised whenever parsing or compiling comes to mean something else."""

T = TypeVar("T")


class _StoredBook(msgspec.Struct, array_like=True):
    rules: tuple[Rule, ...]
    correlations: tuple[Rule, ...]
    filters: tuple[Rule, ...]
    faults: tuple[tuple[str, str, str, str, str], ...]
    skipped: tuple[str, ...]


def kept(folder: Path | None, key: str, kind: type[T], make: Callable[[], T]) -> T:
    """The value of `key`, read from `folder` or made and kept there; without a folder just made."""
    if folder is None:
        return make()
    path = folder / f"{key}.cache"
    with contextlib.suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
        data = path.read_bytes()
        if hashlib.blake2b(data[16:], digest_size=16).digest() == data[:16]:
            with collector_at_rest():
                return msgspec.msgpack.decode(memoryview(data)[16:], type=kind)
    value = make()
    data = msgspec.msgpack.encode(value)
    with contextlib.suppress(OSError):  # a full or read-only disk costs the cache, not the work
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.part")
        draft.write_bytes(hashlib.blake2b(data, digest_size=16).digest() + data)
        draft.replace(path)
    return value


def cached_book(
    texts: Sequence[tuple[str, str]], placeholders: Mapping[str, Sequence[str]], folder: Path | None
) -> RuleBook:
    """`reader.read_book`, kept by the content of all texts."""

    def make() -> _StoredBook:
        from pipeline.detect.rulebook.reader import read_book

        book = read_book(texts, placeholders)
        faults = tuple((f.what, f.where, f.got, f.expected, f.remedy) for f in book.faults)
        return _StoredBook(book.rules, book.correlations, book.filters, faults, book.skipped)

    named = (part for pair in texts for part in pair)
    fillings = (repr(item) for item in sorted((k, tuple(v)) for k, v in placeholders.items()))
    key = content_hash("book", VERSION, *fillings, "\0", *named)
    found: Any = kept(folder, key, _StoredBook, make)
    faults = tuple(
        UsageError(what, where=where, got=got, expected=expected, remedy=remedy)
        for what, where, got, expected, remedy in found.faults
    )
    return RuleBook(found.rules, found.correlations, found.filters, faults, found.skipped)
