"""The quota of an agency: by size, by age, until what waits is settled; no other agency feels it."""

from __future__ import annotations

from pathlib import Path

from contract.test_receiver_contract import by_http, by_udp, until
from support.collector import LISTENERS, running, spooled, tally

from collectors.receivers.shares import Shares
from pipeline.settings.values import CollectSettings


def test_a_share_is_full_until_what_waits_is_settled() -> None:
    shares = Shares(1000, 0)
    shares.add("q1", 10, 900, 0.0)
    shares.add("q2", 11, 100, 0.0)
    assert shares.refuses("q1", 101, 1.0) == "900 bytes of q1 wait, 1000 may"
    assert (shares.refuses("q1", 100, 1.0), shares.refuses("q2", 900, 1.0)) == ("", "")
    shares.settled(9)
    assert shares.refuses("q1", 101, 1.0)
    shares.settled(10)
    assert (shares.refuses("q1", 1000, 1.0), shares.held()) == ("", {"q2": 100})


def test_records_that_wait_too_long_push_their_agency_back() -> None:
    shares = Shares(0, 3600.0)
    shares.add("q1", 1, 10, 0.0)
    shares.add("q1", 2, 10, 3000.0)
    assert shares.refuses("q1", 1, 3600.0) == ""
    assert shares.refuses("q1", 1, 3601.0) == "records of q1 have waited for 1.0 hours"
    shares.settled(1)
    assert shares.refuses("q1", 1, 3601.0) == ""


def test_one_larger_than_the_share_gets_in_alone() -> None:
    shares = Shares(10, 0)
    assert shares.refuses("q1", 50, 0.0) == ""


def test_an_agency_over_its_share_is_pushed_back_and_the_others_are_not(tmp_path: Path) -> None:
    settings = CollectSettings(node="n1", listeners=LISTENERS, spool_agency_bytes=1000)
    with running(tmp_path, settings) as collector:
        by_http(collector, [b"x" * 900])
        by_http(collector, [b"y" * 900])  # 429
        assert tally(collector, "http", "q1-web")["notes"] == {"pushed_back": 1}
        by_udp(collector, [b"<1>" + b"z" * 900])  # q1's too
        until(lambda: {"spool_full": 1} in [c["dropped"] for c in collector.snapshot()["counters"]])
        collector.settled_upto = 1
        until(lambda: not collector.intake.shares.held())
        by_http(collector, [b"y" * 900])
    assert [one.body[:1] for one in spooled(tmp_path)] == [b"x", b"y"]
