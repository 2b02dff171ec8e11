"""Watch-lists: addresses, hashes, domains and words that analysts keep, for rules to ask by `%name%`.

In: values as people paste them. Out: rows of `watch_list` and `watch_value`, a `watch_change` for each
change, and `placeholders(state)` for the parser. A rule that asks a list names it:

    detection:
        selection: {dst_ip|expand: '%known_c2%'}

A list that does not exist, or is empty, leaves the rule "cannot fire here". A change moves the
register's version, so that workers compile anew; the values that filled a rule are part of its revision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import require
from pipeline.detect.register.rules import COUNTER
from pipeline.model.errors import (
    ConflictError,
    FaultsError,
    NotFoundError,
    ThapCanhError,
    UsageError,
)
from pipeline.model.ids import new_id
from pipeline.model.scope import Actor
from pipeline.state.state import State, next_number
from pipeline.state.tables.rules import RuleRevision, RuleRow, WatchChange, WatchList, WatchValue

KINDS: Final = ("address", "hash", "domain", "text")
MAX_VALUES: Final = 50_000
MAX_LENGTH: Final = 512
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HASH: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}")
_DOMAIN: Final = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}"
)


class ListLine(msgspec.Struct, frozen=True):
    """A list as an overview shows it."""

    name: str
    kind: str
    note: str
    values: int
    changed: datetime


class ListValue(msgspec.Struct, frozen=True):
    value: str
    note: str
    by: str
    added: datetime


class ListChange(msgspec.Struct, frozen=True):
    """Which values came and went, by whom and why."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    note: str
    by: str
    at: datetime


def change_list(
    state: State,
    actor: Actor,
    name: str,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    kind: str = "",
    replace: bool = False,
    note: str = "",
    now: datetime,
) -> tuple[int, int]:
    """Add and take away values; the list is made where there is none (then `kind` is needed).

    `replace` makes `add` the whole list. Returns how many came and how many went. Values that are not
    of the list's kind are refused together, and nothing is changed.
    """
    require(actor, "watchlist.write", None)
    with state.read() as session:
        known = session.get(WatchList, name)
        form = kind or (known.kind if known else "")
    added, removed = _canonical(add, form), _canonical(remove, form)
    with state.begin() as session:
        row = _row(session, name, kind, note, now)
        if row.kind != form:
            raise ConflictError("the watch-list was made anew meanwhile", where=name)
        held = set(session.scalars(sa.select(WatchValue.value).where(WatchValue.of == name)))
        going = (held - added) if replace else (held & removed) - added
        coming = added - held
        if len(held) + len(coming) - len(going) > MAX_VALUES:
            raise UsageError("the watch-list is too long", where=name, expected=f"{MAX_VALUES:,}")
        if not coming and not going:
            return 0, 0
        row.changed = now
        session.flush()
        gone = sorted(going)
        for start in range(0, len(gone), 500):
            part = WatchValue.value.in_(gone[start : start + 500])
            session.execute(sa.delete(WatchValue).where(WatchValue.of == name, part))
        if coming:
            rows = [
                {"of": name, "value": value, "note": note, "by": actor.name, "added": now}
                for value in sorted(coming)
            ]
            session.execute(sa.insert(WatchValue), rows)
        session.add(_change(name, sorted(coming), sorted(going), note, actor, now))
        next_number(session, COUNTER)
    return len(coming), len(going)


def drop_list(state: State, actor: Actor, name: str, *, note: str = "", now: datetime) -> None:
    """Take a list away with its values; its history stays. Rules that ask it cannot fire any more."""
    require(actor, "watchlist.write", None)
    with state.begin() as session:
        row = _living(session, name)
        values = session.scalars(sa.select(WatchValue.value).where(WatchValue.of == name)).all()
        session.execute(sa.delete(WatchValue).where(WatchValue.of == name))
        row.dropped = row.changed = now
        session.add(_change(name, [], sorted(values), note or "the list was dropped", actor, now))
        next_number(session, COUNTER)


def list_lists(state: State, actor: Actor) -> list[ListLine]:
    """Every list, by name."""
    require(actor, "watchlist.read", None)
    count = sa.func.count(WatchValue.value)
    query = (
        sa.select(WatchList, count)
        .outerjoin(WatchValue, WatchValue.of == WatchList.name)
        .where(WatchList.dropped.is_(None))
        .group_by(WatchList.name)
        .order_by(WatchList.name)
    )
    with state.read() as session:
        return [
            ListLine(row.name, row.kind, row.note, values, row.changed)
            for row, values in session.execute(query)
        ]


def list_values(state: State, actor: Actor, name: str) -> list[ListValue]:
    """The values of a list, in order of value."""
    require(actor, "watchlist.read", None)
    query = sa.select(WatchValue).where(WatchValue.of == name).order_by(WatchValue.value)
    with state.read() as session:
        _living(session, name)
        return [ListValue(v.value, v.note, v.by, v.added) for v in session.scalars(query)]


def list_changes(state: State, actor: Actor, name: str, *, limit: int = 20) -> list[ListChange]:
    """The newest changes of a list, a dropped one's too."""
    require(actor, "watchlist.read", None)
    query = (
        sa.select(WatchChange)
        .where(WatchChange.of == name)
        .order_by(WatchChange.id.desc())
        .limit(limit)
    )
    with state.read() as session:
        return [
            ListChange(tuple(c.added), tuple(c.removed), c.note, c.by, c.at)
            for c in session.scalars(query)
        ]


def rules_asking(state: State, actor: Actor, name: str) -> list[tuple[str, str]]:
    """Id and title of the living rules whose text names the list."""
    require(actor, "watchlist.read", None)
    query = (
        sa.select(RuleRow.id, RuleRevision.title)
        .join(RuleRevision, RuleRevision.revision == RuleRow.revision)
        .where(RuleRow.retired.is_(None), RuleRevision.text.contains(f"%{name}%", autoescape=True))
        .order_by(RuleRevision.title)
    )
    with state.read() as session:
        return [(row.id, row.title) for row in session.execute(query)]


def placeholders(state: State) -> dict[str, tuple[str, ...]]:
    """What fills `%name%` in rules: every list that has values."""
    query = sa.select(WatchValue.of, WatchValue.value).order_by(WatchValue.of, WatchValue.value)
    found: dict[str, list[str]] = {}
    with state.read() as session:
        for name, value in session.execute(query):
            found.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def read_values(text: str) -> list[str]:
    """The values of a pasted text or file: one a line, blank lines and `# remarks` left out."""
    lines = (re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def canonical(value: str, kind: str) -> str:
    """The value in the form in which events hold it. Raises `UsageError` where it is none of the kind."""
    text = value.strip()
    if kind == "address":
        return _address(text)
    if kind == "hash":
        if _HASH.fullmatch(text.lower()):
            return text.lower()
        raise _odd(value, "MD5, SHA-1, SHA-256, SHA-384 or SHA-512 in hexadecimal")
    if kind == "domain":
        return _domain(text)
    if not text or len(text) > MAX_LENGTH:
        raise _odd(value, f"1 to {MAX_LENGTH} characters")
    return text


def _address(text: str) -> str:
    """`[.]` is how people write addresses that nobody should click."""
    plain = text.replace("[.]", ".").replace("[:]", ":")
    try:
        if "/" in plain:
            return str(ip_network(plain))
        address = ip_address(plain)
        return str(getattr(address, "ipv4_mapped", None) or address)
    except ValueError as error:
        raise _odd(text, f"an address or a network ({error})") from None


def _domain(text: str) -> str:
    plain = text.replace("[.]", ".").rstrip(".").lower()
    try:
        plain = plain if plain.isascii() else plain.encode("idna").decode()
    except UnicodeError:
        raise _odd(text, "a domain name") from None
    if not _DOMAIN.fullmatch(plain):
        raise _odd(text, "a domain name, without a scheme or a path")
    return plain


def _odd(value: str, expected: str) -> UsageError:
    return UsageError("not a value of this list", got=value[:100], expected=expected)


def _canonical(values: Iterable[str], kind: str) -> set[str]:
    faults: list[ThapCanhError] = []

    def each() -> Iterator[str]:
        for value in values:
            try:
                yield canonical(value, kind)
            except ThapCanhError as error:
                faults.append(error)

    found = set(each())
    if faults:
        raise FaultsError("values of the watch-list are refused", faults[:50])
    return found


def _row(session: Session, name: str, kind: str, note: str, now: datetime) -> WatchList:
    if not _NAME.fullmatch(name):
        raise UsageError("the name of a watch-list", got=name, expected="a-z, 0-9 and _, up to 64")
    row = session.get(WatchList, name, with_for_update=True)
    if kind and kind not in KINDS:
        raise UsageError("the kind of a watch-list", got=kind, expected=" | ".join(KINDS))
    if row is None:
        if not kind:
            raise NotFoundError("no such watch-list", got=name, remedy="give its kind to make it")
        row = WatchList(name=name, kind=kind, note=note, changed=now, dropped=None)
        session.add(row)
    elif row.dropped is not None:
        row.dropped, row.kind, row.note = None, kind or row.kind, note
    elif kind and kind != row.kind:
        raise UsageError(
            "the watch-list is of another kind", where=name, got=kind, expected=row.kind
        )
    return row


def _living(session: Session, name: str) -> WatchList:
    row = session.get(WatchList, name)
    if row is None or row.dropped is not None:
        raise NotFoundError("no such watch-list", got=name)
    return row


def _change(
    name: str, added: list[str], removed: list[str], note: str, actor: Actor, now: datetime
) -> WatchChange:
    return WatchChange(
        id=new_id(), of=name, added=added, removed=removed, note=note, by=actor.name, at=now
    )
