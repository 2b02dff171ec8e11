"""``ticket``: what a ticket rests on: its evidence taken out, its entity's timeline, its files.

In: the ticket's number. Out: the evidence as JSON or as HTML (on standard output, or in a file that was not there),
events of the entity, files in and out. The operator takes them out: the evidence says so.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pipeline.cli.events import event_line
from pipeline.cli.options import After, Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.cli.queue_deeds import Key, Revision, Which
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

Out = Annotated[
    Path | None, typer.Option("--out", help="Into this file, which must not be there yet.")
]
_TIMELINE = ("time", "own", "agency", "dataset", "text", "id")
_FILES = ("id", "name", "kind", "size", "sha256", "by", "at", "gone")


def attach(ticket: typer.Typer) -> None:
    for name, command in (
        ("evidence", _evidence), ("timeline", _timeline), ("files", _files), ("file", _file),
        ("attach", _attach),
    ):  # fmt: skip
        ticket.command(name)(command)


def _evidence(
    which: Which,
    html: Annotated[bool, typer.Option("--html", help="For paper: a file that needs no other.")] = False,
    language: Annotated[str, typer.Option(help="Of the HTML: vi or en.")] = "vi",
    page: Annotated[int, typer.Option(min=1, help="Which page of its findings.")] = 1,
    out: Out = None,
    home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """A ticket as evidence: rule texts, matched fields and raw lines under their hashes, and the history."""
    from pipeline.tickets.evidence import canonical, evidence
    from pipeline.tickets.queue import get_ticket

    if html and as_json:
        raise UsageError("one form at a time", got="--html --json", expected="one of them")
    with opened(home) as here:
        view = get_ticket(here.state, here.store, OPERATOR, which, page=page)
        body = evidence(view, OPERATOR, now=utc_now())
        if html:
            from pipeline.console.printing import print_ticket

            text = print_ticket(here.state, body, OPERATOR, language=language)
        else:
            text = canonical(body) + "\n"
    if _wrote(out, text.encode("utf-8", "replace")):
        said = {"file": str(out), "sha256": body["sha256"], "page": view.page, "pages": view.pages}
        show_one(said, as_json=as_json)
    if view.pages > 1:
        sys.stderr.write(f"(page {view.page} of {view.pages}: --page)\n")


def _timeline(which: Which, after: After = None, home: Home = None, as_json: Json = False) -> None:
    """What the ticket's entity did, whatever source says so, an hour before to an hour after; the newest first."""
    from pipeline.model import events
    from pipeline.model.documents import first_of, flatten
    from pipeline.tickets.timeline import timeline

    with opened(home) as here:
        found = timeline(here.state, here.store, OPERATOR, which, after=after)

    def line(document: Mapping[str, Any]) -> dict[str, Any]:
        own = first_of(flatten(document), events.ID) in found.own
        return {**event_line(document), "own": "*" if own else ""}

    items: list[Any] = list(found.documents) if as_json else [line(d) for d in found.documents]
    show_list(items, as_json=as_json, columns=_TIMELINE, following=found.next)
    if found.cut and not as_json:
        sys.stderr.write("(the ticket spans more than two weeks: these are the last)\n")
    if found.query and not as_json:
        sys.stderr.write(f"(* is the ticket's own; thapcanh event search '{found.query}')\n")


def _files(which: Which, home: Home = None, as_json: Json = False) -> None:
    """The files on a ticket, each with its SHA-256."""
    from pipeline.tickets.attachments import list_files
    from pipeline.tickets.deeds import Request

    with opened(home) as here:
        found = list_files(here.state, Request(actor=OPERATOR, ticket=which))
    show_list([msgspec.structs.asdict(one) for one in found], as_json=as_json, columns=_FILES)


def _file(
    which: Which,
    file: Annotated[str, typer.Argument(help="The file's id, of `ticket files`.")],
    out: Annotated[Path, typer.Option("--out", help="Into this file, which must not be there yet.")],
    home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """One file of a ticket, checked against its hash."""
    from pipeline.serve.policy import shelf_of
    from pipeline.tickets.attachments import fetch
    from pipeline.tickets.deeds import Request

    with opened(home) as here:
        asked = Request(actor=OPERATOR, ticket=which)
        one, body = fetch(here.state, asked, shelf_of(here.settings), file)
    _wrote(out, body)
    show_one({"file": str(out), "name": one.name, "sha256": one.sha256}, as_json=as_json)


def _attach(
    which: Which,
    files: Annotated[list[Path], typer.Argument(help="The files, up to ten.", exists=True, dir_okay=False)],
    text: Annotated[str, typer.Option(help="Words with them, in Markdown.")] = "",
    revision: Revision = None,
    key: Key = "",
    home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Put files on a ticket."""
    from pipeline.serve.policy import shelf_of
    from pipeline.tickets.attachments import Given, attach
    from pipeline.tickets.deeds import Request

    with opened(home) as here:
        shelf = shelf_of(here.settings)
        asked = Request(actor=OPERATOR, ticket=which, revision=revision, key=key)
        given = [Given(one.name, _up_to(one, shelf.max_bytes + 1)) for one in files]
        done = attach(here.state, asked, shelf, given, text=text, now=utc_now())
        show_one(msgspec.structs.asdict(done), as_json=as_json)


def _up_to(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _wrote(out: Path | None, body: bytes) -> bool:
    """Into the file, or (none is named) on standard output."""
    if out is None:
        sys.stdout.write(body.decode("utf-8", "replace"))
        return False
    try:
        with out.open("xb") as file:
            file.write(body)
    except FileExistsError as error:
        raise UsageError("the file is there already", where="--out", got=str(out)) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(
            "the file cannot be written", where="--out", got=f"{out}: {why}"
        ) from error
    return True
