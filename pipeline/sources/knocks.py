"""Senders that nobody knows: seen by operators, made a source of some agency, or ignored.

In: an actor, and what collectors wrote down of whom they refused (`knock`): by what such a sender would be known,
how often and when it came, how large what it sent was; nothing of what it said. Out: rows of the register. What a
sender sent before it was admitted is lost. Who is ignored is still refused and counted, and only shown when asked for.

What a knock becomes follows from what it is known by: a range at that listener (*address*), a client certificate
(*certificate*), a new key that somebody must give to the sender (*key*), or just the source that a file input of the
settings names (*settings*).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from pipeline.access import log
from pipeline.access.permissions import require
from pipeline.model.errors import ConflictError, NotFoundError, UsageError
from pipeline.model.scope import Actor
from pipeline.sources.register import add_source, get_source, network_of
from pipeline.sources.senders import add_certificate, new_source_key
from pipeline.state.state import State
from pipeline.state.tables.register import Knock, SourceAddress, SourceCertificate


@dataclass(frozen=True, slots=True)
class Admitted:
    """`known_by`: ``listener=network``, a certificate's name, or a key's id; `key` is shown once, where one was
    made."""

    source: str
    known_by: str
    key: str = ""


def list_knocks(state: State, actor: Actor, *, ignored: bool = False) -> list[Knock]:
    """The newest first; `ignored` ones only when asked for. They are no agency's yet."""
    require(actor, "operation.read", None)
    chosen = sa.select(Knock).order_by(Knock.last.desc(), Knock.id)
    if not ignored:
        chosen = chosen.where(Knock.ignored.is_(None))
    with state.read() as session:
        return list(session.scalars(chosen))


def get_knock(state: State, actor: Actor, knock: int) -> Knock:
    """NotFoundError where it was admitted meanwhile."""
    require(actor, "operation.read", None)
    with state.read() as session:
        row = session.get(Knock, knock)
    if row is None:
        raise NotFoundError("no such knock", got=str(knock), remedy="thapcanh source knocks")
    return row


def admit_knock(state: State, actor: Actor, knock: int, source: str, *, now: datetime) -> Admitted:
    """From now on the unknown sender is that source's, which is registered already."""
    require(actor, "knock.settle", None)
    owner = get_source(state, actor, source, "source.write")
    row = get_knock(state, actor, knock)
    admitted = _known(state, actor, row, owner.id, now)
    _settled(state, actor, row, admitted, now)
    return admitted


def admit_as_new(
    state: State,
    actor: Actor,
    knock: int,
    *,
    source: str,
    agency: str,
    product: str,
    known_products: Collection[str],
    name: str = "",
    now: datetime,
) -> Admitted:
    """Register a source for the unknown sender. Nothing is registered where it cannot be known by what it showed."""
    require(actor, "knock.settle", None)
    require(actor, "source.write", agency)
    row = get_knock(state, actor, knock)
    if row.known_by == "settings" and source != row.address:
        raise UsageError(
            "the settings name the source of this input", got=source, expected=row.address,
            where=f"collect.files {row.listener}",
        )  # fmt: skip
    if row.known_by == "address" and (held := _holder(state, row)):
        raise ConflictError("the address is another source's", where=row.address, got=held)
    if row.known_by == "certificate" and (held := _certified(state, row)):
        raise ConflictError("the certificate is another source's", where=row.address, got=held)
    pairs = [(row.listener, row.address)] if row.known_by == "address" else []
    made = add_source(
        state, actor, source=source, agency=agency, product=product, known_products=known_products,
        name=name, addresses=pairs, with_key=row.known_by == "key", now=now,
    )  # fmt: skip
    known_by = f"{row.listener}={network_of(row.address)}" if pairs else made.key.partition(":")[0]
    if row.known_by == "certificate":
        known_by = add_certificate(state, actor, source, row.address, now=now)
    admitted = Admitted(source, known_by or row.address, made.key)
    _settled(state, actor, row, admitted, now)
    return admitted


def ignore_knock(
    state: State, actor: Actor, knock: int, *, ignore: bool = True, now: datetime
) -> None:
    """Leave the sender refused and out of sight; with ``ignore=False``, show it again."""
    require(actor, "knock.settle", None)
    with state.begin() as session:
        row = session.get(Knock, knock, with_for_update=True)
        if row is None:
            raise NotFoundError("no such knock", got=str(knock), remedy="thapcanh source knocks")
        row.ignored = (row.ignored or now) if ignore else None
        what = "knock_ignored" if ignore else "knock_shown"
        log.record(session, actor.name, what, f"{row.listener}: {row.address}", now=now)


def _known(state: State, actor: Actor, knock: Knock, source: str, now: datetime) -> Admitted:
    match knock.known_by:
        case "certificate":
            return Admitted(source, add_certificate(state, actor, source, knock.address, now=now))
        case "key":
            key = new_source_key(state, actor, source, now=now)
            return Admitted(source, key.partition(":")[0], key)
        case "settings":
            if source != knock.address:
                raise UsageError(
                    "the settings name the source of this input", got=source, expected=knock.address,
                    where=f"collect.files {knock.listener}", remedy="publish that source",
                )  # fmt: skip
            return Admitted(source, source)
    network = network_of(knock.address)
    known_by = f"{knock.listener}={network}"
    with state.begin() as session:
        held = session.scalar(_at(knock))
        if held is not None and held.source != source:
            raise ConflictError("the address is another source's", where=known_by, got=held.source)
        if held is None:
            session.add(SourceAddress(source=source, listener=knock.listener, network=network))
    return Admitted(source, known_by)


def _at(knock: Knock) -> sa.Select[SourceAddress]:
    return sa.select(SourceAddress).where(
        SourceAddress.listener == knock.listener,
        SourceAddress.network == network_of(knock.address),
    )


def _holder(state: State, knock: Knock) -> str:
    with state.read() as session:
        held = session.scalar(_at(knock))
        return held.source if held else ""


def _certified(state: State, knock: Knock) -> str:
    with state.read() as session:
        held = session.get(SourceCertificate, knock.address)
        return held.source if held and held.revoked is None else ""


def _settled(state: State, actor: Actor, knock: Knock, made: Admitted, now: datetime) -> None:
    with state.begin() as session:
        session.execute(sa.delete(Knock).where(Knock.id == knock.id))
        detail = f"{made.source}: {made.known_by}"
        log.record(session, actor.name, "knock_admitted", detail, now=now)
