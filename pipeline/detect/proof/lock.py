"""The lock of a rule set: which version each rule has reached, and the hash of the text that it had then.

In: a folder of rules. Out: `lock.json` in it. A rule whose text is not the locked one breaks the law
until `write_lock` has given it its next version, so that no change of a rule goes by unnoticed; a rule
that is gone stays in the lock as such, and its id is never another rule's.

    {"241502ff-…": {"version": 2, "hash": "9f2c…", "path": "nginx/web_shell.yml"}}

The hash is the revision under which the register keeps the rule's text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from pipeline.detect.rulebook.rules import Rule
from pipeline.model.errors import ThapCanhError, UsageError
from pipeline.model.ids import content_hash

NAME: Final = "lock.json"
_REMEDY: Final = "look at the change once more, then give it its version: thapcanh rules lock"


class Locked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    version: int
    hash: str
    path: str
    gone: bool = False


def read_lock(folder: Path) -> dict[str, Locked] | None:
    """By rule id; None where the folder has no lock (then it has no versions to keep)."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Locked])
    except msgspec.DecodeError as error:
        raise UsageError(f"the lock cannot be read: {error}", where=str(path)) from None


def against(
    lock: dict[str, Locked], rules: Iterable[Rule], folder: Path
) -> Iterator[ThapCanhError]:
    """What of the rules is not as the lock says."""
    seen = set()
    for rule in rules:
        seen.add(rule.id)
        locked = lock.get(rule.id)
        if locked is None:
            yield UsageError("a new rule without a version", where=rule.path, remedy=_REMEDY)
        elif locked.gone:
            yield UsageError("the id is that of a rule that is gone", where=rule.path, got=rule.id)
        elif locked.hash != content_hash(rule.text):
            yield UsageError(
                "a changed rule without a new version", where=rule.path,
                got=f"still version {locked.version}", remedy=_REMEDY,
            )  # fmt: skip
        elif locked.path != _relative(rule, folder):
            yield UsageError(
                f"the rule was moved from {locked.path}", where=rule.path, remedy=_REMEDY
            )
    for rule_id, locked in lock.items():
        if rule_id not in seen and not locked.gone:
            yield UsageError(
                "a locked rule is gone", where=locked.path, got=rule_id, remedy=_REMEDY
            )


def write_lock(folder: Path) -> list[str]:
    """Give new and changed rules their versions. Returns a line for each change, none if all stood."""
    from pipeline.detect.rulebook.rules import load_rules

    book = load_rules([folder])
    if book.faults:
        raise UsageError(f"the rules cannot all be read: {book.faults[0]}", where=str(folder))
    lock = read_lock(folder) or {}
    made: dict[str, Locked] = {}
    told: list[str] = []
    for rule in (*book.rules, *book.correlations, *book.filters):
        old = lock.get(rule.id)
        text, path = content_hash(rule.text), _relative(rule, folder)
        same = old is not None and old.hash == text and not old.gone
        version = old.version + (not same) if old else 1
        made[rule.id] = Locked(version, text, path)
        if made[rule.id] != old:
            told.append(f"{path}: version {version}" + ("" if not same else ", moved"))
    for rule_id, old in lock.items():
        if rule_id not in made:
            made[rule_id] = msgspec.structs.replace(old, gone=True)
            if not old.gone:
                told.append(f"{old.path}: gone")
    if told:
        draft = folder / f".{NAME}.{os.getpid()}"
        draft.write_bytes(_rendered(made))
        draft.replace(folder / NAME)
    return told


def _rendered(lock: dict[str, Locked]) -> bytes:
    """One rule a line, in order of path: two people's changes meet in two lines."""
    ordered = sorted(lock.items(), key=lambda item: (item[1].path, item[0]))
    lines = (
        b"  " + msgspec.json.encode(rule_id) + b": " + msgspec.json.encode(locked)
        for rule_id, locked in ordered
    )
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


def _relative(rule: Rule, folder: Path) -> str:
    return Path(rule.path).relative_to(folder).as_posix()
