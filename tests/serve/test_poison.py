"""A record that kills, hangs or starves its process is refused with its bytes; all others arrive once."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import poisoned
from support.serving import until

from collectors.spool import Draft, SpoolWriter
from pipeline.model import events
from pipeline.model.clock import to_micros, utc_now
from pipeline.model.detections import Window
from pipeline.model.scope import OPERATOR, Scope
from pipeline.normalise.guard import GIVE_UP, Attempt, Guard
from pipeline.serve.installation import Installation, open_home
from pipeline.serve.supervisor import Supervisor
from pipeline.sources import register
from pipeline.state.tables.intake import DeadLetterRow, Settlement
from pipeline.state.tables.operation import Pulse

pytestmark = pytest.mark.faults
SCRIPT = poisoned.__file__
Letter = tuple[int, str, bytes | None]


@pytest.fixture(autouse=True)
def _this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts import what the test does."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thapcanh.yml").write_text("serve: {stuck_after: 4}\nnormalise: {interval: 0.1}\n")
    opened = open_home(home)
    now = utc_now()
    register.add_agency(opened.state, OPERATOR, agency="p1", name_vi="P1", name_en="P1", now=now)
    register.add_source(
        opened.state, OPERATOR, source="p1-any", agency="p1", product="generic",
        known_products=["generic"], now=now,
    )  # fmt: skip
    yield opened
    opened.close()


def spool(here: Installation, *bodies: bytes) -> None:
    with SpoolWriter(here.settings.spool, "n1") as writer:
        writer.append([Draft("p1-any", to_micros(utc_now()), body) for body in bodies])


@contextlib.contextmanager
def supervised(here: Installation) -> Iterator[Supervisor]:
    """The role normalise under its real supervisor, as a process with the poisoned format."""
    home = str(here.settings.home)
    supervisor = Supervisor(
        here, ("normalise",),
        command=lambda role: [sys.executable, SCRIPT, "serve", role, "--home", home, "--supervised"],
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        yield supervisor
    finally:
        stop.set()
        thread.join(20)


def watermark(here: Installation) -> int:
    return here.store.watermark().get("n1", 0)


def stored(here: Installation) -> list[str]:
    """The text of every event, by sequence."""
    wanted = {"generic.log": frozenset({events.ORIGINAL})}
    window = Window({"n1": (0, watermark(here))})
    return [
        text
        for _, table in here.store.scan(window, scope=Scope.everything(), columns=wanted)
        for text in table.column(events.ORIGINAL).to_pylist()
    ]


def letters(here: Installation) -> list[Letter]:
    with here.state.read() as session:
        rows = session.query(DeadLetterRow).order_by(DeadLetterRow.sequence).all()
    return [(row.sequence, row.cause, row.body) for row in rows]


def pid(here: Installation) -> int:
    with here.state.read() as session:
        return session.query(Pulse).one().pid


@pytest.mark.parametrize("word", [b"KILL-ME", b"HANG-ME", b"EAT-ME"])
def test_poison_is_bisected_out_under_the_supervisor_and_the_rest_arrives_once(
    here: Installation, word: bytes
) -> None:
    lines = [b"line %d" % number for number in range(1, 301)]
    lines[199] = b"\x00\xff " + word
    spool(here, *lines)
    with supervised(here):
        until(lambda: watermark(here) == 300, seconds=90)
        assert letters(here) == [(200, "poison", lines[199])]
        survivor = until(lambda: pid(here))
        spool(here, b"after", word, b"the end")  # who has met poison is careful for a while
        until(lambda: watermark(here) == 303, seconds=60)
        assert pid(here) == survivor
    assert letters(here) == [(200, "poison", lines[199]), (302, "poison", word)]
    well = [line.decode() for line in lines if word not in line]
    assert stored(here) == [*well, "after", "the end"]
    assert list(here.settings.run.glob("attempt-*")) == []


def test_a_role_that_was_only_killed_refuses_nothing(here: Installation) -> None:
    spool(here, b"one", b"two")
    (here.settings.run / "attempt-n1").write_text('{"first": 1, "last": 2, "deaths": 5}')
    with supervised(here):
        until(lambda: watermark(here) == 2)
    assert (letters(here), stored(here)) == ([], ["one", "two"])


def test_what_outlives_the_bisecting_shrinks_from_death_to_death_and_is_refused_alone(
    here: Installation, tmp_path: Path
) -> None:
    """Deaths outside of the normaliser: nothing tells the record, save that it is always there."""
    sizes, last = [], 20_000
    for _ in range(20):
        guard = Guard(tmp_path)
        if guard.given_up("n1", 0):
            break
        last = guard.limit("n1", 0, 20_000)
        sizes.append(last)
        with contextlib.suppress(MemoryError), guard.attempt("n1", 1, last):
            raise MemoryError
    assert sizes == [20_000, 20_000, 1250, 78, 4, 1, 1, 1]
    assert len(sizes) == GIVE_UP

    spool(here, b"the last straw", b"innocent")
    mark = {"first": 1, "last": 1, "deaths": GIVE_UP - 1}
    (here.settings.run / "attempt-n1").write_text(json.dumps(mark))
    with supervised(here):
        until(lambda: watermark(here) == 2)
    assert (letters(here), stored(here)) == ([(1, "poison", b"the last straw")], ["innocent"])


def test_a_mark_of_other_receipts_or_half_written_says_nothing(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"first": 5, "last": 9, "deaths": 0}'):
        (tmp_path / "attempt-n1").write_text(text)
        guard = Guard(tmp_path)
        assert (guard.limit("n1", 0, 100), guard.given_up("n1", 0)) == (100, 0)
        with guard.attempt("n1", 1, 3):
            assert json.loads((tmp_path / "attempt-n1").read_text())["last"] == 3
        assert not (tmp_path / "attempt-n1").exists()
    assert Attempt(1, 3) == Attempt(1, 3, 0)


def test_ingest_lives_to_tell_what_it_refused(here: Installation, tmp_path: Path) -> None:
    file = tmp_path / "lines.log"
    file.write_bytes(b"one\nKILL-ME now\nthree\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, "ingest", str(file), "--source", "p1-any", "--json",
         "--home", str(here.settings.home)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "1 records were refused" in done.stderr) == (3, True)
    counts = json.loads(done.stdout)
    assert (counts["stored"], counts["refused"]) == (2, 1)
    assert letters(here) == [(2, "poison", b"KILL-ME now")]
    with here.state.read() as session:
        assert session.query(Settlement).one().refused == 1


def test_normalise_of_a_file_names_the_line_that_kills_and_prints_the_others(
    tmp_path: Path,
) -> None:
    file = tmp_path / "lines.log"
    file.write_bytes(b"one\nKILL-ME now\nthree\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, "normalise", str(file), "--product", "generic"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    texts = [json.loads(line)["event"]["original"] for line in done.stdout.splitlines()]
    assert (done.returncode, texts) == (3, ["one", "three"])
    for part in ("lines.log, line 2", "KILL-ME now", "SIGKILL", "report such a record"):
        assert part in done.stderr
