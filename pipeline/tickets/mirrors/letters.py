"""What a mirror is told, from the values of a ticket: templates of the operator, filled with values only.

In: the body of an outbox row. Out: a `Letter`. Templates are files under ``config/mirrors/<language>/``, run in
Jinja2's sandbox; never do they come from rules, logs or the console. Invariant: whatever an attacker wrote into a
log stands there as text: odd characters as pictures (``⟦202E⟧``), a value on one line, addresses without a scheme
that a reader could click, Markdown and wiki marks escaped. A person's note keeps its lines, each behind ``| ``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.model.clock import for_people
from pipeline.model.odd_text import MARKS, pictured
from pipeline.settings.places import config_dir
from pipeline.tickets.mirrors.base import Letter

LONGEST: Final = 4_000  # characters of one value
SUBJECT: Final = 200
_SCHEME: Final = re.compile(r"(?i)\b(https?|ftps?|file|javascript|data|mailto):")
_MARKED: Final = {
    "plain": re.compile(r"((?!))"),
    "markdown": re.compile(r"([\\`*_{}\[\]()#+\-!|<>~&$^=:.@])"),
    "wiki": re.compile(r"([\\*_{}\[\]()#+\-!|^~?&%@])"),
}


class Own(str):
    """Text of ours (an address of the console): it stands as it is."""

    __slots__ = ()


def write(body: Mapping[str, Any], *, key: str, language: str, form: str, console: str) -> Letter:
    """The letter of an outbox row."""
    ticket, number = str(body["id"]), int(body["number"])
    tag = f"TC-{number}.{ticket[-10:]}"
    link = Own(f"{console.rstrip('/')}/tickets/{number}" if console else "")
    values = {
        **body,
        "link": link,
        "tag": Own(tag),
        "first": _time(body, "first"),
        "last": _time(body, "last"),
    }
    made = _templates(language, form)
    subject = _templates(language, "plain").get_template("subject.txt").render(values)
    return Letter(
        ticket=ticket, deed=key, tag=tag, number=number,
        subject=f"[{tag}] {' '.join(subject.split())[:SUBJECT]}",
        body=made.get_template("opened.txt").render(values).strip() + "\n",
        note=made.get_template("note.txt").render(values).strip() + "\n",
        severity=str(body["severity"]), status=str(body["status"]), reason=str(body["reason"]),
        link=str(link), facts=dict(body),
    )  # fmt: skip


def shown(value: object, form: str = "plain") -> str:
    """A value as text on one line that nothing acts upon."""
    if isinstance(value, Own):
        return str(value)
    return _safe(" ⏎ ".join(str(value).splitlines()).replace("\t", "⟦TAB⟧"), form)


def _safe(text: str, form: str) -> str:
    cut = len(text) - LONGEST
    text = pictured(text[:LONGEST])
    text = MARKS.sub(lambda pile: f"{pile[0][:3]}⟦+{len(pile[0]) - 3}⟧", text)
    text = _SCHEME.sub(lambda found: f"{found[1]}[:]", text)
    text = _MARKED[form].sub(r"\\\1", text)
    return f"{text} … +{cut}" if cut > 0 else text


def _quoted(value: object, form: str) -> Own:
    """A person's lines, each behind a mark, so that none can pass for one of ours."""
    return Own("\n".join(f"| {_safe(line, form)}" for line in str(value).splitlines()))


@cache
def _templates(language: str, form: str) -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder() / language),
        undefined=StrictUndefined,
        autoescape=False,  # these are no pages: `finalize` makes every value safe for its form
        finalize=lambda value: shown(value, form),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["quoted"] = lambda value: _quoted(value, form)
    return made


def folder() -> Path:
    return config_dir() / "mirrors"


def _time(body: Mapping[str, Any], name: str) -> str:
    return for_people(datetime.fromisoformat(str(body[name])))
