"""The lake: commits whole or not at all, in order, within a scope."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.model.clock import to_micros
from pipeline.model.detections import Window
from pipeline.model.errors import ConflictError, DamagedError
from pipeline.model.records import DeadLetter, Settled
from pipeline.model.scope import Scope
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products
from pipeline.state.migrate import upgrade
from pipeline.state.state import State
from pipeline.store.base import Commit
from pipeline.store.lake.store import Lake

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
LINE = b'203.0.113.9 - - [24/Nov/2026:16:00:0%d +0700] "GET /%d HTTP/1.1" 200 12 "-" "curl/8"'


@pytest.fixture
def state(tmp_path: Path) -> State:
    opened = State.at(tmp_path / "state.sqlite")
    upgrade(opened)
    return opened


@pytest.fixture
def lake(tmp_path: Path, state: State) -> Lake:
    return Lake(tmp_path / "lake", state)


def commit(first: int, count: int, agency: str = "p1", **more: object) -> Commit:
    from pipeline.model.records import RawRecord

    records = [
        RawRecord(n, f"{agency}-web", to_micros(NOW) + n, LINE % (n % 10, n))
        for n in range(first, first + count)
    ]
    context = Context(node="n1", agency=agency, source=f"{agency}-web", key=b"k" * 32, ingested=0)
    tables = normalise(load_products()["nginx"], records, context).tables
    return Commit(node="n1", first=first, last=first + count - 1, tables=tables, **more)  # type: ignore[arg-type]


def paths(lake: Lake, window: Window, scope: Scope) -> list[tuple[int, str]]:
    wanted = {"nginx.access": frozenset({"url.path"})}
    return [
        (row["thapcanh.sequence"], row["url.path"])
        for _, table in lake.scan(window, scope=scope, columns=wanted)
        for row in table.select(["thapcanh.sequence", "url.path"]).to_pylist()
    ]


def test_what_was_committed_is_scanned_in_sequence_order_within_window_and_scope(
    lake: Lake,
) -> None:
    assert lake.append(commit(1, 3), now=NOW) == Settled("n1", 1, 3, stored=3)
    assert lake.append(commit(4, 3, "p2"), now=NOW) == Settled("n1", 4, 6, stored=3)
    assert lake.watermark() == {"n1": 6}
    everything = paths(lake, Window({"n1": (0, 6)}), Scope.everything())
    assert everything == [(n, f"/{n}") for n in range(1, 7)]
    assert paths(lake, Window({"n1": (1, 5)}), Scope.of("p2")) == [(4, "/4"), (5, "/5")]
    assert paths(lake, Window({"n1": (0, 6)}), Scope.of()) == []


def test_a_range_is_settled_once_and_never_with_a_gap(lake: Lake) -> None:
    lake.append(commit(1, 3), now=NOW)
    for wrong in (commit(1, 3), commit(3, 2), commit(5, 1)):
        with pytest.raises(ConflictError):
            lake.append(wrong, now=NOW)
    assert lake.watermark() == {"n1": 3}


def test_a_resent_event_is_known_not_stored_again_even_by_another_process(
    lake: Lake, state: State, tmp_path: Path
) -> None:
    again = frozenset({"nginx.access"})
    sent = commit(1, 3, resendable=again)
    doubled = {name: pa.concat_tables([table, table]) for name, table in sent.tables.items()}
    assert lake.append(sent, now=NOW) == Settled("n1", 1, 3, stored=3)
    resend = Commit(node="n1", first=4, last=9, tables=doubled, resendable=again)
    other = Lake(tmp_path / "lake", state)
    assert other.append(resend, now=NOW) == Settled("n1", 4, 9, stored=0, known=6)


def test_counts_that_do_not_add_up_settle_nothing(lake: Lake) -> None:
    short = commit(1, 3)
    with pytest.raises(ValueError, match="does not add up"):
        lake.append(Commit(node="n1", first=1, last=4, tables=short.tables), now=NOW)
    assert lake.watermark() == {}
    letter = DeadLetter(4, "p1-web", "p1", "poison", "killed the parser", 4_000_000, body=b"\x00")
    whole = Commit(
        node="n1", first=1, last=5, tables=short.tables, dead=[letter], refused=1, dropped=1
    )
    assert lake.append(whole, now=NOW) == Settled("n1", 1, 5, stored=3, refused=1, dropped=1)


def test_an_event_is_got_by_id_within_the_scope_only(lake: Lake) -> None:
    sent = commit(1, 2)
    lake.append(sent, now=NOW)
    ids = [one.as_py().hex() for one in sent.tables["nginx.access"].column("event.id")]
    found = lake.get([ids[1], "00" * 16, ids[0]], scope=Scope.of("p1"))
    assert [one["url"]["path"] for one in found] == ["/2", "/1"]
    assert lake.get(ids, scope=Scope.of("p2")) == []


@pytest.mark.parametrize("harm", ["cut", "gone", "pages"])
def test_a_harmed_file_is_an_error_that_names_it_never_a_gap(
    lake: Lake, tmp_path: Path, harm: str
) -> None:
    lake.append(commit(1, 2), now=NOW)
    path = next((tmp_path / "lake").rglob("*.parquet"))
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif harm == "pages":  # the footer is whole, the size too
        content = path.read_bytes()
        path.write_bytes(content[:4] + b"\xff" * 1_500 + content[1_504:])
    else:
        path.unlink()
    with pytest.raises(DamagedError, match=path.name):
        paths(lake, Window({"n1": (0, 2)}), Scope.everything())
    assert (lake.health().status == "degraded") is (harm != "pages")


def test_a_file_that_no_manifest_row_names_is_not_seen_and_swept_when_old(
    lake: Lake, tmp_path: Path
) -> None:
    import os

    lake.append(commit(1, 2), now=NOW)
    kept = next((tmp_path / "lake").rglob("*.parquet"))
    orphan = kept.with_name("orphan.parquet")
    orphan.write_bytes(kept.read_bytes())
    assert len(paths(lake, Window({"n1": (0, 2)}), Scope.everything())) == 2
    os.utime(orphan, (0, 0))
    os.utime(kept, (0, 0))
    assert (lake.sweep(NOW), orphan.exists(), kept.exists()) == (1, False, True)
