"""Working time over nights, weekends, holidays and the ends of months and years."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.clock import CITY_ZONE
from pipeline.tickets.clocks.calendar import working_end, working_seconds
from pipeline.tickets.clocks.packs import standing

CALENDAR = standing().calendar
HOUR = 3600


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CITY_ZONE)


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-11-25T08:00", 2, "2026-11-25T10:00"),
        ("2026-11-25T10:30", 2, "2026-11-25T14:00"),  # over noon
        ("2026-11-25T16:00", 2, "2026-11-26T08:30"),  # over night
        ("2026-11-25T22:00", 1, "2026-11-26T08:30"),  # begun at night
        ("2026-11-27T16:00", 2, "2026-11-30T08:30"),  # over a weekend
        ("2026-11-30T16:00", 2, "2026-12-01T08:30"),  # over the end of a month
        ("2026-12-31T16:00", 2, "2027-01-04T08:30"),  # New Year's Day is a Friday
        ("2026-02-13T16:00", 2, "2026-02-23T08:30"),  # over Tết
        (
            "2026-04-24T16:30",
            1,
            "2026-04-28T08:00",
        ),  # Hùng Kings' Day, a Sunday, is given on Monday
        ("2026-04-29T16:30", 1, "2026-05-04T08:00"),  # 30/4 and 1/5, then a weekend
        ("2026-08-21T16:30", 1, "2026-08-22T08:00"),  # Saturday 22/8 is worked …
        ("2026-08-28T16:30", 1, "2026-09-03T08:00"),  # … for 31/8
        ("2026-11-23T16:30", 1, "2026-11-25T08:00"),  # Vietnam's Cultural Day
        ("2027-02-26T16:00", 2, "2027-03-01T08:30"),  # a February of 28 days, then a weekend
        ("2028-02-28T16:00", 2, "2028-02-29T08:30"),  # a leap day is worked …
        ("2028-02-29T16:00", 2, "2028-03-01T08:30"),  # … and ends its month
        ("2026-11-27T16:30", 17, "2026-12-02T08:00"),  # two days and more, over both
    ],
)
def test_the_time_at_which_so_many_working_hours_have_passed(
    start: str, hours: float, end: str
) -> None:
    assert working_end(CALENDAR, at(start), int(hours * HOUR)) == at(end)
    assert working_seconds(CALENDAR, at(start), at(end)) == hours * HOUR


FIRST = datetime(2025, 1, 1, tzinfo=UTC)
MOMENTS = st.builds(
    lambda days, seconds: FIRST + timedelta(days=days, seconds=seconds),
    st.integers(0, 1_390),
    st.integers(0, 86_399),
)


@given(MOMENTS, st.integers(0, 400 * HOUR))
def test_an_end_is_as_far_as_was_asked_and_no_second_earlier(start: datetime, seconds: int) -> None:
    end = working_end(CALENDAR, start, seconds)
    assert working_seconds(CALENDAR, start, end) == seconds
    if seconds:
        before = end - timedelta(seconds=1)
        assert working_seconds(CALENDAR, start, before) == seconds - 1


@given(MOMENTS, st.integers(0, 90), st.integers(0, 90))
def test_parts_add_up(start: datetime, first: int, second: int) -> None:
    middle, end = start + timedelta(hours=first), start + timedelta(hours=first + second)
    whole = working_seconds(CALENDAR, start, end)
    parts = working_seconds(CALENDAR, start, middle) + working_seconds(CALENDAR, middle, end)
    assert abs(whole - parts) <= 1  # each is cut to whole seconds


def test_no_time_passes_backwards() -> None:
    assert working_seconds(CALENDAR, at("2026-11-26T08:00"), at("2026-11-25T08:00")) == 0
    assert working_end(CALENDAR, at("2026-11-25T20:00"), 0) == at("2026-11-25T20:00")


def test_years_without_a_list_are_known_to_be_so() -> None:
    assert [CALENDAR.listed(year) for year in (2024, 2025, 2028, 2029)] == [
        False,
        True,
        True,
        False,
    ]
