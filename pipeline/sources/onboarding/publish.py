"""From what was chosen to a source that may send: one transaction makes it, its key, its line in the log.

In: an actor, what was chosen, this installation's doors. Out: the new source and its key, which is shown now and never
again. Where a door knows senders by address only, the range must be no other agency's, and an officer's no wider than a
small network: whoever claims an address gets what comes from there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access import log
from pipeline.access.permissions import require, scope_for
from pipeline.model.errors import ConflictError, NotFoundError, StaleError, UsageError
from pipeline.model.scope import Actor
from pipeline.sources.onboarding.doors import ADDRESS, CERTIFICATE, KEY, Door, door_of
from pipeline.sources.onboarding.drafts import Chosen
from pipeline.sources.onboarding.snippets import senders
from pipeline.sources.register import SourcePlan, network_of, put_source, refuse_unframed
from pipeline.sources.senders import put_certificate
from pipeline.state.state import State
from pipeline.state.tables.register import Source, SourceAddress, SourceDraft

if TYPE_CHECKING:
    from pipeline.normalise.product import Product

WIDEST: Final = {4: 24, 6: 64}
"""The shortest prefix that an officer may claim, by version of the address."""


class Published(msgspec.Struct, frozen=True):
    """`key` is id:secret, empty where the door knows senders otherwise."""

    source: str
    key: str


def publish(
    state: State, actor: Actor, agency: str, chosen: Chosen, doors: Sequence[Door],
    products: Mapping[str, Product], *, now: datetime,
) -> Published:  # fmt: skip
    """Without a draft: what a command says in one go."""
    require(actor, "source.write", agency)
    plan, door = _plan(agency, chosen, doors, products, actor)
    with state.begin() as session:
        return _make(session, actor, plan, door, chosen, products, now)


def publish_draft(
    state: State, actor: Actor, draft: str, revision: int, doors: Sequence[Door],
    products: Mapping[str, Product], *, chosen: Chosen | None = None, now: datetime,
) -> Published:  # fmt: skip
    """The draft becomes a source; the draft and its samples are gone with the same transaction. `chosen`: with what
    goes without saying filled in; else as the draft stands."""
    scope = scope_for(actor, "source.write")
    with state.begin() as session:
        row = session.get(SourceDraft, draft, with_for_update=True)
        if row is None or not scope.allows(row.agency):
            raise NotFoundError("nothing such")
        if row.revision != revision:
            raise StaleError("somebody has changed this draft meanwhile", remedy="look at it again")
        wanted = chosen or msgspec.convert(dict(row.chosen), Chosen)
        plan, door = _plan(row.agency, wanted, doors, products, actor)
        made = _make(session, actor, plan, door, wanted, products, now)
        session.delete(row)
    return made


def check(
    agency: str,
    chosen: Chosen,
    doors: Sequence[Door],
    products: Mapping[str, Product],
    actor: Actor,
) -> None:
    """Raises UsageError for what could not be published: to be told before the button is pressed."""
    _plan(agency, chosen, doors, products, actor)


def _plan(
    agency: str,
    chosen: Chosen,
    doors: Sequence[Door],
    products: Mapping[str, Product],
    actor: Actor,
) -> tuple[SourcePlan, Door]:
    sender = senders().get(chosen.sender)
    if sender is None:
        raise UsageError("no such sender", got=chosen.sender or "-", expected=", ".join(senders()))
    door = door_of(doors, chosen.door)
    if door.kind not in sender.ways:
        raise UsageError(
            "the sender cannot speak to this listener", got=f"{sender.name}, {door.name}",
            expected=", ".join(one.name for one in doors if one.kind in sender.ways) or "none is set up",
        )  # fmt: skip
    addresses: tuple[tuple[str, str], ...] = ()
    if door.known_by == ADDRESS:
        addresses = ((door.name, _claimed(chosen.address, actor)),)
    if door.known_by == CERTIFICATE and not chosen.address:
        raise UsageError("the sender's certificate is missing", expected="sha256:… or san:…")
    plan = SourcePlan(
        source=chosen.source, agency=agency, product=chosen.product, name=chosen.name,
        timezone=chosen.timezone, encoding=chosen.encoding, layout=chosen.layout, addresses=addresses,
        with_key=door.known_by == KEY,
    )  # fmt: skip
    refuse_unframed(plan.encoding, (door.kind,))
    plan.check(products)
    return plan, door


def _claimed(address: str, actor: Actor) -> str:
    if not address:
        raise UsageError("the sender's address is missing", expected="10.1.2.3")
    network = ipaddress.ip_network(network_of(address))
    least = WIDEST[network.version] if actor.scope.agencies is not None else 1
    if network.prefixlen < least:
        raise UsageError("the address range is too wide", got=str(network), expected=f"/{least}")
    return str(network)


def _make(
    session: Session, actor: Actor, plan: SourcePlan, door: Door, chosen: Chosen,
    products: Mapping[str, Product], now: datetime,
) -> Published:  # fmt: skip
    for listener, network in plan.addresses:
        _refuse_overlap(session, plan.agency, listener, network)
    made = put_source(session, actor, plan, now=now)
    if door.known_by == CERTIFICATE:
        put_certificate(session, actor, plan.source, chosen.address, now=now)
    said = f"{plan.source}: {plan.product} {products[plan.product].revision[:12]} by {chosen.sender} to {door.name}"
    log.record(session, actor.name, "source_published", said, now=now)
    return Published(made.source, made.key)


def _refuse_overlap(session: Session, agency: str, listener: str, network: str) -> None:
    """No range may hold, or lie in, one of another agency; whose it is, is not told."""
    wanted = ipaddress.ip_network(network)
    held = session.execute(
        sa.select(SourceAddress.network)
        .join(Source, Source.id == SourceAddress.source)
        .where(SourceAddress.listener == listener, Source.agency != agency)
    )
    for (other,) in held:
        known = ipaddress.ip_network(other)
        if known.version == wanted.version and wanted.overlaps(known):
            raise ConflictError("the address is another source's", got=f"{listener}={network}")
