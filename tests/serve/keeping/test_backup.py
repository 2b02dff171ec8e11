"""A backup of a system at work, restored, goes on as if nothing had been; a damaged one restores nothing."""

from __future__ import annotations

import hashlib
import json
import random
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.small_home import NODE, line, numbers_stored, outcome, small_home, spool, work_off

from collectors.spool import SpoolLimits, SpoolWriter
from pipeline.model.clock import utc_now
from pipeline.model.errors import ConflictError, DamagedError, ServiceAwayError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.serve.ingest import settle_node
from pipeline.serve.installation import Installation, open_home
from pipeline.serve.keeping import staging, state_copy
from pipeline.serve.keeping.backup import Report, back_up, restore
from pipeline.serve.locks import role_lock
from pipeline.serve.policy import shelf_of
from pipeline.state.tables.operation import Meta
from pipeline.tickets.attachments import Given, attach, keep
from pipeline.tickets.deeds import Request


def quiet(_done: int, _total: int) -> None:
    """A progress bar that nobody sees."""


def taken(here: Installation, target: Path) -> Report:
    return back_up(here, target, now=utc_now(), progress=quiet)


def restored(source: Path, home: Path, **environ: str) -> Installation:
    done = restore(source, home, environ=environ, progress=quiet)
    assert done.missing == ()
    return open_home(home, create=False)


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    return small_home(tmp_path / "home")


def test_a_restored_home_goes_on_and_makes_each_event_finding_and_ticket_once(
    here: Installation, tmp_path: Path
) -> None:
    spool(here, 1, 2, 3)
    work_off(here)
    spool(here, 4, 5)  # acknowledged, not settled
    taken(here, tmp_path / "b")
    spool(here, 6)  # after the backup: lost with the old home
    again = restored(tmp_path / "b", tmp_path / "new")
    assert numbers_stored(again) == [1, 2, 3]
    spool(again, 7)
    work_off(again)
    assert outcome(again) == ([1, 2, 3, 4, 5, 7], [6], [(1, 6)])
    assert again.key == here.key
    assert (tmp_path / "new" / "rehearsal" / "rule.yml").exists()
    with again.state.read() as session:
        assert session.get_one(Meta, "restored").value["from"] == "b"


def test_attachments_of_tickets_are_in_it_and_what_no_row_names_is_not(
    here: Installation, tmp_path: Path
) -> None:
    spool(here, 1)
    work_off(here)
    shelf = shelf_of(here.settings)
    request = Request(actor=OPERATOR, ticket="1")
    attach(here.state, request, shelf, [Given("a.txt", b"mot"), Given("b.txt", b"hai")], now=utc_now())  # fmt: skip
    keep(shelf, b"ba", hashlib.sha256(b"ba").hexdigest())
    taken(here, tmp_path / "b")
    again = restored(tmp_path / "b", tmp_path / "new")
    files = [path for path in shelf_of(again.settings).folder.rglob("*") if path.is_file()]
    assert sorted(path.read_bytes() for path in files) == [b"hai", b"mot"]
    shelf.place(hashlib.sha256(b"mot").hexdigest()).unlink()
    report = taken(here, tmp_path / "c")
    assert report.missing == (f"attachments/{hashlib.sha256(b'mot').hexdigest()} is gone",)


NORMALISE = """
import sys, select
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from support.small_home import NODE
from collectors.spool import SpoolReader
from pipeline.serve.ingest import settle_node
from pipeline.serve.installation import open_home
here = open_home(Path(sys.argv[1]))
print(flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    settle_node(here, NODE)
    with SpoolReader(here.settings.spool, NODE) as reader:
        reader.release(here.store.watermark().get(NODE, 0), retain=0)
"""


def test_backups_of_a_system_at_work_hold_every_record_acknowledged_before_them(
    here: Installation, tmp_path: Path
) -> None:
    """Small segments are filled, sealed, settled and released while backups are taken, one on another."""
    stop, sent = threading.Event(), [0]

    def collect() -> None:
        limits = SpoolLimits(segment_bytes=3_000)
        with SpoolWriter(here.settings.spool, NODE, limits) as writer:
            while not stop.is_set():
                writer.append([line(sent[0] + 1), line(sent[0] + 2)])
                sent[0] += 2

    collecting = threading.Thread(target=collect)
    collecting.start()
    normalising = subprocess.Popen(
        [sys.executable, "-c", NORMALISE, str(here.settings.home), str(Path(__file__).parents[2])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert normalising.stdout is not None
    normalising.stdout.readline()
    before = []
    try:
        for number in range(5):
            acknowledged = sent[0]
            assert taken(here, tmp_path / f"b{number}").missing == ()
            before.append((acknowledged, sent[0]))
    finally:
        stop.set()
        collecting.join()
        normalising.communicate()
    for number, (acknowledged, upto) in enumerate(before):
        again = restored(tmp_path / f"b{number}", tmp_path / f"new{number}")
        settle_node(again, NODE)
        found = numbers_stored(again)
        assert found == list(range(1, len(found) + 1))
        assert acknowledged <= len(found) <= upto + 2
        spool(again, 1_000_000)  # the next sequence is the next one
        settle_node(again, NODE)
        assert numbers_stored(again) == [*found, 1_000_000]
        again.close()
    assert before[-1][0] > 0


def test_what_is_swept_away_between_state_and_files_is_copied_as_of_a_later_state(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool(here, 1)
    settle_node(here, NODE)
    real, tries = staging.stage_lake, []

    def swept(*words: Any) -> list[str]:
        tries.append(1)
        if len(tries) == 1:
            spool(here, 2)
            settle_node(here, NODE)
            return ["a file of the first state"]
        return real(*words)

    monkeypatch.setattr(staging, "stage_lake", swept)
    assert taken(here, tmp_path / "b").missing == ()
    assert (len(tries), numbers_stored(restored(tmp_path / "b", tmp_path / "n"))) == (2, [1, 2])


def test_nobody_sweeps_away_what_a_backup_holds_on_to(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is deleted, and its hour over, when the files are to be copied."""
    spool(here, 1, 2)
    settle_node(here, NODE)
    real = staging.stage_spool

    def swept(*words: Any) -> list[str]:
        later = utc_now() + timedelta(days=2)
        assert here.store.delete_before("p1", later, now=utc_now()) == 2
        assert here.store.sweep(later) == 1
        return real(*words)

    monkeypatch.setattr(staging, "stage_spool", swept)
    assert taken(here, tmp_path / "b").missing == ()
    assert numbers_stored(restored(tmp_path / "b", tmp_path / "n")) == [1, 2]
    assert list(here.settings.lake.rglob("*.parquet")) == []


def test_a_lake_on_another_disk_is_linked_there(here: Installation, tmp_path: Path) -> None:
    spool(here, 1)
    settle_node(here, NODE)
    here.settings.lake.rename(tmp_path / "big")
    here.settings.lake.symlink_to(tmp_path / "big")
    assert taken(here, tmp_path / "b").missing == ()
    assert numbers_stored(restored(tmp_path / "b", tmp_path / "n")) == [1]
    assert not (tmp_path / "big" / ".held").exists()


def test_a_backup_names_what_it_could_not_hold_or_holds_damaged(
    here: Installation, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        spool(here, number)
        settle_node(here, NODE)
    gone, bad, _ = sorted(here.settings.lake.rglob("*.parquet"))
    gone.unlink()
    bad.write_bytes(b"\0" + bad.read_bytes()[1:])
    done = taken(here, tmp_path / "b")
    lake = here.settings.lake.parent
    assert done.missing == (
        f"{gone.relative_to(lake)} is gone",
        f"{bad.relative_to(lake)} is not what was written once",
    )
    said = restore(tmp_path / "b", tmp_path / "n", environ={}, progress=quiet).missing
    assert any(gone.name in note for note in said)


def _is_refused(source: Path, home: Path) -> bool:
    try:
        restore(source, home, environ={}, progress=quiet)
    except DamagedError:
        return True
    return False


def test_whatever_byte_is_changed_or_missing_nothing_wrong_is_restored(
    here: Installation, tmp_path: Path
) -> None:
    spool(here, 1, 2)
    work_off(here)
    spool(here, 3)
    taken(here, tmp_path / "b")
    whole = (tmp_path / "b").read_bytes()
    chooser = random.Random(20261124)
    refused = 0
    for n in range(60):
        place = chooser.randrange(len(whole))
        cut = n % 3 == 0
        data = (
            whole[:place] if cut else whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        )
        (tmp_path / "x").write_bytes(data)
        home = tmp_path / f"n{n}"
        if _is_refused(tmp_path / "x", home):
            refused += 1
            assert not home.exists()
        else:  # the change was in the padding between members, or only padding was cut off
            assert (home / "keys" / "installation.key").read_bytes() == here.key
    assert refused > 40
    assert not list(tmp_path.glob(".*"))


def refusals(here: Installation, tmp_path: Path) -> dict[str, Callable[[], object]]:
    return {
        "a backup inside the home is lost with it": lambda: taken(here, here.settings.home / "b"),
        "there is such a file already": lambda: taken(here, tmp_path / "b"),
        "there is no such folder": lambda: taken(here, tmp_path / "none" / "b"),
        "the home is not empty": lambda: restored(tmp_path / "b", here.settings.home),
        "the backup cannot be read": lambda: restored(tmp_path / "none", tmp_path / "n"),
        "the backup holds another kind of state": lambda: restored(
            tmp_path / "b", tmp_path / "n", THAPCANH__STATE__URL="postgresql+psycopg://x@h/d"
        ),
    }


def test_a_user_s_mistake_is_told_with_its_remedy_and_changes_nothing(
    here: Installation, tmp_path: Path
) -> None:
    taken(here, tmp_path / "b")
    for said, mistake in refusals(here, tmp_path).items():
        with pytest.raises(UsageError, match=said):
            mistake()
    assert not (tmp_path / "n").exists()
    assert (tmp_path / "b").exists()


def test_a_backup_of_a_newer_version_is_refused_before_anything_is_written(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.serve.keeping.backup.current", lambda _state: "9001")
    taken(here, tmp_path / "b")
    with pytest.raises(UsageError, match="newer version of the program"):
        restored(tmp_path / "b", tmp_path / "n")
    monkeypatch.undo()
    monkeypatch.setattr("pipeline.serve.keeping.archive.FORMAT", 2)
    taken(here, tmp_path / "b2")
    monkeypatch.undo()
    with pytest.raises(UsageError, match="got format 2; expected format 1"):
        restored(tmp_path / "b2", tmp_path / "n")
    assert not list(tmp_path.glob(".*"))


def test_only_its_owner_reads_a_backup_and_an_empty_home_may_be_there(
    here: Installation, tmp_path: Path
) -> None:
    taken(here, tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    (tmp_path / "n").mkdir()
    restored(tmp_path / "b", tmp_path / "n")
    key = tmp_path / "n" / "keys" / "installation.key"
    assert (stat.S_IMODE(key.stat().st_mode), stat.S_IMODE(key.parent.stat().st_mode)) == (
        0o600,
        0o700,
    )


def test_without_room_for_it_no_backup_is_begun(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.serve.keeping.backup._SPARE", 1 << 60)
    with pytest.raises(ServiceAwayError, match="there is no room for the backup"):
        taken(here, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert not (here.settings.run / "backup").exists()


def test_two_backups_at_once_are_one_too_many(here: Installation, tmp_path: Path) -> None:
    with role_lock(here.settings.run, "backup"), pytest.raises(ConflictError, match="backup"):
        taken(here, tmp_path / "b")


def test_a_member_that_points_out_of_the_home_is_refused(tmp_path: Path) -> None:
    """Somebody who can write a backup must not be able to write elsewhere by it."""
    import io

    with tarfile.open(tmp_path / "b", "w") as archive:
        for name, data in (
            ("BACKUP.json", json.dumps({"format": 1, "state": "0001"}).encode()),
            ("../outside", b"x"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(DamagedError, match="has no place in a backup"):
        restored(tmp_path / "b", tmp_path / "n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


def test_a_state_in_postgresql_is_dumped_and_put_into_an_empty_database(
    tmp_path: Path, postgres_database: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THAPCANH__STATE__URL", _emptied(postgres_database))
    here = small_home(tmp_path / "home")
    spool(here, 1, 2)
    work_off(here)
    spool(here, 3)
    taken(here, tmp_path / "b")
    with pytest.raises(ConflictError, match="there is a state already"):
        restored(tmp_path / "b", tmp_path / "n", THAPCANH__STATE__URL=postgres_database)
    here.close()
    _emptied(postgres_database)
    environ = {"THAPCANH__STATE__URL": postgres_database}
    done = restore(tmp_path / "b", tmp_path / "n", environ=environ, progress=quiet)
    assert (done.missing, ["write the new state.url" in note for note in done.notes]) == (
        (), [True],
    )  # fmt: skip
    again = open_home(tmp_path / "n", create=False)
    work_off(again)
    assert outcome(again) == ([1, 2, 3], [3], [(1, 3)])
    again.close()


def _emptied(url: str) -> str:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return url


def test_without_pg_dump_the_operator_is_told_what_to_install(
    tmp_path: Path, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THAPCANH__STATE__URL", _emptied(postgres_database))
    here = small_home(tmp_path / "home")
    monkeypatch.setattr(state_copy.shutil, "which", lambda _name: None)
    with pytest.raises(UsageError, match=r"pg_dump is not installed here.*postgresql-client"):
        taken(here, tmp_path / "b")
    here.close()
