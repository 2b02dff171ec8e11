"""Dates as devices write them: without a year, with half of one, without a zone, at the turn of the year."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from pipeline.model import events
from pipeline.model.clock import CITY_ZONE, to_micros
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.dates import DateParser
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products

PRODUCTS = load_products()


def read(
    text: str, *formats: str, received: str = "2026-11-24T02:00:00Z", zone: ZoneInfo | None = None
) -> str:
    """UTC, with ``~`` where the zone was assumed; empty where the text is no date."""
    parse = DateParser(formats, zone or CITY_ZONE, assumed=zone is None)
    made = parse(text, to_micros(datetime.fromisoformat(received)))
    if made is None:
        return ""
    moment = datetime.fromtimestamp(made[0] / 1e6, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}" + ("~" if made[1] else "")


@pytest.mark.parametrize(
    ("text", "received", "expected"),
    [
        ("Dec 31 23:59:58", "2026-12-31T17:00:05Z", "2026-12-31 16:59:58~"),  # midnight in the city
        ("Dec 31 23:59:58", "2027-01-01T02:00:00Z", "2026-12-31 16:59:58~"),  # it came late
        (
            "Jan  1 00:00:02",
            "2026-12-31T16:59:59Z",
            "2026-12-31 17:00:02~",
        ),  # a clock that goes ahead
        ("Jan  1 00:00:02", "2027-01-01T00:00:00Z", "2026-12-31 17:00:02~"),
        ("Feb 29 12:00:00", "2026-03-01T00:00:00Z", ""),  # in no year near
        ("Feb 29 12:00:00", "2028-03-01T00:00:00Z", "2028-02-29 05:00:00~"),
        ("Feb 29 12:00:00", "2029-01-05T00:00:00Z", "2028-02-29 05:00:00~"),
        ("Nov 31 12:00:00", "2026-11-24T00:00:00Z", ""),
    ],
)
def test_a_year_that_is_missing_is_the_one_nearest_to_the_receipt(
    text: str, received: str, expected: str
) -> None:
    assert read(text, "bsd", received=received) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("24/11/26 09:00:00", "2026-11-24 02:00:00~"), ("24/11/69 09:00:00", "2069-11-24 02:00:00~"),
     ("24/11/75 09:00:00", "1975-11-24 02:00:00~"), ("24/11/99 09:00:00", "1999-11-24 02:00:00~")],
)  # fmt: skip
def test_half_a_year_is_of_this_century_until_69(text: str, expected: str) -> None:
    assert read(text, "%d/%m/%y %H:%M:%S") == expected


def test_a_declared_zone_has_its_own_summer_and_is_not_assumed() -> None:
    paris = ZoneInfo("Europe/Paris")
    assert read("2026-07-01 12:00:00", "iso", zone=paris) == "2026-07-01 10:00:00"
    assert read("2026-12-01 12:00:00", "iso", zone=paris) == "2026-12-01 11:00:00"
    assert read("2026-12-01T12:00:00+07:00", "iso", zone=paris) == "2026-12-01 05:00:00"


@pytest.mark.parametrize(
    "text", ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "1e9",
             "99999999999999999999", "2026-02-30T00:00:00Z", "", "²026-01-01T00:00:00Z"],
)  # fmt: skip
def test_what_is_no_date_of_the_calendar_is_none(text: str) -> None:
    assert read(text, "iso", "epoch") == ""


@pytest.mark.parametrize(
    "text", ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "99999999999999999999"]
)
def test_an_event_with_a_date_out_of_the_calendar_has_the_time_of_its_receipt(text: str) -> None:
    at = to_micros(datetime(2026, 11, 24, 2, tzinfo=UTC))
    record = RawRecord(1, "s", at, b'{"@timestamp":"%s","user":{"name":"an"}}' % text.encode())
    made = normalise(PRODUCTS["generic"], [record], Context("n", "a", "s", b"k" * 32, at))
    (row,) = made.tables["generic.log"].to_pylist()
    assert (row[events.TIME], row["user.name"]) == (row[events.CREATED], "an")
    assert row[events.ERROR] == f"@timestamp: not a date of the expected form: {text}"
