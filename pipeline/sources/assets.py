"""The register of what agencies own: a CSV file in, a preview of what it changes, and the change.

    agency,kind,pattern,name,system,criticality
    so-tai-chinh,address,10.20.0.0/24,Máy chủ kế toán,Kế toán tập trung,5
    so-tai-chinh,host,KETOAN-*,Máy trạm kế toán,Kế toán tập trung,3
    so-tai-chinh,user,quantri,Quản trị hệ thống,,4

In: text with a header (comma, semicolon or tab; `agency` may be left out where one is named). Out: a `Plan`; carried
out whole or not at all. All faults of a file are told together, each with its line. Assets are known by agency, kind
and pattern: the file adds and changes; with `replace` what it does not name goes, of the agencies that it names.
"""

from __future__ import annotations

import csv
import io
import ipaddress
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access import log
from pipeline.access.permissions import require, scope_for
from pipeline.model.errors import FaultsError, NotFoundError, ThapCanhError, UsageError
from pipeline.model.ids import content_hash
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.register import Agency, Asset
from pipeline.tickets.assets import KINDS, Known

COLUMNS: Final = ("agency", "kind", "pattern", "name", "system", "criticality")
MOST: Final = 5_000  # of one agency
_FAULTS: Final = 50
_LONGEST: Final = 255
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file does, each asset as ``agency kind pattern``. `unchanged` counts."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int


def import_assets(
    state: State, actor: Actor, text: str, *, agency: str = "", replace: bool = False,
    dry_run: bool = False, now: datetime,
) -> Plan:  # fmt: skip
    """Carry the file out (with `dry_run`, only say what it would do). FaultsError for what cannot be read."""
    require(actor, "asset.write", agency or None)
    wanted = read_csv(text, agency=agency)
    agencies = sorted({key[0] for key in wanted})
    with state.begin() as session:
        _may_all(session, actor, agencies)
        there = {
            (row.agency, row.kind, row.pattern): row
            for row in session.scalars(sa.select(Asset).where(Asset.agency.in_(agencies)))
        }
        plan = _plan(wanted, {key: _known(row) for key, row in there.items()}, replace=replace)
        gone = {key for key in there if key not in wanted} if replace else set()
        counts = {one: sum(key[0] == one for key in (wanted.keys() | there.keys()) - gone) for one in agencies}  # fmt: skip
        for one, count in counts.items():
            if count > MOST:
                raise UsageError("too many assets", where=one, got=str(count), expected=f"up to {MOST}")  # fmt: skip
        if dry_run:
            return plan
        for key in gone:
            session.delete(there[key])
        for key, asset in wanted.items():
            row = there.get(key)
            if row is None:
                row = Asset(agency=key[0], kind=asset.kind, pattern=asset.pattern)
                session.add(row)
            row.name, row.system, row.criticality = asset.name, asset.system, asset.criticality
        session.flush()
        for one in agencies:
            session.get_one(Agency, one).assets = _hash(session, one)
        if plan.added or plan.changed or plan.removed:
            brief = (
                f"{len(plan.added)} added, {len(plan.changed)} changed, {len(plan.removed)} removed"
            )
            said = f"{brief}: {', '.join(agencies)}"
            log.record(session, actor.name, "assets_imported", said[:2_000], now=now)
    return plan


def list_assets(state: State, actor: Actor, agency: str) -> list[Known]:
    """Those of one agency, the most critical first."""
    if not scope_for(actor, "asset.read").allows(agency):
        raise NotFoundError("no such agency", got=agency, remedy="thapcanh agency list")
    with state.read() as session:
        if session.get(Agency, agency) is None:
            raise NotFoundError("no such agency", got=agency, remedy="thapcanh agency list")
        query = sa.select(Asset).where(Asset.agency == agency)
        rows = session.scalars(query.order_by(Asset.criticality.desc(), Asset.kind, Asset.pattern))
        return [_known(row) for row in rows]


def read_csv(text: str, *, agency: str = "") -> dict[Key, Known]:
    """The file's assets by agency, kind and pattern. FaultsError names every line that is wrong."""
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows = csv.DictReader(
        io.StringIO(text), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    found: dict[Key, Known] = {}
    faults: list[ThapCanhError] = []
    try:
        names = [(name or "").strip().lower() for name in rows.fieldnames or ()]
        rows.fieldnames = names
        _check_header(names, agency)
        for row in rows:
            where = f"line {rows.line_num}"
            try:
                key, asset = _asset(row, agency)
                if key in found:
                    raise UsageError("the asset stands twice", got=" ".join(key))  # noqa: TRY301
                found[key] = asset
            except UsageError as error:
                faults.append(UsageError(error.what, where=where, got=error.got, expected=error.expected))  # fmt: skip
            if len(faults) >= _FAULTS:
                break
    except csv.Error as error:
        faults.append(UsageError("this is not CSV", where=f"line {rows.line_num}", got=str(error)))
    if faults:
        raise FaultsError("the assets cannot be read", faults)
    return found


def _check_header(names: Iterable[str], agency: str) -> None:
    known = set(names)
    missing = [
        name
        for name in COLUMNS
        if name not in known and name != "system" and not (name == "agency" and agency)
    ]
    if missing:
        raise UsageError(
            "the header lacks a column", got=", ".join(missing), expected=",".join(COLUMNS)
        )


def _asset(row: Mapping[str, str | None], agency: str) -> tuple[Key, Known]:
    if None in row or any(value is None for value in row.values()):
        raise UsageError("the line has not as many fields as the header")
    cells = {name: unicodedata.normalize("NFC", (row.get(name) or "").strip()) for name in COLUMNS}
    whose = cells["agency"] or agency
    if agency and whose != agency:
        raise UsageError("an asset of another agency", got=whose, expected=agency)
    if cells["kind"] not in KINDS:
        raise UsageError("no such kind of asset", got=cells["kind"], expected=", ".join(KINDS))
    if not cells["name"] or not (cells["name"] + cells["system"]).isprintable():
        raise UsageError("an asset has a name", got=repr(cells["name"][:60]))
    if cells["criticality"] not in ("1", "2", "3", "4", "5"):
        raise UsageError("a criticality is 1 to 5", got=repr(cells["criticality"][:20]))
    if any(len(value) > _LONGEST for value in cells.values()):
        raise UsageError("the text is too long", expected=f"up to {_LONGEST}")
    pattern = _pattern(cells["kind"], cells["pattern"])
    known = Known(cells["kind"], pattern, cells["name"], cells["system"], int(cells["criticality"]))
    return (whose, cells["kind"], pattern), known


def _pattern(kind: str, text: str) -> str:
    if kind == "address":
        try:
            return str(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            raise UsageError(
                "this is no address range", got=text, expected="10.1.2.0/24"
            ) from error
    if not text.strip("*. ") or not text.isprintable() or text.count("*") > 3:
        raise UsageError("a pattern names something", got=repr(text[:60]), expected="KETOAN-*")
    return text.casefold()


def _may_all(session: Session, actor: Actor, agencies: Iterable[str]) -> None:
    scope = scope_for(actor, "asset.write")
    wrong = [one for one in agencies if session.get(Agency, one) is None or not scope.allows(one)]
    if wrong:
        raise NotFoundError(
            "no such agency", got=", ".join(wrong[:10]), remedy="thapcanh agency list"
        )


def _plan(wanted: Mapping[Key, Known], there: Mapping[Key, Known], *, replace: bool) -> Plan:
    def names(keys: Iterable[Key]) -> tuple[str, ...]:
        return tuple(" ".join(key) for key in sorted(keys))

    both = wanted.keys() & there.keys()
    changed = [key for key in both if wanted[key] != there[key]]
    gone = there.keys() - wanted.keys() if replace else set()
    return Plan(
        names(wanted.keys() - there.keys()), names(changed), names(gone), len(both) - len(changed)
    )


def _known(row: Asset) -> Known:
    return Known(row.kind, row.pattern, row.name, row.system, row.criticality)


def _hash(session: Session, agency: str) -> str:
    query = sa.select(Asset).where(Asset.agency == agency).order_by(Asset.kind, Asset.pattern)
    rows = [f"{r.kind}\0{r.pattern}\0{r.name}\0{r.system}\0{r.criticality}" for r in session.scalars(query)]  # fmt: skip
    return content_hash("assets", *rows) if rows else ""
