"""A damaged file of the lake is named with what it held, mended where that can be, and never a silent gap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.small_home import another_agency, line, small_home
from support.terminal import Terminal

from collectors.spool import SpoolWriter
from pipeline.detect.running.coverage import coverage_of
from pipeline.model.clock import utc_now
from pipeline.model.detections import Window
from pipeline.model.errors import DamagedError
from pipeline.model.scope import Scope
from pipeline.serve.ingest import detect_all, settle_node
from pipeline.serve.installation import Installation
from pipeline.serve.keeping.backup import back_up
from pipeline.state.tables.rules import RuleRow
from pipeline.store.base import ALL_TIME

NODE = "collect-1"
WINDOW = Window({NODE: (0, 10)})
EVERYTHING = Scope.everything()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    """Four events of p1 and one of p2 in one file, which the spool still holds."""
    home = small_home(tmp_path / "home")
    another_agency(home, "p2")
    with SpoolWriter(home.settings.spool, NODE) as writer:
        writer.append([line(0), line(4, source="p2-win"), *(line(n) for n in range(1, 4))])
    settle_node(home, NODE)
    yield home
    home.close()


def _file(here: Installation) -> Path:
    (path,) = here.settings.lake.rglob("*.parquet")
    return path


def _flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0x10
    path.write_bytes(body)


def _events(here: Installation, scope: Scope = EVERYTHING) -> list[bytes]:
    return [
        each for _, table in here.store.scan(WINDOW, scope=scope)
        for each in table.column("event.id").to_pylist()
    ]  # fmt: skip


@pytest.fixture
def terminal(
    here: Installation,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Terminal:
    return Terminal(tmp_path / "home", capsys, monkeypatch)


def _verify(terminal: Terminal, *options: str) -> tuple[int, list[dict[str, object]]]:
    done = terminal.say("store verify --json", *options)
    return done.code, json.loads(done.out)["items"]


def test_a_whole_lake_says_what_was_read_and_that_it_is_whole(
    here: Installation, terminal: Terminal
) -> None:
    size = _file(here).stat().st_size
    done = terminal.say("store verify")
    assert (done.code, done.out) == (
        0, f"read whole: 1 files, 5 events, {size:,} bytes; all as they were written\n",
    )  # fmt: skip
    assert terminal.say("store verify --json").json == {
        "files": 1, "events": 5, "bytes": size, "items": [],
    }  # fmt: skip
    _flip(_file(here))
    assert "1 not as written" in terminal.say("store verify").out


@pytest.mark.parametrize("harm", ["flip", "cut", "gone"])
def test_damage_is_told_with_exactly_what_the_file_held(
    here: Installation, terminal: Terminal, harm: str
) -> None:
    path = _file(here)
    if harm == "flip":
        _flip(path)
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.unlink()
    code, (told,) = _verify(terminal)
    assert code == 3
    assert (told["now"], told["rows"], told["agencies"], told["spans"]) == (
        "damaged", 5, {"p1": 4, "p2": 1}, {NODE: [1, 5]},
    )  # fmt: skip
    assert told["what"] == {
        "flip": "its bytes have changed", "gone": "it is gone",
        "cut": f"{path.stat().st_size if path.exists() else 0} bytes instead of {told['bytes']}",
    }[harm]  # fmt: skip


@pytest.mark.parametrize("gone", [False, True])
def test_the_spool_gives_the_same_events_again(
    here: Installation, terminal: Terminal, *, gone: bool
) -> None:
    before, old = _events(here), _file(here)
    old.unlink() if gone else _flip(old)
    code, (told,) = _verify(terminal, "--repair")
    assert (code, told["now"]) == (0, "made anew")
    assert _events(here) == before
    assert _verify(terminal) == (0, [])


def test_what_retention_took_does_not_come_back(here: Installation, terminal: Terminal) -> None:
    here.store.delete_before("p2", utc_now(), now=utc_now())
    before = _events(here)
    for each in here.settings.lake.rglob("*.parquet"):
        _flip(each)
    code, (told,) = _verify(terminal, "--repair")
    assert (code, told["now"], told["agencies"]) == (0, "made anew", {"p1": 4})
    assert _events(here) == before


def test_what_the_spool_has_let_go_of_stays_damaged(here: Installation, terminal: Terminal) -> None:
    _flip(_file(here))
    for segment in (here.settings.spool / NODE).iterdir():
        segment.unlink()
    code, (told,) = _verify(terminal, "--repair")
    assert (code, told["now"]) == (3, "damaged")


def test_a_backup_gives_the_same_bytes_again(
    here: Installation, terminal: Terminal, tmp_path: Path
) -> None:
    before, backup = _file(here).read_bytes(), tmp_path / "backup.tar"
    back_up(here, backup, now=utc_now(), progress=lambda done, total: None)
    _flip(_file(here))
    code, (told,) = _verify(terminal, "--backup", str(backup))
    assert (code, told["now"]) == (0, "put back")
    assert _file(here).read_bytes() == before


def test_a_backup_of_other_bytes_is_not_taken(
    here: Installation, terminal: Terminal, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.tar"
    back_up(here, backup, now=utc_now(), progress=lambda done, total: None)
    held = _file(here).read_bytes()
    backup.write_bytes(backup.read_bytes().replace(held[100:160], held[100:159] + b"\0"))
    _flip(_file(here))
    damaged = _file(here).read_bytes()
    code, (told,) = _verify(terminal, "--backup", str(backup))
    assert (code, told["now"], _file(here).read_bytes()) == (3, "damaged", damaged)


def test_what_is_given_up_is_listed_as_lost_and_stops_nobody_any_more(
    here: Installation, terminal: Terminal
) -> None:
    _flip(_file(here))
    _file(here).write_bytes(_file(here).read_bytes()[:-9])
    with pytest.raises(DamagedError, match="thapcanh store verify"):
        _events(here)
    code, (told,) = _verify(terminal, "--give-up")
    assert (code, told["now"], _events(here)) == (0, "given up", [])
    one = here.store.search("*", scope=Scope.of("p1"), when=ALL_TIME)
    assert (list(one.documents), one.missing) == ([], 4)
    assert here.store.health().figures["lost_events"] == 5
    detect_all(here)
    with here.state.read() as session:
        rule = session.query(RuleRow.id).filter(RuleRow.origin == "test").scalar()
    answer = coverage_of(here.state, here.store.watermark(), rule, agency="p2")
    assert [(lost.dataset, lost.agencies) for lost in answer.lost] == [(told["dataset"], {"p2": 1})]
    shown = terminal.say("retention show --json")
    assert {(d["agency"], d["reason"], d["events"]) for d in json.loads(shown.out)["disposals"]} == {
        ("p1", "lost", 4), ("p2", "lost", 1),
    }  # fmt: skip
