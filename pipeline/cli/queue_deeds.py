"""``ticket``: the deeds on a ticket that the console and the API have, too, each by compare-and-set.

In: the ticket's number and what the deed needs. Out: the ticket as it is afterwards. `--revision` refuses a ticket
that has changed since it was seen; `--key` makes a repeat harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_one
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.state.state import State
    from pipeline.tickets.deeds import Outcome, Request

Which = Annotated[str, typer.Argument(help="The ticket's number.")]
Revision = Annotated[int | None, typer.Option(help="Refuse unless the ticket is at this revision.")]
Key = Annotated[str, typer.Option(help="A repeat under the same key does nothing again.")]
Note = Annotated[str, typer.Option(help="Stays in the history.")]
Off = Annotated[bool, typer.Option("--off", help="Take it away again.")]


def attach(ticket: typer.Typer) -> None:
    for name, command in (
        ("release", _release), ("take-over", _take_over), ("assign", _assign), ("start", _start),
        ("wait", _wait), ("comment", _comment), ("reopen", _reopen), ("merge", _merge),
        ("unmerge", _unmerge), ("tag", _tag), ("tlp", _tlp), ("check", _check),
        ("severity", _severity), ("sign", _sign), ("notified", _notified),
    ):  # fmt: skip
        ticket.command(name)(command)


def _do(
    which: str, revision: int | None, key: str, home: Path | None, as_json: bool,
    deed: Callable[[State, Request, datetime], Outcome],
) -> None:  # fmt: skip
    from pipeline.tickets.deeds import Request

    with opened(home) as here:
        asked = Request(actor=OPERATOR, ticket=which, revision=revision, key=key)
        show_one(msgspec.structs.asdict(deed(here.state, asked, utc_now())), as_json=as_json)


def _release(
    which: Which, note: Note = "", revision: Revision = None, key: Key = "", home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Give a ticket back to the queue."""
    from pipeline.tickets.life import release

    _do(which, revision, key, home, as_json, lambda s, r, now: release(s, r, note=note, now=now))


def _take_over(
    which: Which, note: Note, revision: Revision = None, key: Key = "", home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Take a ticket that another holds."""
    from pipeline.tickets.life import take_over

    _do(
        which, revision, key, home, as_json, lambda s, r, now: take_over(s, r, reason=note, now=now)
    )


def _assign(
    which: Which,
    to: Annotated[str, typer.Option(help="A person's id.")],
    note: Note = "", revision: Revision = None, key: Key = "", home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Give a ticket to a person."""
    from pipeline.tickets.life import assign

    _do(
        which,
        revision,
        key,
        home,
        as_json,
        lambda s, r, now: assign(s, r, to=to, note=note, now=now),
    )


def _start(
    which: Which, revision: Revision = None, key: Key = "", home: Home = None, as_json: Json = False
) -> None:
    """Begin, or go on with, the work on one's own ticket."""
    from pipeline.tickets.life import start

    _do(which, revision, key, home, as_json, lambda s, r, now: start(s, r, now=now))


def _wait(
    which: Which,
    whom: Annotated[str, typer.Option("--for", help="agency or supplier")],
    note: Annotated[str, typer.Option(help="What they are asked.")],
    revision: Revision = None, key: Key = "", home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Wait for the agency or a supplier."""
    from pipeline.tickets.life import wait_for

    _do(
        which,
        revision,
        key,
        home,
        as_json,
        lambda s, r, now: wait_for(s, r, whom=whom, note=note, now=now),
    )


def _comment(
    which: Which,
    text: Annotated[str, typer.Option(help="Markdown.")],
    key: Key = "", home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Say something on a ticket."""
    from pipeline.tickets.life import comment

    _do(which, None, key, home, as_json, lambda s, r, now: comment(s, r, text=text, now=now))


def _reopen(
    which: Which, note: Note, revision: Revision = None, key: Key = "", home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Put a closed ticket back into the queue."""
    from pipeline.tickets.life import reopen

    _do(which, revision, key, home, as_json, lambda s, r, now: reopen(s, r, note=note, now=now))


def _merge(
    which: Which,
    into: Annotated[str, typer.Option(help="The number of the other ticket.")],
    note: Note = "", revision: Revision = None, key: Key = "", home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Close a ticket as a duplicate of another: its findings count there."""
    from pipeline.tickets.facts import merge

    _do(
        which,
        revision,
        key,
        home,
        as_json,
        lambda s, r, now: merge(s, r, into=into, note=note, now=now),
    )


def _unmerge(
    which: Which, note: Note, revision: Revision = None, key: Key = "", home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Part a ticket from the one that it is a duplicate of."""
    from pipeline.tickets.facts import unmerge

    _do(which, revision, key, home, as_json, lambda s, r, now: unmerge(s, r, note=note, now=now))


def _tag(
    which: Which, word: Annotated[str, typer.Argument(help="One word.")], off: Off = False,
    key: Key = "", home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Put a word on a ticket."""
    from pipeline.tickets.facts import tag

    _do(which, None, key, home, as_json, lambda s, r, now: tag(s, r, tag=word, on=not off, now=now))


def _tlp(
    which: Which,
    tlp: Annotated[str, typer.Argument(help="clear, green, amber, amber+strict or red")],
    revision: Revision = None, key: Key = "", home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Say how far what a ticket holds may go (TLP 2.0)."""
    from pipeline.tickets.facts import set_tlp

    _do(which, revision, key, home, as_json, lambda s, r, now: set_tlp(s, r, tlp=tlp, now=now))


def _check(
    which: Which, step: Annotated[str, typer.Argument(help="The step's key.")], off: Off = False,
    key: Key = "", home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Tick a step of a ticket's checklist."""
    from pipeline.tickets.facts import check

    _do(
        which,
        None,
        key,
        home,
        as_json,
        lambda s, r, now: check(s, r, step=step, done=not off, now=now),
    )


def _severity(
    which: Which,
    severity: Annotated[str, typer.Argument(help="A severity; as-found gives it back to the findings.")],
    note: Note,
    revision: Revision = None, key: Key = "", home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Override the severity of a ticket."""
    from pipeline.tickets.facts import set_severity

    chosen = "" if severity == "as-found" else severity
    _do(
        which, revision, key, home, as_json,
        lambda s, r, now: set_severity(s, r, severity=chosen, reason=note, now=now),
    )  # fmt: skip


def _sign(
    which: Which, sign: Annotated[str, typer.Argument(help="A sign of the policy packs: serious, …")],
    note: Note, off: Off = False, revision: Revision = None, key: Key = "", home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Say what an incident shows: the legal clocks follow."""
    from pipeline.tickets.clocks.incident import mark

    _do(
        which, revision, key, home, as_json,
        lambda s, r, now: mark(s, r, sign=sign, seen=not off, reason=note, now=now),
    )  # fmt: skip


def _notified(
    which: Which, clock: Annotated[str, typer.Argument(help="The key of the legal clock.")],
    to: Annotated[str, typer.Option(help="Who was told, and by which channel.")],
    revision: Revision = None, key: Key = "", home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Record the notice that a legal clock waits for."""
    from pipeline.tickets.clocks.incident import notified

    _do(
        which,
        revision,
        key,
        home,
        as_json,
        lambda s, r, now: notified(s, r, clock=clock, recipient=to, now=now),
    )
