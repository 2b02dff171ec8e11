"""What the entity of a ticket is to its agency: an asset of the register, and how much hangs on it.

In: an agency and an entity as a log wrote it (``10.1.2.3``, ``KETOAN-01.stc.local``, ``STC\\lan``). Out: the most
critical asset that it fits, or None. An address fits ranges; a host fits its whole name or what stands before the
first dot, a user its name with or without the domain, case aside; ``*`` in a pattern is any text. An agency's assets are
read once per change: the cache goes by their hash.
"""

from __future__ import annotations

import ipaddress
import re
from collections import OrderedDict
from collections.abc import Iterable
from fnmatch import translate
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.state.tables.register import Agency, Asset
from pipeline.state.tables.tickets import Ticket

KINDS: Final = ("address", "host", "user")
_KEPT: Final = 256  # agencies whose assets are remembered
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Known(msgspec.Struct, frozen=True):
    """One asset. `criticality` from 1 to 5."""

    kind: str
    pattern: str
    name: str
    system: str
    criticality: int


class Book:
    """The assets of one agency, by what they fit."""

    def __init__(self, assets: Iterable[Known]) -> None:
        self._names: dict[str, Known] = {}
        self._forms: list[tuple[re.Pattern[str], Known]] = []
        self._ranges: list[tuple[_Network, Known]] = []
        for one in sorted(assets, key=lambda one: (-one.criticality, one.kind, one.pattern)):
            text = one.pattern.casefold()
            if one.kind == "address":
                self._ranges.append((ipaddress.ip_network(one.pattern), one))
            elif "*" in text:
                form = translate(text.replace("[", "[[]").replace("?", "[?]"))
                self._forms.append((re.compile(form), one))
            else:
                self._names.setdefault(text, one)

    def find(self, entity: str) -> Known | None:
        text = entity.strip().casefold()
        if not text:
            return None
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            pass
        else:
            return next((one for network, one in self._ranges if address in network), None)
        names = {text, text.partition(".")[0], text.rpartition("\\")[2]}
        found = [self._names[name] for name in names if name in self._names]
        found += [one for form, one in self._forms if any(form.fullmatch(name) for name in names)][:1]  # fmt: skip
        return max(found, key=lambda one: (one.criticality, one.pattern), default=None)


_BOOKS: OrderedDict[tuple[str, str], Book] = OrderedDict()
_NONE: Final = Book(())


def book_of(session: Session, agency: str) -> Book:
    row = session.get(Agency, agency)
    if row is None or not row.assets:
        return _NONE
    key = (agency, row.assets)
    book = _BOOKS.get(key)
    if book is None:
        found = session.scalars(sa.select(Asset).where(Asset.agency == agency))
        book = Book(Known(r.kind, r.pattern, r.name, r.system, r.criticality) for r in found)
        _BOOKS[key] = book
        while len(_BOOKS) > _KEPT:
            _BOOKS.popitem(last=False)
    return book


def place(session: Session, ticket: Ticket) -> None:
    """Write on the ticket which asset its entity is."""
    found = book_of(session, ticket.agency).find(ticket.entity) if ticket.entity else None
    ticket.asset = found.name if found else ""
    ticket.criticality = found.criticality if found else 0
