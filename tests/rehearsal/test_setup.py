"""The stage: set once, found again, refused beside real agencies, and taken away whole."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from collectors.receivers.registered import RegisteredDirectory
from pipeline.model.errors import ConflictError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.rehearsal import cast
from pipeline.rehearsal.clean import Cleaned, clean
from pipeline.rehearsal.script import Script
from pipeline.rehearsal.setup import remembered, set_stage
from pipeline.state.base import Base
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingEvent, FindingRow
from pipeline.state.tables.register import (
    Agency,
    Outage,
    Source,
    SourceAddress,
    SourceDraft,
    SourceKey,
)
from pipeline.state.tables.tickets import Ticket
from pipeline.tickets.grouping import tickets_once

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SCRIPT = Script(7, datetime(2026, 11, 23, 17, 0, tzinfo=UTC))
PRODUCTS = frozenset(source.product for source in cast.SOURCES)


def _set(
    state: State, folder: Path, script: Script = SCRIPT, *, beside_real: bool = False
) -> dict[str, str]:
    return set_stage(
        state, OPERATOR, folder, script, known_products=PRODUCTS, now=NOW, beside_real=beside_real
    )  # fmt: skip


def _real_agency(state: State) -> None:
    with state.begin() as session:
        session.add(
            Agency(id="q1", name_vi="Phường Sài Gòn", name_en="Sài Gòn Ward", valid_from=NOW)
        )


def _counts(state: State) -> dict[str, int]:
    with state.read() as session:
        return {
            name: session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }


def test_eight_agencies_come_flagged_drill_with_a_key_for_each_source(
    state: State, tmp_path: Path
) -> None:
    keys = _set(state, tmp_path)
    with state.read() as session:
        agencies = session.execute(sa.select(Agency.id, Agency.drill)).all()
        sources = session.execute(sa.select(Source.id, Source.agency, Source.product)).all()
    assert sorted(agencies) == sorted((agency.id, True) for agency in cast.AGENCIES)
    assert sorted(sources) == sorted((s.id, s.agency, s.product) for s in cast.SOURCES)
    assert set(keys) == set(cast.SOURCE)


def test_the_receivers_know_each_key_and_each_loopback_address(
    state: State, tmp_path: Path
) -> None:
    keys = _set(state, tmp_path)
    directory = RegisteredDirectory(state)
    directory.refresh()
    for source in cast.SOURCES:
        by_key = directory.by_key(*keys[source.id].split(":"))
        assert by_key is not None
        assert (by_key.source, by_key.agency, by_key.product) == (
            source.id,
            source.agency,
            source.product,
        )
        if source.syslog:
            by_address = directory.by_address(f"syslog-{source.syslog}", source.address)
            assert by_address is not None
            assert by_address.source == source.id


def test_a_second_call_changes_nothing_and_gives_the_same_keys(
    state: State, tmp_path: Path
) -> None:
    first = _set(state, tmp_path)
    before = _counts(state)
    assert _set(state, tmp_path) == first
    assert _counts(state) == before


def test_lost_keys_are_replaced_by_new_ones(state: State, tmp_path: Path) -> None:
    first = _set(state, tmp_path)
    (tmp_path / "keys.json").unlink()
    again = _set(state, tmp_path)
    assert set(again) == set(first)
    assert not set(again.values()) & set(first.values())


def test_the_keys_are_for_the_owner_alone(state: State, tmp_path: Path) -> None:
    keys = _set(state, tmp_path)
    place = tmp_path / "keys.json"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert json.loads(place.read_text("utf-8")) == keys


def test_keys_that_cannot_be_read_are_named(state: State, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{", "utf-8")
    with pytest.raises(UsageError, match=r"keys\.json"):
        _set(state, tmp_path)


def test_a_home_that_holds_real_agencies_is_refused_unless_told(
    state: State, tmp_path: Path
) -> None:
    _real_agency(state)
    with pytest.raises(ConflictError, match="--beside-real"):
        _set(state, tmp_path)
    assert len(_set(state, tmp_path, beside_real=True)) == len(cast.SOURCES)


def test_the_centre_is_no_real_agency(state: State, tmp_path: Path) -> None:
    with state.begin() as session:
        session.add(Agency(id="soc", name_vi="Trung tâm", name_en="Centre", valid_from=NOW))
    assert _set(state, tmp_path)


def test_another_script_is_refused_while_one_is_on_the_stage(state: State, tmp_path: Path) -> None:
    _set(state, tmp_path)
    assert remembered(state) == SCRIPT
    with pytest.raises(ConflictError, match="seed 8"):
        _set(state, tmp_path, Script(8, SCRIPT.start))


def _finding(state: State, agency: str, *, number: int, of: str = "") -> None:
    """A finding with its ticket; `of` names the agency of its event where it is the centre's."""
    sample = {"event": f"{number:032x}", "time": 0, "fields": {"organization.id": of} if of else {}}
    with state.begin() as session:
        session.add(
            FindingRow(
                id=f"f{number}", number=number, born=number, rule="r", revision="v", agency=agency,
                entity="e", level="high", status="test", title="t", first=NOW, last=NOW, count=1,
                samples=[sample], run="run", created=NOW, changed=NOW,
            )
        )  # fmt: skip
        session.add(
            FindingEvent(
                rule="r",
                event=bytes([number]),
                entity="e",
                finding=f"f{number}",
                time=NOW,
                revision="v",
            )
        )
    while tickets_once(state, now=NOW):
        pass


def test_clean_takes_the_drill_away_and_leaves_the_real_alone(state: State, tmp_path: Path) -> None:
    _real_agency(state)
    _finding(state, "q1", number=1)
    _finding(state, "soc", number=2, of="q1")
    before = _counts(state)
    _set(state, tmp_path, beside_real=True)
    _finding(state, cast.AGENCIES[0].id, number=3)
    _finding(state, "soc", number=4, of=cast.AGENCIES[0].id)
    drill = cast.AGENCIES[0].id
    with state.begin() as session:
        session.add(
            SourceDraft(
                id="d" * 26, agency=drill, by="person:an", created=NOW, changed=NOW, revision=1, samples=b"",
                chosen={},
            )
        )  # fmt: skip
        source = session.scalar(sa.select(Source.id).where(Source.agency == drill).limit(1))
        session.add(Outage(source=source, node="n", begun=NOW, ended=NOW, cause="killed"))
    with state.read() as session:
        flags = session.execute(sa.select(Ticket.agency, Ticket.drill).order_by(Ticket.number))
        assert [row.drill for row in flags] == [False, False, True, True]
    store = _Store()
    assert clean(state, store, tmp_path, now=NOW) == Cleaned(8, len(cast.SOURCES), 80, 2, 2)
    assert _counts(state) | {"access_log": 0} == before | {"access_log": 0}  # it forgets nothing
    assert store.asked == {agency.id: NOW + timedelta(days=1) for agency in cast.AGENCIES}
    assert not (tmp_path / "keys.json").exists()
    assert remembered(state) is None


def test_cleaning_twice_does_no_harm(state: State, tmp_path: Path) -> None:
    _set(state, tmp_path)
    clean(state, None, tmp_path, now=NOW)
    assert clean(state, None, tmp_path, now=NOW) == Cleaned()
    with state.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(SourceKey)) == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(SourceAddress)) == 0


class _Store:
    """Remembers what it was asked to delete; ten events of each agency."""

    def __init__(self) -> None:
        self.asked: dict[str, datetime] = {}

    def delete_before(self, agency: str, moment: datetime, *, now: datetime) -> int:
        self.asked[agency] = moment
        return 10
