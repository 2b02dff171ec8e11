"""A ticket's evidence for paper, without a browser's visit: one file that needs no other.

In: the document of `tickets/evidence.py`, who reads it, a language. Out: HTML with its style within. Every value is
escaped by the same template that the console prints with.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.access.agencies import agencies, unknown
from pipeline.console.catalogues import LANGUAGES, load
from pipeline.console.templating import FOLDER, environment
from pipeline.model.errors import UsageError
from pipeline.model.scope import Actor
from pipeline.state.state import State


def print_ticket(state: State, body: Mapping[str, Any], actor: Actor, *, language: str) -> str:
    if language not in LANGUAGES:
        raise UsageError("no such language", got=repr(language[:20]), expected=", ".join(LANGUAGES))
    with state.read() as session:
        names = agencies(session, actor)
    agency = body["ticket"]["agency"]
    page = _templates(language).get_template("ticket_print.html")
    style = (FOLDER / "static" / "console.css").read_text("utf-8")
    return page.render(
        body=body,
        agency=names.get(agency) or unknown(agency),
        style=Markup(style),  # noqa: S704 - a file of ours
    )


@cache
def _templates(language: str) -> jinja2.Environment:
    return environment(load(language))
