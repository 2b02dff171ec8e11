"""The stage between spool and store: whatever the spool gives or no longer gives is settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from collectors.spool import Draft, SpoolReader, SpoolWriter
from pipeline.model.clock import to_micros
from pipeline.model.records import Settled
from pipeline.model.scope import Scope
from pipeline.normalise.product import load_products
from pipeline.state.migrate import upgrade
from pipeline.state.state import State
from pipeline.state.tables.intake import DeadLetterRow
from pipeline.state.tables.register import Agency, Source, SourceSeen
from pipeline.store.intake import settle_once
from pipeline.store.lake.store import Lake

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
LINE = b'203.0.113.9 - - [24/Nov/2026:16:00:00 +0700] "GET /a HTTP/1.1" 200 12 "-" "curl/8"'


def opened(tmp_path: Path, product: str = "nginx") -> tuple[State, Lake]:
    state = State.at(tmp_path / "state.sqlite")
    upgrade(state)
    with state.begin() as session:
        session.add(Agency(id="p1", name_vi="P1", name_en="P1", valid_from=NOW))
        session.flush()
        session.add(Source(id="web", agency="p1", product=product, name="web", created=NOW))
    return state, Lake(tmp_path / "lake", state)


def spooled(tmp_path: Path, *bodies: bytes, source: str = "web") -> SpoolReader:
    with SpoolWriter(tmp_path / "spool", "n1") as writer:
        writer.append([Draft(source, to_micros(NOW), body) for body in bodies])
    return SpoolReader(tmp_path / "spool", "n1")


def letters(state: State) -> list[tuple[int, str, bytes | None]]:
    with state.read() as session:
        rows = session.query(DeadLetterRow).order_by(DeadLetterRow.sequence).all()
    return [(row.sequence, row.cause, row.body) for row in rows]


def settle(reader: SpoolReader, state: State, lake: Lake) -> Settled | None:
    return settle_once(reader, lake, state, load_products(), key=b"k" * 32, now=NOW)


def test_every_receipt_is_stored_or_dropped_and_a_parse_failure_is_stored_with_its_letter(
    tmp_path: Path,
) -> None:
    state, lake = opened(tmp_path)
    reader = spooled(tmp_path, LINE, b"", b"\x00\xff no log line")
    assert settle(reader, state, lake) == Settled("n1", 1, 3, stored=2, dropped=1)
    assert settle(reader, state, lake) is None
    assert letters(state) == [(3, "parse_failure", None)]


def test_records_of_an_unknown_source_are_refused_with_their_bytes(tmp_path: Path) -> None:
    state, lake = opened(tmp_path)
    reader = spooled(tmp_path, b"one", b"\x00\xff two", source="gone")
    assert settle(reader, state, lake) == Settled("n1", 1, 2, stored=0, refused=2)
    assert letters(state) == [(1, "unknown_source", b"one"), (2, "unknown_source", b"\x00\xff two")]


def test_events_of_an_unknown_product_are_seen_as_generic_and_each_has_a_letter_that_points_at_it(
    tmp_path: Path,
) -> None:
    state, lake = opened(tmp_path, product="no_such")
    reader = spooled(tmp_path, b"", LINE, b'{"source":{"port":"abc","ip":"10.0.0.1"}}')
    assert settle(reader, state, lake) == Settled("n1", 1, 3, stored=2, dropped=1)
    with state.read() as session:
        rows = session.query(DeadLetterRow).order_by(DeadLetterRow.sequence).all()
    said = "no such product: no_such; read as generic"
    assert [(r.sequence, r.cause, r.message, r.body, r.agency, r.state) for r in rows] == [
        (n, "unknown_product", said, None, "p1", "open") for n in (2, 3)
    ]
    found = lake.get([row.event for row in rows], scope=Scope.of("p1"))
    assert [
        (one["event"]["original"].encode(), one["tags"], one["error"]["message"], one["thapcanh"]["product"])
        for one in found
    ] == [
        (LINE, ["_unknown_product"], said, "generic"),
        (
            b'{"source":{"port":"abc","ip":"10.0.0.1"}}', ["_unknown_product"],
            f"{said}; source.port: not a whole number of 64 bits: abc", "generic",
        ),
    ]  # fmt: skip


def test_what_the_disk_no_longer_gives_is_refused_by_name_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    state, lake = opened(tmp_path)
    for _ in range(3):
        spooled(tmp_path, LINE, LINE).close()
    segment = min(p for p in (tmp_path / "spool" / "n1").iterdir() if p.stat().st_size > 200)
    content = bytearray(segment.read_bytes())
    content[content.index(b"GET") + 1] ^= 0x40
    segment.write_bytes(content)
    reader = SpoolReader(tmp_path / "spool", "n1")
    results = []
    while (done := settle(reader, state, lake)) is not None:
        results.append(done)
    assert lake.watermark() == {"n1": 6}
    refused, stored = sum(r.refused for r in results), sum(r.stored for r in results)
    assert (refused + stored, refused > 0, stored > 0) == (6, True, True)
    assert [(cause, body) for _, cause, body in letters(state)] == [("spool_damaged", None)]


def test_a_source_is_seen_with_its_newest_event_which_never_moves_back(tmp_path: Path) -> None:
    state, lake = opened(tmp_path)
    older = LINE.replace(b"24/Nov/2026:16", b"24/Nov/2026:15")
    for number, body in enumerate((LINE, older)):
        with SpoolWriter(tmp_path / "spool", "n1") as writer:
            writer.append([Draft("web", to_micros(NOW) + number, body)])
        settle(SpoolReader(tmp_path / "spool", "n1"), state, lake)
    with state.read() as session:
        (seen,) = session.query(SourceSeen).all()
    assert (seen.source, seen.node, seen.last_event, seen.last_received) == (
        "web", "normalise", NOW, NOW + timedelta(microseconds=1),
    )  # fmt: skip
