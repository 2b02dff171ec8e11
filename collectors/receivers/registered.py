"""The directory that the agency register's tables give, and what collectors write back to them.

In: the tables agency, source, source_address, source_key and source_certificate. Out: identities, from memory; the copy is
read again every few seconds, so that a revoked key or certificate, or a paused source, ends within `REFRESH_EVERY`. A
register that cannot be reached leaves the last copy in force: logs flow on, expiry is still kept.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, select

from collectors.files import fingerprint_of
from collectors.handed_over import handed_over
from collectors.receivers import keys
from collectors.receivers.counters import Knock
from collectors.receivers.directory import AddressBook, SourceIdentity, first_known
from pipeline.model.clock import from_micros, utc_now
from pipeline.model.errors import ServiceAwayError
from pipeline.state.state import State
from pipeline.state.tables import register

REFRESH_EVERY: Final = 2.0
KNOCKS_KEPT: Final = 10_000
_KNOCKS_AT_A_TIME: Final = 200
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Key:
    hash: bytes
    expires: datetime | None
    source: str


class RegisteredDirectory:
    """Sources that are published, of agencies that are valid today."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._keys: dict[str, _Key] = {}
        self._strong: dict[str, SourceIdentity] = {}
        self._book = AddressBook(())
        self._certificates: dict[str, SourceIdentity | None] = {}
        self._away = False
        self.refresh()

    def by_key(self, key_id: str, secret: str) -> SourceIdentity | None:
        key = self._keys.get(key_id)
        if not keys.matches(secret, key.hash if key else b"") or key is None:
            return None
        if key.expires is not None and key.expires <= utc_now():
            return None
        return self._strong.get(key.source)

    def by_address(self, listener: str, address: str) -> SourceIdentity | None:
        return self._book.find(listener, address)

    def by_source(self, source: str) -> SourceIdentity | None:
        return self._strong.get(source)

    def handed_over(self, source: str, head: bytes) -> tuple[str, int]:
        own = fingerprint_of(head)
        try:
            with self._state.read() as session:
                return handed_over(session, source, head, own)
        except ServiceAwayError:
            return own, 0  # it is read again, and known by its identity

    def by_certificate(self, names: Sequence[str]) -> SourceIdentity | None:
        return first_known(names, self._certificates)

    def refresh(self) -> None:
        try:
            self._read()
        except ServiceAwayError as error:
            if not self._away:
                _LOG.warning("the agency register is away; the last copy is in force: %s", error)
            self._away = True
        else:
            self._away = False

    def _read(self) -> None:
        now = utc_now()
        with self._state.read() as session:
            rows = session.execute(
                select(register.Source, register.Agency)
                .join(register.Agency, register.Source.agency == register.Agency.id)
                .where(register.Source.state == "published", register.Agency.valid_from <= now)
            ).all()
            sources = {
                source.id: SourceIdentity(
                    source.id,
                    source.agency,
                    source.product,
                    encoding=source.encoding,
                    assemble=str(source.options.get("assemble", "")),
                )
                for source, agency in rows
                if agency.valid_to is None or agency.valid_to > now
            }
            found = session.scalars(
                select(register.SourceKey).where(register.SourceKey.revoked.is_(None))
            ).all()
            addresses = session.scalars(select(register.SourceAddress)).all()
            book = AddressBook(
                (row.listener, row.network, _weak(sources[row.source]))
                for row in addresses
                if row.source in sources
            )
            secrets = {row.id: _Key(row.hash, row.expires, row.source) for row in found}
            certificates = {
                row.name: sources.get(row.source) if row.revoked is None else None
                for row in session.scalars(select(register.SourceCertificate))
            }
        self._strong, self._keys, self._book = sources, secrets, book
        self._certificates = certificates


def _weak(identity: SourceIdentity) -> SourceIdentity:
    return replace(identity, weak=True)


class RegisterReport:
    """Writes knocks and what was seen of each source; counters in the register only grow."""

    def __init__(self, state: State, node: str) -> None:
        self._state, self._node = state, node
        self._saved: dict[str, dict[str, int]] = {}

    def begin(self) -> None:
        """Whatever an earlier process left as open connections is gone with it."""
        with self._state.begin() as session:
            for row in session.scalars(
                select(register.SourceSeen).where(register.SourceSeen.node == self._node)
            ):
                if row.counters.get("connections"):
                    row.counters = {**row.counters, "connections": 0}

    def save(self, snapshot: Sequence[dict[str, Any]], knocks: Sequence[Knock]) -> None:
        """Raises ServiceAwayError; what was not saved is saved with the next call, save the knocks."""
        seen = _by_source(snapshot)
        fresh = {s: c for s, c in seen.items() if c != self._saved.get(s)}
        if not fresh and not knocks:
            return
        with self._state.begin() as session:
            for source, counters in fresh.items():
                row = session.scalars(
                    select(register.SourceSeen).where(
                        register.SourceSeen.source == source, register.SourceSeen.node == self._node
                    )
                ).one_or_none()
                if row is None:
                    row = register.SourceSeen(source=source, node=self._node, counters={})
                    session.add(row)
                row.counters = _grown(row.counters or {}, counters, self._saved.get(source, {}))
                if counters["last_received"]:
                    row.last_received = from_micros(counters["last_received"])
        self._saved.update(fresh)
        for place in range(0, len(knocks), _KNOCKS_AT_A_TIME):
            with self._state.begin() as session:
                for knock in knocks[place : place + _KNOCKS_AT_A_TIME]:
                    _save_knock(session, knock)
                _forget_knocks(session)


def _by_source(snapshot: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Counters of each source over all receivers, flat: ``dropped.spool_full`` and so on."""
    out: dict[str, dict[str, int]] = {}
    for entry in snapshot:
        if not entry["source"]:
            continue
        into = out.setdefault(entry["source"], {"last_received": 0})
        into["last_received"] = max(into["last_received"], entry["last_received"])
        for name in ("received", "bytes", "spooled", "acknowledged", "repeated", "connections"):
            into[name] = into.get(name, 0) + entry[name]
        if delivery := entry.get("delivery"):
            way = f"delivery.{delivery}"
            into[way] = into.get(way, 0) + entry["received"]
        for group in ("dropped", "notes"):
            for reason, count in entry[group].items():
                into[f"{group}.{reason}"] = into.get(f"{group}.{reason}", 0) + count
    return out


def _grown(row: dict[str, Any], new: dict[str, int], saved: dict[str, int]) -> dict[str, Any]:
    out = dict(row)
    for name, value in new.items():
        if name == "connections":
            out[name] = value
        elif name != "last_received":
            out[name] = out.get(name, 0) + value - saved.get(name, 0)
    return out


def _save_knock(session: Any, knock: Knock) -> None:
    row = session.scalars(
        select(register.Knock).where(
            register.Knock.listener == knock.receiver, register.Knock.address == knock.address
        )
    ).one_or_none()
    if row is None:
        row = register.Knock(
            listener=knock.receiver, address=knock.address, first=from_micros(knock.first), count=0,
            size=0, ignored=None,
        )  # fmt: skip
        session.add(row)
    row.last, row.known_by = from_micros(knock.last), knock.known_by
    row.count += knock.count
    row.size = max(row.size, knock.size)


def _forget_knocks(session: Any) -> None:
    """Addresses of UDP can be forged: whoever forges them by the million fills no state."""
    beyond = session.scalar(
        select(register.Knock.last)
        .order_by(register.Knock.last.desc())
        .offset(KNOCKS_KEPT)
        .limit(1)
    )
    if beyond is not None:
        session.execute(
            delete(register.Knock).where(
                register.Knock.last <= beyond, register.Knock.ignored.is_(None)
            )
        )
