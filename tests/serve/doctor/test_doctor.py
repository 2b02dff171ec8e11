"""The doctor names what is wrong and the remedy, whatever it is that is wrong."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.findings import Given, take
from support.small_home import NODE, small_home, spool, work_off

from pipeline.model.clock import utc_now
from pipeline.serve import disk
from pipeline.serve.doctor import host as host_checks
from pipeline.serve.doctor.doctor import examine, examine_home
from pipeline.serve.doctor.symptoms import Symptom
from pipeline.serve.ingest import settle_node
from pipeline.serve.installation import Installation
from pipeline.serve.keeping.backup import back_up
from pipeline.state.alarms import raise_alarm
from pipeline.state.tables.intake import DeadLetterRow, Settlement
from pipeline.state.tables.operation import Meta, Pulse
from pipeline.state.tables.tickets import Outbox, Ticket

GIB = 1 << 30


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    """With ports of its own, so that a server at work beside the tests is not in the way."""
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "thapcanh.yml").write_text(
        "collect: {listeners: [{name: http, kind: http_bulk, port: 0}]}\nconsole: {port: 0}\n"
    )
    return small_home(tmp_path / "home")


def seen(here: Installation, part: str, now: datetime | None = None) -> Symptom:
    (found,) = [one for one in examine(here, now or utc_now()) if one.part == part]
    return found


def test_a_system_that_is_well_has_no_failing_part_and_each_line_says_so(
    here: Installation, tmp_path: Path
) -> None:
    spool(here, 1)
    work_off(here)
    with here.state.begin() as session:
        now = utc_now()
        session.add(Pulse(role="detect", node="", pid=1, started=now, beat=now, progress=now))
    back_up(here, tmp_path / "b", now=utc_now(), progress=lambda _d, _t: None)
    found = examine(here, utc_now())
    # the clock and the disk are the machine's, whatever it is
    ours = [one for one in found if one.part not in ("clock", "disk of lake", "disk of spool")]
    assert [one for one in ours if one.state != "ok"] == []
    assert all(one.found and not one.remedy for one in ours)


def test_the_outbox_is_told_in_every_state(here: Installation) -> None:
    now = utc_now()
    take(here.state, [Given("f1")])
    with here.state.begin() as session:
        ticket = session.scalars(sa.select(Ticket.id)).one()
        for state, rows in (("waiting", 3), ("sending", 1), ("unknown", 2), ("sent", 4)):
            session.add_all(
                Outbox(
                    ticket=ticket, mirror="rt", what="opened", body={}, state=state, made=now, due=now
                )
                for _ in range(rows)
            )  # fmt: skip
    line = seen(here, "outbox")
    told = "3 waiting, 1 being sent, 2 to be looked up, 0 given up"
    assert (line.state, line.found) == ("ok", told)


def test_everything_that_is_wrong_is_named_with_its_remedy(here: Installation) -> None:
    spool(here, 1)
    work_off(here)
    spool(here, 2)
    now = utc_now()
    with here.state.begin() as session:
        session.add(
            Pulse(
                role="detect", node="", pid=1, started=now, beat=now - timedelta(hours=1),
                progress=now,
            )
        )  # fmt: skip
        session.add(
            DeadLetterRow(
                node=NODE, sequence=1, source="s", agency="p1", cause="poison", message="x",
                received=now,
            )
        )  # fmt: skip
        used = [[i * 3600, i * GIB] for i in range(30)]
        session.add(Meta(name="disk", value={"used": used}))
    raise_alarm(here.state, "normalise:store", "nothing can be stored", now=now)
    next(here.settings.lake.rglob("*.parquet")).unlink()
    disk.push_back(here.settings.spool, "90% of the disk is used")
    here.settings.keys.chmod(0o755)
    assert seen(here, "role detect").state == "warn"
    assert "thapcanh serve" in seen(here, "role detect").remedy
    assert seen(here, "dead letters").found == "1 poison"
    assert seen(here, "spool").found.startswith("1 records wait")
    assert seen(here, "alarm normalise:store").state == "fail"
    assert (seen(here, "store").state, "is gone" in seen(here, "store").found) == ("fail", True)
    assert seen(here, "push back").found == "90% of the disk is used"
    assert seen(here, "mode of keys").remedy.startswith("chmod 700 ")
    assert "a day, measured over 29 h" in seen(here, "forecast").found
    assert seen(here, "backup").found == "never made"


def test_a_clock_that_went_back_is_seen_by_what_the_state_knows(here: Installation) -> None:
    now = utc_now()
    with here.state.begin() as session:
        session.add(
            Settlement(node="n", first=1, last=1, stored=1, known=0, refused=0, dropped=0, at=now)
        )
    wrong = seen(here, "clock", now - timedelta(seconds=100))
    assert (wrong.state, wrong.found) == ("fail", "the last settlement is 100 s in the future")


def test_a_port_that_another_program_holds_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "thapcanh.yml").write_text(
            f"collect: {{listeners: [{{name: web, kind: http_bulk, port: {port}}}]}}\n"
        )
        found = seen(small_home(tmp_path / "home"), "port web")
    assert (found.state, found.found) == ("fail", f"127.0.0.1:{port}/tcp: Address already in use")


def test_a_small_udp_buffer_is_told_with_the_command_that_mends_it(
    tmp_path: Path,
) -> None:
    limit = tmp_path / "rmem_max"
    limit.write_text("212992\n")
    found = next(iter(host_checks.limits(small_home(tmp_path / "home"), limit)))
    assert found == Symptom(
        "udp buffer", "warn", "net.core.rmem_max = 212992", "sysctl -w net.core.rmem_max=4194304"
    )


def test_a_check_that_breaks_is_a_symptom_and_the_others_go_on(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_here: object) -> list[Symptom]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(host_checks, "storage", broken)
    found = examine(here, utc_now())
    assert [one.found for one in found if one.part == "disk"] == [
        "cannot be looked at: [Errno 5] Input/output error"
    ]
    assert len(found) > 15


def test_a_home_that_cannot_be_opened_is_a_finding_not_an_end(tmp_path: Path) -> None:
    (tmp_path / "thapcanh.yml").write_text("detect: {intervall: 3}\nretention: {days: x}\n")
    found = [one for one in examine_home(tmp_path, utc_now()) if one.part == "settings"]
    assert [one.state for one in found] == ["fail", "fail"]
    assert "did you mean interval?" in {one.remedy for one in found}
    (away,) = [one for one in examine_home(tmp_path / "none", utc_now()) if one.part == "home"]
    assert away.found.startswith("there is no home folder here")


def test_the_doctor_on_postgresql_names_it(
    tmp_path: Path, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.serve.installation import open_home
    from pipeline.state.migrate import newest
    from pipeline.state.state import State

    state = State.open(postgres_database)
    with state.begin() as session:
        import sqlalchemy as sa

        session.execute(sa.text("CREATE TABLE alembic_version (version_num varchar(32))"))
        session.execute(sa.text(f"INSERT INTO alembic_version VALUES ('{newest()}')"))
    state.close()
    monkeypatch.setenv("THAPCANH__STATE__URL", postgres_database)
    here = open_home(tmp_path / "home")
    found = seen(here, "state")
    assert (found.state, found.found.startswith("PostgreSQL 1"), "UTF8" in found.found) == (
        "ok", True, True,
    )  # fmt: skip
    here.close()


def test_the_command_prints_one_document_and_ends_with_3_where_something_is_wrong(
    here: Installation,
) -> None:
    def doctor() -> tuple[int, list[dict[str, str]]]:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli.main", "doctor", "--json", "--home",
             str(here.settings.home)],
            capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout)["items"]

    settle_node(here, NODE)
    raise_alarm(here.state, "k", "something is wrong", now=utc_now())
    code, items = doctor()
    assert code == 3
    assert set(items[0]) == {"state", "part", "found", "remedy"}
    assert "alarm k" in {one["part"] for one in items if one["state"] == "fail"}


def test_a_home_whose_database_is_away_or_broken_says_so_and_names_a_remedy(tmp_path: Path) -> None:
    away, broken = tmp_path / "away", tmp_path / "broken"
    for home in (away, broken):
        home.mkdir(mode=0o700)
    (away / "thapcanh.yml").write_text(
        "state: {url: 'postgresql+psycopg://u:geheim@127.0.0.1:9/x?connect_timeout=2'}\n"
    )
    small_home(broken).close()
    for part in broken.glob("state.sqlite*"):
        part.unlink()
    (broken / "state.sqlite").write_bytes(b"no database " * 999)
    for home in (away, broken):
        (told,) = [one for one in examine_home(home, utc_now()) if one.state == "fail"]
        assert (told.part, told.found.startswith("the state cannot be opened")) == ("home", True)
        assert "geheim" not in told.found
        assert told.remedy.startswith("start the database, free space")


def test_a_key_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    small_home(tmp_path / "home").close()
    key = tmp_path / "home" / "keys" / "installation.key"
    key.unlink()
    (told,) = [one for one in examine_home(tmp_path / "home", utc_now()) if one.state == "fail"]
    assert told.found == f"the installation's key is gone (at {key})"
    assert told.remedy.startswith("restore it from a backup")
    assert not key.exists()
