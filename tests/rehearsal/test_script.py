"""The script of the drill: the same bytes always, a city's day, and the tickets it demands."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.model.clock import CITY_ZONE
from pipeline.rehearsal import cast
from pipeline.rehearsal.lines import ExpectedTicket, Line
from pipeline.rehearsal.script import Script, expected_tickets

START = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)

_DIGEST = """
import hashlib, sys
from datetime import datetime
from pipeline.rehearsal.script import Script
digest = hashlib.sha256()
for line in Script(int(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), 4000):
    digest.update(repr((line.at, line.source, line.body, line.story, line.trips)).encode())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def day() -> list[Line]:
    return list(Script(7, START))


def _digest(seed: int, start: datetime, hash_seed: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", _DIGEST, str(seed), start.isoformat()],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def test_the_same_seed_and_start_give_the_same_bytes_in_every_process() -> None:
    digests = {_digest(7, START, hash_seed) for hash_seed in ("0", "1", "4711")}
    assert len(digests) == 1
    assert _digest(8, START, "0") not in digests
    assert _digest(7, START + timedelta(hours=1), "0") not in digests


def test_a_start_is_a_moment_whatever_zone_it_is_written_in() -> None:
    assert _digest(7, START, "0") == _digest(7, START.astimezone(CITY_ZONE), "0")


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Script(1, datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_lines_are_in_order_and_within_one_day(day: list[Line]) -> None:
    times = [line.at for line in day]
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < START + timedelta(hours=24)
    assert 20_000 <= len(day) <= 30_000


def test_eight_agencies_send_and_no_line_holds_a_line_break(day: list[Line]) -> None:
    senders = {cast.SOURCE[line.source].agency for line in day}
    assert senders == {agency.id for agency in cast.AGENCIES}
    assert len(senders) == 8
    assert {line.source for line in day} == set(cast.SOURCE)
    assert not [line for line in day if b"\n" in line.body or b"\r" in line.body]


def test_windows_and_ten_text_products_and_two_windows_channels_make_twelve(
    day: list[Line],
) -> None:
    products = {cast.SOURCE[line.source].product for line in day}
    channels = {
        json.loads(line.body)["winlog"]["channel"]
        for line in day
        if cast.SOURCE[line.source].product == "windows"
    }
    assert channels == {"Security", "Microsoft-Windows-Sysmon/Operational"}
    assert len(products - {"windows"}) + len(channels) == 12


def test_the_city_works_by_day(day: list[Line]) -> None:
    hours = Counter(line.at.astimezone(CITY_ZONE).hour for line in day if line.story is None)
    assert hours[9] > 4 * hours[2]
    assert hours[12] < hours[10]


def test_addresses_are_private_or_from_the_documentation_ranges(day: list[Line]) -> None:
    allowed = [
        ipaddress.ip_network(net)
        for net in ("10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
    ]
    found = {
        match
        for line in day
        for match in re.findall(
            r"(?<![\d./])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])", line.body.decode()
        )
    }
    versions = {"10.0.19041.1", "130.0.0.0", "129.0.0.0"}  # of programs, which look like addresses
    outside = [
        a for a in found - versions if not any(ipaddress.ip_address(a) in net for net in allowed)
    ]
    assert outside == []


def test_record_ids_count_up_per_computer_and_channel(day: list[Line]) -> None:
    seen: dict[tuple[str, str], list[int]] = {}
    for line in day:
        if cast.SOURCE[line.source].product == "windows":
            winlog = json.loads(line.body)["winlog"]
            seen.setdefault((winlog["computer_name"], winlog["channel"]), []).append(
                int(winlog["record_id"])
            )
    for ids in seen.values():
        assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_a_story_is_told_whatever_the_size_of_the_noise(day: list[Line]) -> None:
    def told(lines: list[Line]) -> list[tuple[datetime, str]]:
        return [(line.at, line.source) for line in lines if line.story]

    assert told(list(Script(7, START, 500))) == told(day)


def test_each_of_the_six_stories_demands_a_first_ticket_by_a_rule_on_single_events(
    day: list[Line],
) -> None:
    expected = expected_tickets(day)
    assert {ticket.story for ticket in expected if ticket.by == "single"} == {
        "dns_tunnel",
        "vpn_spray",
        "web_shell",
        "ransomware",
        "mailbox_takeover",
        "database_abuse",
    }
    assert [ticket for ticket in expected if ticket.by == "correlation"]


def test_expected_tickets_split_where_the_quiet_time_is_passed() -> None:
    from pipeline.rehearsal.lines import Trip

    trip = (Trip("r", "e"),)
    source = "dt-phuong-tan-cau.bind"
    agency = cast.SOURCE[source].agency
    hour = timedelta(hours=1)
    lines = [
        Line(START, source, b"a", "s", trip),
        Line(START + hour, source, b"b", "s", trip),  # exactly the quiet time: still one episode
        Line(START + hour * 2 + timedelta(milliseconds=1), source, b"c", "s", trip),
        Line(START + hour * 2 + timedelta(milliseconds=1), source, b"c", "s", trip),
        Line(START, source, b"noise"),
    ]
    assert expected_tickets(lines) == [
        ExpectedTicket("r", agency, "e", ("a", "b"), "single", "s"),
        ExpectedTicket("r", agency, "e", ("c", "c"), "single", "s"),
    ]


def test_the_first_story_comes_early_in_the_day(day: list[Line]) -> None:
    first = next(place for place, line in enumerate(day) if line.trips)
    assert first < len(day) // 20
