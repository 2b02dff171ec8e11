"""What is deleted when, and that it is recorded; nothing younger than its floor, nothing held."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_home import NODE, another_agency, numbers_stored, small_home, spool

from pipeline.model.errors import ConflictError, ForbiddenError, NotFoundError, UsageError
from pipeline.model.scope import OPERATOR, SYSTEM, Actor, Scope
from pipeline.serve.ingest import settle_node
from pipeline.serve.installation import Installation
from pipeline.serve.keeping import retention
from pipeline.serve.keeping.keeper import next_run
from pipeline.serve.keeping.retention import Floors, Order, dispose, due, run_now, under_pressure
from pipeline.settings.values import RetentionSettings
from pipeline.state.tables.operation import Disposal
from pipeline.state.tables.register import Agency
from pipeline.store.disposals import disposals
from pipeline.store.holds import list_holds, place_hold, release_hold

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
FLOORS = Floors("a policy", {2: 1, 3: 3, 4: 6, 5: 12})


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def agency(name: str, level: int = 0, *, drill: bool = False) -> Agency:
    return Agency(id=name, level=level, drill=drill)


def test_the_law_s_floors_come_from_the_policy_in_force() -> None:
    assert dict(Floors.in_force(date(2026, 11, 24)).months) == {2: 1, 3: 3, 4: 6, 5: 12}
    assert dict(Floors.in_force(date(2026, 6, 30)).months) == {}


def test_what_has_reached_its_age_is_due_but_never_before_its_floor() -> None:
    agencies = [agency("d", drill=True), agency("l2", 2), agency("l5", 5), agency("none")]
    assert due(agencies, RetentionSettings(), FLOORS, NOW) == [
        Order("d", ago(7), "drill"),
        Order("l2", ago(365), "age"),
        Order("l5", ago(365), "age"),
        Order("none", ago(365), "age"),
    ]
    short = RetentionSettings(days=10, floor_days=20, drill_days=0)
    assert due(agencies, short, FLOORS, NOW) == [
        Order("d", NOW - timedelta(hours=1), "drill"),
        Order("l2", datetime(2026, 10, 24, 9, tzinfo=UTC), "age"),
        Order("l5", datetime(2025, 11, 24, 9, tzinfo=UTC), "age"),
        Order("none", ago(20), "age"),
    ]


def test_months_are_the_calendar_s_and_end_where_a_month_does() -> None:
    end = datetime(2026, 5, 31, 9, tzinfo=UTC)
    moments = [FLOORS.moment(agency("x", n), RetentionSettings(), end) for n in (2, 3, 4, 5)]
    assert [(m.year, m.month, m.day) for m in moments] == [
        (2026, 4, 30), (2026, 2, 28), (2025, 11, 30), (2025, 5, 31),
    ]  # fmt: skip


def test_under_pressure_the_drill_goes_first_then_the_oldest_of_all_down_to_each_floor() -> None:
    agencies = [agency("d", drill=True), agency("l3", 3), agency("l4", 4), agency("l5", 5)]
    settings = RetentionSettings(days=240, drill_days=1)
    orders = list(under_pressure(agencies, settings, FLOORS, NOW))
    assert orders[:2] == [Order("d", ago(1), "disk"), Order("d", NOW - timedelta(hours=1), "disk")]
    assert "l5" not in {one.agency for one in orders}
    l3, l4 = ([o.before for o in orders if o.agency == name] for name in ("l3", "l4"))
    assert (l3[-1], l4[-1]) == (
        datetime(2026, 8, 24, 9, tzinfo=UTC), datetime(2026, 5, 24, 9, tzinfo=UTC),
    )  # fmt: skip
    assert (l3, l4) == (sorted(l3), sorted(l4))
    assert l3[0] == l4[0] == ago(210)  # of the oldest month both, before the next of either
    assert [o.agency for o in orders[2:6]] == ["l3", "l4", "l3", "l4"]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=5),
    st.integers(0, 800), st.integers(0, 800), st.integers(0, 30),
)  # fmt: skip
def test_no_order_reaches_past_a_floor(
    levels: list[tuple[int, bool]], days: int, floor_days: int, drill_days: int
) -> None:
    agencies = [agency(f"a{n}", level, drill=drill) for n, (level, drill) in enumerate(levels)]
    settings = RetentionSettings(days=days, floor_days=floor_days, drill_days=drill_days)
    by_name = {one.id: one for one in agencies}
    early = list(under_pressure(agencies, settings, FLOORS, NOW))
    for order in [*due(agencies, settings, FLOORS, NOW), *early]:
        assert order.before <= FLOORS.moment(by_name[order.agency], settings, NOW)
    # and in the end all that may go has gone
    for one in agencies:
        floor = FLOORS.moment(one, settings, NOW)
        last = max((o.before for o in early if o.agency == one.id), default=None)
        assert last == floor or (last is None and floor <= ago(days))


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    """p1 (no level): 1 received 400 days ago, 2 just now; drill d: 3 received 8 days ago, 4 just now."""
    home = small_home(tmp_path / "home")
    another_agency(home, "d", drill=True)
    for number, days, source in (
        (1, 400, "p1-win"),
        (2, 0, "p1-win"),
        (3, 8, "d-win"),
        (4, 0, "d-win"),
    ):
        spool(home, number, received=ago(days), source=source)
        settle_node(home, NODE)
    return home


def test_a_run_deletes_what_is_due_and_records_whose_when_how_many_and_by_whom(
    here: Installation,
) -> None:
    settings = here.settings.retention
    done = run_now(here.state, here.store, OPERATOR, settings, now=NOW)
    assert done == [(Order("d", ago(7), "drill"), 1), (Order("p1", ago(365), "age"), 1)]
    assert numbers_stored(here) == [2, 4]
    assert run_now(here.state, here.store, OPERATOR, settings, now=NOW) == []
    rows = disposals(here.state, OPERATOR)
    assert sorted((r.agency, r.before, r.reason, r.by, r.at, r.events) for r in rows) == [
        ("d", ago(7), "drill", "operator:home", NOW, 1),
        ("p1", ago(365), "age", "operator:home", NOW, 1),
    ]


def test_a_deletion_empties_the_samples_of_what_exceptions_hid(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, datetime]] = []
    monkeypatch.setattr(
        retention, "empty_samples", lambda _, agency, before: asked.append((agency, before)) or 0
    )
    run_now(here.state, here.store, OPERATOR, here.settings.retention, now=NOW)
    assert sorted(asked) == [("d", ago(7)), ("p1", ago(365))]


def test_a_hold_keeps_what_is_due_until_it_is_released(here: Installation) -> None:
    day = datetime(2026, 11, 24, tzinfo=UTC)
    hold = place_hold(
        here.state, OPERATOR, agency="p1", first=day, last=day + timedelta(days=1),
        reason="án 7", now=NOW,
    )  # fmt: skip
    order = Order("p1", NOW + timedelta(days=1), "age")
    assert dispose(here.state, here.store, order, SYSTEM, now=NOW) == 0
    assert [one.id for one in list_holds(here.state, OPERATOR)] == [hold]
    release_hold(here.state, OPERATOR, hold, now=NOW)
    assert list_holds(here.state, OPERATOR) == []
    assert [one.id for one in list_holds(here.state, OPERATOR, released=True)] == [hold]
    assert dispose(here.state, here.store, order, SYSTEM, now=NOW) == 2
    with pytest.raises(ConflictError, match="released already"):
        release_hold(here.state, OPERATOR, hold, now=NOW)


def test_holds_and_deletions_are_refused_to_whoever_may_not(here: Installation) -> None:
    analyst = Actor("person", "an", "analyst", Scope.of("p1"))
    words = {"agency": "p1", "first": ago(1), "last": NOW, "reason": "x", "now": NOW}
    with pytest.raises(ForbiddenError):
        place_hold(here.state, analyst, **words)  # type: ignore[arg-type]
    with pytest.raises(ForbiddenError):
        run_now(here.state, here.store, analyst, here.settings.retention, now=NOW)
    with pytest.raises(NotFoundError):
        place_hold(here.state, OPERATOR, **words | {"agency": "none"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ends before it begins"):
        place_hold(here.state, OPERATOR, **words | {"last": ago(2)})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs a reason"):
        place_hold(here.state, OPERATOR, **words | {"reason": " "})  # type: ignore[arg-type]


def test_a_deletion_that_was_cut_off_stays_on_record(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(here.store, "delete_before", die)
    with pytest.raises(KeyboardInterrupt):
        dispose(here.state, here.store, Order("p1", NOW, "age"), SYSTEM, now=NOW)
    with here.state.read() as session:
        assert [row.events for row in session.query(Disposal)] == [None]


def test_the_day_s_run_is_at_the_city_s_hour() -> None:
    assert next_run(NOW, "03:00") == datetime(2026, 11, 24, 20, tzinfo=UTC)
    assert next_run(NOW, "16:30") == datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    assert next_run(NOW, "16:00") == datetime(2026, 11, 25, 9, tzinfo=UTC)
