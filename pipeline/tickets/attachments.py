"""Files that people attach to tickets: kept by content, told by their first bytes, given out as downloads alone.

    <home>/attachments/3f/3f6c…e1        the content, mode 600, under its SHA-256: equal files lie there once

In: who, which ticket, names and bytes. Out: rows of `attachment` and a line in the history with each SHA-256, in
one transaction; or one error that names every file that cannot be taken, and nothing kept. The content is on disk
(fsynced) before its row is. Invariants: a row's content is there until retention took it (`gone`); whoever may
not read the ticket finds no file; a drill's go with the drill. What lies there without a row is swept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pipeline.access.permissions import scope_for
from pipeline.model.errors import DamagedError, LargeError, NotFoundError, UsageError
from pipeline.model.ids import new_id
from pipeline.model.scope import SYSTEM
from pipeline.state.state import State
from pipeline.state.tables.desk import Attachment
from pipeline.state.tables.lake import Hold
from pipeline.state.tables.tickets import Deed, Ticket
from pipeline.tickets.deeds import Outcome, Request, do, find
from pipeline.tickets.file_kinds import KINDS, kind_of, safe_name
from pipeline.tickets.history import record
from pipeline.tickets.life import checked_text, say

FOLDER: Final = "attachments"
AT_ONCE: Final = 10
_YOUNG: Final = timedelta(hours=1)


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """Where contents lie, and what is taken: bytes of one file, files of one ticket, kinds by first bytes."""

    folder: Path
    max_bytes: int = 10_485_760
    per_ticket: int = 50
    kinds: tuple[str, ...] = KINDS

    def place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256


class Given(msgspec.Struct, frozen=True):
    """A file as it came."""

    name: str
    body: bytes


class AttachmentView(msgspec.Struct, frozen=True):
    """A file as the ticket shows it."""

    id: str
    name: str
    kind: str
    size: int
    sha256: str
    by: str
    at: Any
    gone: Any


def attach(
    state: State, request: Request, shelf: Shelf, files: Sequence[Given], *, text: str = "", now: datetime
) -> Outcome:  # fmt: skip
    """Put files on a ticket, with or without words; an officer's words answer a ticket that waits for them."""
    text = checked_text(text, needed=False)
    taken = _checked(shelf, files)
    with state.read() as session:  # before a byte is written: may they, and is there room
        ticket = find(session, request.actor, request.ticket, "ticket.comment")
        if not request.key or session.get(Deed, (request.key, request.actor.name)) is None:
            _room(session, shelf, ticket, taken)
    for one, (_, sha256) in zip(files, taken, strict=True):
        keep(shelf, one.body, sha256)

    def deed(session: Session, ticket: Ticket) -> None:
        _room(session, shelf, ticket, taken)
        rows = [
            Attachment(
                id=new_id(), ticket=ticket.id, sha256=sha256, name=safe_name(one.name), kind=kind,
                size=len(one.body), by=request.actor.name, at=now,
            )
            for one, (kind, sha256) in zip(files, taken, strict=True)
        ]  # fmt: skip
        session.add_all(rows)
        listed = [{"name": r.name, "size": r.size, "sha256": r.sha256, "id": r.id} for r in rows]
        if text:
            say(session, ticket, request, text, now=now, detail={"files": listed})
        else:
            record(
                session, ticket, "attached", by=request.actor.name, at=now, detail={"files": listed}
            )

    what = ("attach", text, *(f"{one.name}\0{sha}" for one, (_, sha) in zip(files, taken, strict=True)))  # fmt: skip
    return do(state, request, "ticket.comment", deed, what=what, now=now)


def attachments_of(session: Session, ticket: str) -> tuple[AttachmentView, ...]:
    rows = session.scalars(
        sa.select(Attachment)
        .where(Attachment.ticket == ticket)
        .order_by(Attachment.at, Attachment.id)
    )
    return tuple(
        AttachmentView(r.id, r.name, r.kind, r.size, r.sha256, r.by, r.at, r.gone) for r in rows
    )


def list_files(state: State, request: Request) -> tuple[AttachmentView, ...]:
    """Those of a ticket that the actor may read."""
    with state.read() as session:
        return attachments_of(
            session, find(session, request.actor, request.ticket, "ticket.read").id
        )


def fetch(state: State, request: Request, shelf: Shelf, attachment: str) -> tuple[AttachmentView, bytes]:  # fmt: skip
    """A file of a ticket that the actor may read, its content checked against its hash."""
    scope_for(request.actor, "ticket.read")
    with state.read() as session:
        ticket = find(session, request.actor, request.ticket, "ticket.read")
        found = {one.id: one for one in attachments_of(session, ticket.id)}
    one = found.get(attachment)
    if one is None or one.gone is not None:
        raise NotFoundError("no such file")
    try:
        body = shelf.place(one.sha256).read_bytes()
    except FileNotFoundError as error:
        raise DamagedError("the file's content is missing", got=one.sha256) from error
    if hashlib.sha256(body).hexdigest() != one.sha256:
        raise DamagedError("the file is not what was attached", got=one.sha256)
    return one, body


def _checked(shelf: Shelf, files: Sequence[Given]) -> list[tuple[str, str]]:
    """Kind and SHA-256 of each; UsageError names every file that cannot be taken, and why."""
    if not files:
        raise UsageError("no file is chosen")
    if len(files) > AT_ONCE:
        raise UsageError("too many files at once", got=str(len(files)), expected=f"up to {AT_ONCE}")
    large = [safe_name(f.name) for f in files if len(f.body) > shelf.max_bytes]
    if large:
        raise LargeError(
            "the file is too large",
            got=", ".join(large),
            expected=f"up to {shelf.max_bytes / 2**20:.3g} MiB",
        )
    empty = [safe_name(f.name) for f in files if not f.body]
    if empty:
        raise UsageError("the file is empty", got=", ".join(empty))
    kinds = [kind_of(f.body) for f in files]
    wrong = [
        safe_name(f.name) for f, kind in zip(files, kinds, strict=True) if kind not in shelf.kinds
    ]
    if wrong:
        raise UsageError(
            "files of this kind are not taken", got=", ".join(wrong), expected=", ".join(shelf.kinds),
            remedy="put it into a ZIP archive with a password",
        )  # fmt: skip
    return [(kind, hashlib.sha256(f.body).hexdigest()) for f, kind in zip(files, kinds, strict=True)]  # fmt: skip


def _room(session: Session, shelf: Shelf, ticket: Ticket, taken: Sequence[Any]) -> None:
    query = sa.select(sa.func.count()).where(Attachment.ticket == ticket.id)
    held = session.scalar(query) or 0
    if held + len(taken) > shelf.per_ticket:
        raise UsageError(
            "the ticket holds as many files as it can",
            got=str(held),
            expected=f"up to {shelf.per_ticket}",
        )


def keep(shelf: Shelf, body: bytes, sha256: str) -> None:
    """The content under its hash: whole and durable, or not there. What is there already is made young, so
    that no sweep takes it before its row stands."""
    place = shelf.place(sha256)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileNotFoundError):
        os.utime(place)
        if place.stat().st_size == len(body):
            return
    part = place.with_name(f".{new_id()}.part")
    try:
        with part.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.rename(place)
        _sync(place.parent)
        _sync(shelf.folder)
    finally:
        part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def expire(state: State, agency: str, before: datetime, *, now: datetime, most: int = 200) -> int:
    """Mark the files of the agency's tickets that were closed before then, save what is under a legal hold; each
    ticket's history says so. The contents go with the next `sweep`."""
    held = sa.exists().where(
        Hold.agency == Ticket.agency, Hold.released.is_(None),
        Hold.first_time <= Ticket.last, Hold.last_time >= Ticket.first,
    )  # fmt: skip
    with state.begin() as session:
        rows = session.execute(
            sa.select(Attachment, Ticket)
            .join(Ticket, Ticket.id == Attachment.ticket)
            .where(Ticket.agency == agency, Ticket.closed < before, Attachment.at < before)
            .where(Attachment.gone.is_(None), ~held)
            .order_by(Attachment.ticket)
            .limit(most)
        ).all()
        removed: dict[str, tuple[Ticket, list[str]]] = {}
        for row, ticket in rows:
            row.gone = now
            removed.setdefault(ticket.id, (ticket, []))[1].append(row.sha256)
        for ticket, hashes in removed.values():
            changed, detail = ticket.changed, {"sha256": hashes}
            record(session, ticket, "files_deleted", by=SYSTEM.name, at=now, detail=detail, tell=False)  # fmt: skip
            ticket.changed = changed
    return len(rows)


def sweep(state: State, shelf: Shelf, *, now: datetime) -> int:
    """Remove contents that no row names any more, and what an upload that was cut off has left; how many."""
    gone = 0
    for folder in sorted(shelf.folder.glob("??")):
        old = [p for p in folder.iterdir() if p.stat().st_mtime < (now - _YOUNG).timestamp()]
        with state.read() as session:
            named = set(
                session.scalars(
                    sa.select(Attachment.sha256).where(
                        Attachment.sha256.in_([p.name for p in old]), Attachment.gone.is_(None)
                    )
                )
            )
        for path in old:
            if path.name not in named:
                path.unlink(missing_ok=True)
                gone += 1
    return gone
