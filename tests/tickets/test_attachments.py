"""Files on tickets: what is taken, under which name, where it lies, who gets it, and when it goes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.detecting import MemoryStore, event
from support.people import AUDITOR, analyst, officer

from pipeline.model.clock import EPOCH
from pipeline.model.errors import ForbiddenError, LargeError, NotFoundError, UsageError
from pipeline.model.scope import Actor
from pipeline.state.state import State
from pipeline.state.tables.desk import Attachment
from pipeline.state.tables.lake import Hold
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket, TicketHistory
from pipeline.tickets import attachments, life
from pipeline.tickets.attachments import Given, Shelf
from pipeline.tickets.deeds import Request
from pipeline.tickets.file_kinds import kind_of, safe_name

NOW = EPOCH + timedelta(days=1)
AN = analyst("an")
PDF = b"%PDF-1.7\nbi\xc3\xaan b\xe1\xba\xa3n"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(folder=tmp_path / "attachments", max_bytes=1_000, per_ticket=3)


@pytest.fixture(autouse=True)
def agency(detect: Callable[..., MemoryStore], state: State) -> str:
    detect(event(1))
    with state.read() as session:
        return session.scalars(sa.select(Ticket.agency)).one()


def by(actor: Actor, key: str = "") -> Request:
    return Request(actor=actor, ticket="1", key=key)


def put(state: State, shelf: Shelf, *files: Given, actor: Actor = AN, key: str = "", text: str = "") -> None:  # fmt: skip
    attachments.attach(state, by(actor, key), shelf, files, text=text, now=NOW)


def rows(state: State) -> list[tuple[str, str, str, int]]:
    with state.read() as session:
        found = session.scalars(sa.select(Attachment).order_by(Attachment.name))
        return [(row.name, row.kind, row.sha256, row.size) for row in found]


def lies(shelf: Shelf) -> list[str]:
    return sorted(path.name for path in shelf.folder.rglob("*") if path.is_file())


def test_a_file_lies_under_its_hash_and_the_history_names_it(state: State, shelf: Shelf) -> None:
    sha = hashlib.sha256(PDF).hexdigest()
    put(state, shelf, Given("Biên bản.pdf", PDF), Given("bản sao.pdf", PDF), key="k")
    put(state, shelf, Given("Biên bản.pdf", PDF), Given("bản sao.pdf", PDF), key="k")
    assert rows(state) == [
        ("Biên bản.pdf", "pdf", sha, len(PDF)),
        ("bản sao.pdf", "pdf", sha, len(PDF)),
    ]
    assert lies(shelf) == [sha]
    assert shelf.place(sha).stat().st_mode & 0o777 == 0o600
    with state.read() as session:
        line = session.scalars(
            sa.select(TicketHistory).order_by(TicketHistory.place.desc())
        ).first()
        assert line is not None
        assert (line.what, line.by) == ("attached", "person:an")
        assert [one["sha256"] for one in line.detail["files"]] == [sha, sha]


def test_an_officers_file_with_words_answers_the_ticket(
    state: State, shelf: Shelf, agency: str
) -> None:
    life.claim(state, by(AN), now=NOW)
    life.wait_for(state, by(AN), whom="agency", note="xin nhật ký", now=NOW)
    put(state, shelf, Given("log.txt", b"a line\n"), actor=officer("o", agency), text="đây")
    with state.read() as session:
        ticket = session.scalars(sa.select(Ticket)).one()
        last = session.scalars(
            sa.select(TicketHistory).order_by(TicketHistory.place.desc())
        ).first()
        assert (ticket.status, ticket.waiting_for) == ("in_progress", "")
        assert last is not None
        assert (last.what, last.text, last.detail["files"][0]["name"]) == ("answered", "đây", "log.txt")  # fmt: skip


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ([], "no file is chosen"),
        ([Given("a.pdf", PDF), Given("b.bin", b"x" * 1_001)], "the file is too large"),
        ([Given("a.pdf", b"")], "the file is empty"),
        ([Given("a.pdf", PDF), Given("hoá đơn.pdf", b"MZ\x90\x00")], "files of this kind are not taken"),
        ([Given(f"{n}.pdf", PDF) for n in range(4)], "holds as many files as it can"),
        ([Given(f"{n}.pdf", PDF) for n in range(11)], "too many files at once"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_named_and_nothing_is_kept(
    state: State, shelf: Shelf, files: list[Given], what: str
) -> None:
    with pytest.raises(UsageError, match=what):
        put(state, shelf, *files)
    assert (rows(state), lies(shelf)) == ([], [])


def test_a_file_that_is_too_large_is_413(state: State, shelf: Shelf) -> None:
    with pytest.raises(LargeError) as error:
        put(state, shelf, Given("b.pdf", PDF * 100))
    assert (error.value.http_status, error.value.got) == (413, "b.pdf")


def test_who_may_not_speak_attaches_nothing_and_who_may_not_read_gets_nothing(
    state: State, shelf: Shelf, agency: str
) -> None:
    with pytest.raises(ForbiddenError):
        put(state, shelf, Given("a.pdf", PDF), actor=AUDITOR)
    with pytest.raises(NotFoundError, match="no such ticket"):
        put(state, shelf, Given("a.pdf", PDF), actor=officer("o", "another"))
    assert lies(shelf) == []
    put(state, shelf, Given("a.pdf", PDF))
    with state.read() as session:
        one = session.scalars(sa.select(Attachment.id)).one()
    for actor in (AN, AUDITOR, officer("o", agency)):
        assert attachments.fetch(state, by(actor), shelf, one)[1] == PDF
    with pytest.raises(NotFoundError, match="no such ticket"):
        attachments.fetch(state, by(officer("o", "another")), shelf, one)
    with pytest.raises(NotFoundError, match="no such file"):
        attachments.fetch(state, by(AN), shelf, "0" * 32)


def test_a_content_that_was_changed_on_disk_is_not_given_out(state: State, shelf: Shelf) -> None:
    put(state, shelf, Given("a.pdf", PDF))
    (_, _, sha, _) = rows(state)[0]
    shelf.place(sha).write_bytes(PDF[::-1])
    with state.read() as session:
        one = session.scalars(sa.select(Attachment.id)).one()
    with pytest.raises(Exception, match="not what was attached"):
        attachments.fetch(state, by(AN), shelf, one)


def test_retention_takes_the_files_of_tickets_that_are_long_closed_unless_held(
    state: State, shelf: Shelf, agency: str
) -> None:
    later = NOW + timedelta(days=400)
    put(state, shelf, Given("a.pdf", PDF))
    assert attachments.expire(state, agency, later, now=later) == 0  # the ticket is open
    life.close(state, by(AN), reason="duplicate", note="xong", now=NOW)
    with state.begin() as session:
        if session.get(Agency, agency) is None:
            session.add(Agency(id=agency, name_vi=agency, name_en=agency, valid_from=EPOCH))
            session.flush()
        hold = Hold(id="h", agency=agency, first_time=EPOCH, last_time=later, reason="r", by="x", at=NOW)  # fmt: skip
        session.add(hold)
    assert attachments.expire(state, agency, later, now=later) == 0
    with state.begin() as session:
        session.get_one(Hold, "h").released = NOW
    shelf_file = shelf.place(rows(state)[0][2])
    os.utime(shelf_file, (NOW.timestamp(), NOW.timestamp()))
    assert attachments.sweep(state, shelf, now=later) == 0
    assert attachments.expire(state, agency, NOW, now=later) == 0  # not closed before then
    assert attachments.expire(state, agency, later, now=later) == 1
    assert attachments.expire(state, agency, later, now=later) == 0
    assert attachments.sweep(state, shelf, now=later) == 1
    assert lies(shelf) == []
    with state.read() as session:
        row = session.scalars(sa.select(Attachment)).one()
        last = session.scalars(
            sa.select(TicketHistory).order_by(TicketHistory.place.desc())
        ).first()
        assert (row.gone, last and last.what) == (later, "files_deleted")


def test_a_sweep_spares_what_is_named_or_young(state: State, shelf: Shelf) -> None:
    put(state, shelf, Given("a.pdf", PDF))
    orphan = hashlib.sha256(b"orphan").hexdigest()
    attachments.keep(shelf, b"orphan", orphan)
    stamp = shelf.place(orphan).stat().st_mtime
    for path in shelf.folder.rglob("*"):
        os.utime(path, (stamp, stamp))
    young = EPOCH + timedelta(seconds=stamp + 60)
    assert attachments.sweep(state, shelf, now=young) == 0
    assert attachments.sweep(state, shelf, now=young + timedelta(hours=1)) == 1
    assert lies(shelf) == [rows(state)[0][2]]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PDF, "pdf"),
        (b"\x89PNG\r\n\x1a\n....", "png"),
        (b"ElfFile\x00rest", "evtx"),
        (b"PK\x03\x04....word/document.xml", "office"),
        (b"PK\x03\x04....a.exe", "zip"),
        ("nhật ký\r\n".encode(), "text"),
        ("nhật ký\r\n".encode("utf-16"), "text"),
        (b"Nov 24 09:00 sshd[1]: \x1b[31mfailed", "text"),
        (b"MZ\x90\x00\x03", ""),
        (b"\x7fELF\x02\x01", ""),
        (b"#!/bin/sh\nrm", ""),
        (b"  <!DOCTYPE html><p>", ""),
        (b"<svg onload=alert(1)>", ""),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", ""),
        (b"\0\1\2\3" * 10, ""),
    ],
)
def test_a_kind_is_what_the_bytes_say(body: bytes, kind: str) -> None:
    assert kind_of(body) == kind


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Biên bản.pdf", "Biên bản.pdf"),
        ("../../etc/passwd", "passwd"),
        (r"C:\Users\lan\log.txt", "log.txt"),
        ("hoá đơn\u202efdp.exe", "hoá đơnfdp.exe"),
        ("a.txt\r\nSet-Cookie: x=1", "a.txt Set-Cookie_ x=1"),
        ('x"; filename="y.html', "x__ filename=_y.html"),
        ("\0\0", "file"),
        ("..", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("a" * 300 + ".pdf", "a" * 116 + ".pdf"),
        ("\ud800.txt", "_.txt"),
    ],
)
def test_a_hostile_name_becomes_a_harmless_one(given: str, kept: str) -> None:
    assert safe_name(given) == kept
