"""The disk fills: the drill goes, then the old; then receivers push back, until there is room again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.small_home import NODE, another_agency, numbers_stored, small_home, spool

from collectors.collect import _push_back
from pipeline.model.errors import DamagedError, ServiceAwayError
from pipeline.serve import disk
from pipeline.serve.disk import Usage
from pipeline.serve.ingest import settle_node
from pipeline.serve.installation import Installation
from pipeline.serve.keeping.keeper import Keeper
from pipeline.serve.supervisor import Supervisor
from pipeline.state.alarms import open_alarms
from pipeline.state.tables.lake import LakeFile

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
TOTAL = 100_000_000


class Disk:
    """Whose fill is said, less what the keeper has deleted (`drop` a file)."""

    def __init__(self, used: float) -> None:
        self.used = used

    def __call__(self, _folder: Path) -> Usage:
        return Usage(TOTAL, int(self.used * TOTAL))


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    """Received: 1 200 days ago (level 3: floor 3 months), 2 just now, 3 of a drill 2 days ago."""
    home = small_home(tmp_path / "home")
    another_agency(home, "l3", level=3)
    another_agency(home, "d", drill=True)
    for number, days, source in ((1, 200, "l3-win"), (2, 0, "l3-win"), (3, 2, "d-win")):
        spool(home, number, received=NOW - timedelta(days=days), source=source)
        settle_node(home, NODE)
    return home


def turns(keeper: Keeper, now: datetime, count: int = 300) -> None:
    for _ in range(count):
        if not keeper.turn(now):
            break


def alarms(here: Installation) -> list[str]:
    return [alarm.key for alarm in open_alarms(here.state)]


def test_with_room_nothing_goes_before_its_time_and_nobody_is_refused(here: Installation) -> None:
    turns(Keeper(here, NOW, usage=Disk(0.84)), NOW)
    assert numbers_stored(here) == [1, 2, 3]
    assert (alarms(here), disk.trouble(here.settings)) == ([], "")


def test_past_the_share_the_drill_goes_first_and_no_more_than_is_needed(
    here: Installation,
) -> None:
    size = _size_of(here, "d")
    turns(Keeper(here, NOW, usage=Disk(0.85 + size / 2 / TOTAL)), NOW)
    assert numbers_stored(here) == [1, 2]
    assert (alarms(here), disk.trouble(here.settings)) == ([], "")


def test_then_what_is_older_than_its_floor_goes_and_when_nothing_may_receivers_push_back(
    here: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    filled = Disk(0.9)
    keeper = Keeper(here, NOW, usage=filled)
    turns(keeper, NOW)
    assert numbers_stored(here) == [2]
    said = "90% of the disk is used, and nothing more may be deleted"
    assert disk.trouble(here.settings) == said
    assert _push_back(here.settings.spool) == f"disk: {said}"  # what collectors answer with
    assert (alarms(here), f"ALARM {said}" in caplog.text) == (["disk"], True)
    troubles = Supervisor(here, roles=()).troubles()
    assert [(t.role, t.reason) for t in troubles] == [("disk", said)]

    filled.used = 0.845  # not yet: it would begin anew at once
    turns(keeper, NOW + timedelta(minutes=1))
    assert alarms(here) == ["disk"]
    filled.used = 0.80
    turns(keeper, NOW + timedelta(minutes=2))
    assert (alarms(here), disk.trouble(here.settings)) == ([], "")
    assert (_push_back(here.settings.spool), Supervisor(here, roles=()).troubles()) == ("", [])


def test_a_keeper_that_was_killed_while_receivers_push_back_lifts_it_all_the_same(
    here: Installation,
) -> None:
    turns(Keeper(here, NOW, usage=Disk(0.9)), NOW)
    turns(Keeper(here, NOW, usage=Disk(0.5)), NOW)
    assert (alarms(here), disk.trouble(here.settings)) == ([], "")


def test_what_an_operator_wrote_there_is_not_taken_away(here: Installation) -> None:
    sign = here.settings.spool / "push_back"
    sign.write_text("maintenance")
    turns(Keeper(here, NOW, usage=Disk(0.5)), NOW)
    assert sign.read_text() == "maintenance"


def test_near_the_end_receivers_wait_even_for_what_is_on_its_way_out(here: Installation) -> None:
    size = sum(_size_of(here, name) for name in ("d", "l3"))
    total = int(size / 0.2)

    def filled(_folder: Path) -> Usage:
        return Usage(total, int(0.98 * total))

    turns(Keeper(here, NOW, usage=filled), NOW)
    assert disk.trouble(here.settings) == "98% of the disk is used; deleted data go within the hour"


@pytest.mark.parametrize("error", [DamagedError("a file is damaged"), FileNotFoundError(2, "gone")])
def test_a_damaged_file_alarms_and_does_not_keep_the_others_from_their_turn(
    here: Installation, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real = here.store.delete_before

    def delete_before(agency: str, moment: datetime, *, now: datetime) -> int:
        if agency == "d":
            raise error
        return real(agency, moment, now=now)

    monkeypatch.setattr(here.store, "delete_before", delete_before)
    later = NOW + timedelta(days=400)
    keeper = Keeper(here, later, usage=Disk(0.1))
    turns(keeper, later)
    assert (numbers_stored(here), alarms(here)) == ([3], ["retention"])
    monkeypatch.undo()
    turns(keeper, later + timedelta(days=1))
    assert (numbers_stored(here), alarms(here)) == ([], [])


def test_a_disk_full_to_the_last_byte_lets_go_of_its_ballast_and_goes_on(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = Disk(0.5)
    keeper = Keeper(here, NOW, usage=filled)
    turns(keeper, NOW)
    ballast = here.settings.run / "ballast"
    assert ballast.stat().st_size == TOTAL // 64
    filled.used = 1.0
    real = here.state.begin

    def begin() -> object:
        if ballast.exists():
            raise ServiceAwayError("the state does not answer", got="disk is full")
        return real()

    monkeypatch.setattr(type(here.state), "begin", lambda _self: begin())
    for second in range(30):
        turns(keeper, NOW + timedelta(minutes=20, seconds=second))
    assert (numbers_stored(here), alarms(here)) == ([2], ["disk"])


def test_retention_runs_on_start_and_again_at_its_hour(here: Installation) -> None:
    keeper = Keeper(here, NOW, usage=Disk(0.1))
    turns(keeper, NOW)
    spool(here, 4, received=NOW - timedelta(days=500))
    settle_node(here, NODE)
    turns(keeper, NOW + timedelta(hours=10))
    assert 4 in numbers_stored(here)
    turns(keeper, NOW + timedelta(hours=12))
    assert 4 not in numbers_stored(here)


def test_the_forecast_is_the_line_through_what_was_measured() -> None:
    gib, hour = 1 << 30, 3600
    grown = [(n * hour, 100 * gib + n * gib) for n in range(25)]
    found = disk.forecast(grown, Usage(1000 * gib, 124 * gib), 0.85)
    assert found is not None
    assert found.days is not None
    assert (round(found.per_day / gib, 3), round(found.days, 3)) == (24.0, round(726 / 24, 3))
    assert found.measured == timedelta(hours=24)
    shrinking = [(at, -used) for at, used in grown]
    falls = disk.forecast(shrinking, Usage(1000 * gib, 124 * gib), 0.85)
    assert falls is not None
    assert falls.days is None
    assert disk.forecast(grown[:1], Usage(1, 1), 0.85) is None


def _size_of(here: Installation, agency: str) -> int:
    with here.state.read() as session:
        return sum(row.bytes for row in session.query(LakeFile) if agency in row.agencies)
