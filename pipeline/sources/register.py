"""The register's use cases: agencies, sources, keys, address ranges. Each takes an actor.

A key's secret is returned once, as ``id:secret``, the form that shippers are given; only its hash is kept.
"""

from __future__ import annotations

import codecs
import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import available_timezones

import sqlalchemy as sa
from sqlalchemy.orm import Session

from collectors.formats.text import known as known_encoding
from collectors.receivers import starts
from collectors.receivers.keys import new_key
from pipeline.access import log
from pipeline.access.permissions import require, scope_for
from pipeline.model.errors import ConflictError, NotFoundError, UsageError
from pipeline.model.scope import Actor
from pipeline.normalise.layout import laid_out
from pipeline.state.state import State
from pipeline.state.tables.register import (
    Agency,
    Source,
    SourceAddress,
    SourceKey,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
KEY_LIFE = timedelta(days=730)
STATES = ("draft", "published", "paused", "retired")
"""Of a source: only what is published is received."""


_OPTIONS: Final = frozenset({"assemble", "layout"})
_WIDE: Final = ("utf-16", "utf-32")


@dataclass(frozen=True, slots=True)
class NewSource:
    """`key` is shown once; empty where only an address range was asked for."""

    source: str
    key: str


def add_agency(
    state: State,
    actor: Actor,
    *,
    agency: str,
    name_vi: str,
    name_en: str,
    kind: str = "",
    level: int = 0,
    drill: bool = False,
    now: datetime,
) -> None:
    """Register an agency. ConflictError if its id is taken."""
    require(actor, "agency.write", None)
    _check_name(agency, "the agency's id")
    if not 0 <= level <= 5:
        raise UsageError("a system level is 1 to 5, or 0 where none is recorded", got=str(level))
    with state.begin() as session:
        if session.get(Agency, agency) is not None:
            raise ConflictError("there is such an agency already", got=agency)
        session.add(
            Agency(
                id=agency,
                name_vi=name_vi,
                name_en=name_en or name_vi,
                kind=kind,
                level=level,
                drill=drill,
                valid_from=now,
            )
        )


def list_agencies(state: State, actor: Actor) -> list[Agency]:
    """Those in the actor's scope, by id."""
    scope = scope_for(actor, "agency.read")
    chosen = sa.select(Agency).order_by(Agency.id)
    if scope.agencies is not None:
        chosen = chosen.where(Agency.id.in_(scope.agencies))
    with state.read() as session:
        return list(session.scalars(chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """A source that is to be: what `add_source` takes."""

    source: str
    agency: str
    product: str
    name: str = ""
    timezone: str = ""
    encoding: str = ""
    addresses: tuple[tuple[str, str], ...] = ()
    assemble: str = ""
    layout: str = ""
    with_key: bool = True

    def check(self, known_products: Collection[str]) -> None:
        """Raises UsageError for what no source can be."""
        _check_name(self.source, "the source's id")
        _check_product(self.product, known_products)
        _check_reading(self.timezone, self.encoding)
        starts.check(self.assemble)
        _check_layout(self.product, self.layout, known_products)


def add_source(
    state: State,
    actor: Actor,
    *,
    source: str,
    agency: str,
    product: str,
    known_products: Collection[str],
    name: str = "",
    timezone: str = "",
    encoding: str = "",
    addresses: Collection[tuple[str, str]] = (),
    assemble: str = "",
    layout: str = "",
    with_key: bool = True,
    now: datetime,
) -> NewSource:
    """Register a source with a key, address ranges `(listener, network)`, or both."""
    plan = SourcePlan(
        source=source, agency=agency, product=product, name=name, timezone=timezone, encoding=encoding,
        addresses=tuple(addresses), assemble=assemble, layout=layout, with_key=with_key,
    )  # fmt: skip
    require(actor, "source.write", agency)
    plan.check(known_products)
    with state.begin() as session:
        return put_source(session, actor, plan, now=now)


def put_source(session: Session, actor: Actor, plan: SourcePlan, *, now: datetime) -> NewSource:
    """The rows of a checked plan, within the caller's transaction. ConflictError where its id or an address range is
    another source's already."""
    networks = [(listener, network_of(network)) for listener, network in plan.addresses]
    if session.get(Agency, plan.agency) is None:
        raise NotFoundError("no such agency", got=plan.agency, remedy="thapcanh agency list")
    if session.get(Source, plan.source) is not None:
        raise ConflictError("there is such a source already", got=plan.source)
    for listener, network in networks:
        same = sa.select(SourceAddress.id).where(
            SourceAddress.listener == listener, SourceAddress.network == network
        )
        if session.scalar(same) is not None:
            raise ConflictError("the address is another source's", got=f"{listener}={network}")
    given = {"assemble": plan.assemble, "layout": plan.layout}
    options = {name: value for name, value in given.items() if value}
    session.add(
        Source(
            id=plan.source, agency=plan.agency, product=plan.product, name=plan.name or plan.source,
            timezone=plan.timezone, encoding=plan.encoding, created=now, options=options,
        )
    )  # fmt: skip
    session.flush()
    session.add_all(
        SourceAddress(source=plan.source, listener=listener, network=network)
        for listener, network in networks
    )
    key = ""
    if plan.with_key:
        key_id, secret, kept = new_key()
        expires = now + KEY_LIFE
        session.add(
            SourceKey(id=key_id, source=plan.source, hash=kept, created=now, expires=expires)
        )
        key = f"{key_id}:{secret}"
    known_by = [f"{listener}={network}" for listener, network in networks]
    said = f"{plan.source}: {plan.product} of {plan.agency}; {', '.join([*known_by, *['a key'] * bool(key)]) or '-'}"
    log.record(session, actor.name, "source_added", said, now=now)
    return NewSource(plan.source, key)


def set_source(
    state: State,
    actor: Actor,
    source: str,
    *,
    known_products: Collection[str],
    product: str | None = None,
    timezone: str | None = None,
    encoding: str | None = None,
    name: str | None = None,
    standing: str | None = None,
    assemble: str | None = None,
    layout: str | None = None,
    now: datetime,
) -> dict[str, tuple[str, str]]:
    """Change what is given (`standing` is the source's `state`); what changed: field → (old, new).

    It holds for what is settled from now on; what could not be read before comes again by a replay.
    """
    wanted = {
        "product": product, "timezone": timezone, "encoding": encoding, "name": name, "state": standing,
        "assemble": assemble, "layout": layout,
    }  # fmt: skip
    if all(value is None for value in wanted.values()):
        raise UsageError("nothing to change was given", expected=", ".join(wanted))
    if product is not None:
        _check_product(product, known_products)
    _check_reading(timezone or "", encoding or "")
    starts.check(assemble or "")
    if standing is not None and standing not in STATES:
        raise UsageError("no such state", got=standing, expected=", ".join(STATES))
    if name is not None and not name.strip():
        raise UsageError("a source has a name", got=repr(name))
    with state.begin() as session:
        row = session.get(Source, source, with_for_update=True)
        if row is None:
            raise NotFoundError("no such source", got=source, remedy="thapcanh source list")
        require(actor, "source.write", row.agency)
        _check_layout(
            product or row.product, _of(row, "layout") if layout is None else layout, known_products
        )
        changed = {
            field: (_of(row, field), value)
            for field, value in wanted.items()
            if value is not None and value != _of(row, field)
        }
        for field, (_, value) in changed.items():
            if field in _OPTIONS:
                row.options = {**row.options, field: value}
            else:
                setattr(row, field, value)
        if changed:
            row.revision += 1
            said = "; ".join(
                f"{f} {old or '-'} → {new or '-'}" for f, (old, new) in changed.items()
            )
            log.record(session, actor.name, "source_changed", f"{source}: {said}", now=now)
    return changed


def _of(row: Source, field: str) -> str:
    return str(row.options.get(field, "") if field in _OPTIONS else getattr(row, field))


def list_sources(state: State, actor: Actor) -> list[Source]:
    """Those of the agencies in the actor's scope, by id."""
    scope = scope_for(actor, "source.read")
    chosen = sa.select(Source).order_by(Source.id)
    if scope.agencies is not None:
        chosen = chosen.where(Source.agency.in_(scope.agencies))
    with state.read() as session:
        return list(session.scalars(chosen))


def get_source(state: State, actor: Actor, source: str, permission: str = "source.read") -> Source:
    """One source within the actor's scope; NotFoundError otherwise."""
    with state.read() as session:
        row = session.get(Source, source)
    if row is None:
        raise NotFoundError("no such source", got=source, remedy="thapcanh source list")
    require(actor, permission, row.agency)
    return row


def get_agency(state: State, actor: Actor, agency: str) -> Agency:
    """One agency within the actor's scope; NotFoundError otherwise."""
    with state.read() as session:
        row = session.get(Agency, agency)
    if row is None or not scope_for(actor, "agency.read").allows(agency):
        raise NotFoundError("no such agency", got=agency, remedy="thapcanh agency list")
    return row


def network_of(text: str) -> str:
    """An address or range as it is kept."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise UsageError("this is no address range", got=text, expected="10.1.2.0/24") from error


def refuse_unframed(encoding: str, kinds: Collection[str]) -> None:
    """Syslog over TCP is cut at the byte of a newline, which stands within characters of UTF-16 and UTF-32 too: such a
    source needs a listener that keeps records apart by itself."""
    if encoding.lower().replace("_", "-").startswith(_WIDE) and "syslog_tcp" in kinds:
        raise UsageError(
            "text in UTF-16 or UTF-32 cannot be cut into lines over syslog TCP", got=encoding,
            remedy="let the sender write UTF-8, or send by HTTP or RELP, or let the file be followed",
        )  # fmt: skip


def _check_product(product: str, known: Collection[str]) -> None:
    if product not in known:
        near = _nearest(product, known)
        raise UsageError(
            "no such product", got=product,
            remedy=f"did you mean {near}?" if near else f"known are {', '.join(sorted(known))}",
        )  # fmt: skip


def _check_layout(product: str, layout: str, known: Collection[str]) -> None:
    """A layout of the source's own is tried before it is kept; `known` then are the products themselves."""
    if not layout:
        return
    made = known.get(product) if isinstance(known, Mapping) else None
    if made is not None:
        laid_out(made, layout)


def _check_reading(timezone: str, encoding: str) -> None:
    """A zone or an encoding that nobody knows would spoil every event of the source."""
    if timezone and timezone not in available_timezones():
        near = _nearest(timezone, available_timezones())
        raise UsageError(
            "no such time zone", got=timezone, expected="an IANA name, Asia/Ho_Chi_Minh say",
            remedy=f"did you mean {near}?" if near else "",
        )  # fmt: skip
    if encoding and not known_encoding(encoding):
        raise UsageError(
            "no such encoding", got=encoding,
            expected="utf-8, utf-16-le, utf-16-be, cp1258, tcvn3, viscii, vni …",
        )  # fmt: skip
    if encoding and codecs.lookup(encoding).name in {"utf-16", "utf-32"}:
        raise UsageError(
            "the order of bytes is not declared", got=encoding,
            expected=f"{encoding}-le (as Windows writes) or {encoding}-be",
        )  # fmt: skip


def _check_name(text: str, what: str) -> None:
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{what} is small letters, digits, dots and dashes", got=text, expected="q1-fortigate"
        )


def _nearest(text: str, known: Collection[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(text, list(known), n=1)), "")
