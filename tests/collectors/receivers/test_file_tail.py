"""Files through a whole collector: spool, checkpoint, restart, who they are of."""

from __future__ import annotations

import time
from pathlib import Path

from support.collector import file_input, logs_of, running, spooled, tally

from pipeline.settings.values import CollectSettings


def until(condition: object, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def test_what_a_stop_left_is_read_at_the_next_start_and_nothing_twice(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    logs.mkdir()
    expected = [b"line %d" % n for n in range(5000)]
    (logs / "a.log").write_bytes(b"\n".join(expected[:2000]) + b"\n")
    with running(tmp_path, CollectSettings(node="n1", listeners=())) as collector:
        until(lambda: len(spooled(tmp_path)) == 2000)
        until(lambda: tally(collector, "files", "q1-files")["acknowledged"] == 2000)
    with (logs / "a.log").open("ab") as file:
        file.write(b"\n".join(expected[2000:]) + b"\n")
    with running(tmp_path, CollectSettings(node="n1", listeners=())):
        until(lambda: len(spooled(tmp_path)) == 5000)
        time.sleep(0.2)
    assert [one.body for one in spooled(tmp_path)] == expected


def test_a_lost_checkpoint_costs_no_line_and_the_identities_stay(tmp_path: Path) -> None:
    logs = logs_of(tmp_path)
    logs.mkdir()
    expected = [b"%d %s" % (n, b"x" * 200) for n in range(100)]
    (logs / "a.log").write_bytes(b"\n".join(expected) + b"\n")
    for times in (1, 2):
        with running(tmp_path, CollectSettings(node="n1", listeners=())):
            until(lambda times=times: len(spooled(tmp_path)) == 100 * times)  # type: ignore[misc]
        (tmp_path / "n1" / "tail-files.checkpoint").write_bytes(b"damaged")
    found = spooled(tmp_path)
    assert [one.body for one in found] == expected * 2
    assert [one.identity for one in found[:100]] == [one.identity for one in found[100:]]


def test_an_input_of_an_unknown_source_is_not_read_and_knocks(tmp_path: Path) -> None:
    import asyncio

    from support.collector import directory

    from collectors.collect import Collector

    async def run() -> None:
        given = file_input(tmp_path)
        settings = CollectSettings(
            node="n1", listeners=(), files=(type(given)(
                name="x", kind="file_tail", source="nobody", paths=given.paths),), poll_seconds=0.01,
        )  # fmt: skip
        collector = Collector(settings, directory(), tmp_path)
        await collector.start()
        await asyncio.sleep(0.2)
        (knock,) = collector.take_knocks()
        assert (knock.receiver, knock.address, knock.count) == ("x", "nobody", 1)
        await collector.stop()

    logs_of(tmp_path).mkdir()
    (logs_of(tmp_path) / "a.log").write_bytes(b"line\n")
    asyncio.run(run())
    assert spooled(tmp_path) == []
