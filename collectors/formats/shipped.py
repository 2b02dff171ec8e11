"""A line that a shipper put into a JSON document of its own, taken out again.

In: a line, e.g. from Filebeat or rsyslog's omelasticsearch::

    {"@timestamp":"2026-11-24T02:00:00.000Z","message":"<38>Nov 24 … sshd[7]: …","host":{"name":"web1"},"agent":{…}}

Out: the message, and what the document knows of host, program and time, as a syslog header knows it. None for a line
that is no such document: it stays as it is. Where the product writes JSON itself, only a document whose message is
an object, with nothing beside it but what shippers write, is one. The whole document stays in
`event.original`.
"""

from __future__ import annotations

from typing import Any, Final

from collectors.formats.json_lines import load
from collectors.formats.syslog import Header

_SHIPPERS: Final = frozenset(
    ["@timestamp", "@metadata", "@version", "message", "agent", "ecs", "event", "fields", "file", "host", "hostname",
     "input", "log", "offset", "path", "source", "tags", "timestamp", "type"]
)  # fmt: skip
"""Names that shippers write beside the message."""
HINT: Final = '"message"'


def shipped(line: str, *, of_json: bool = False) -> tuple[str, Header] | None:
    """The message and the header of one line. `of_json`: the product's own lines are JSON."""
    if line[:1] != "{" or HINT not in line:
        return None
    try:
        document = load(line)
    except ValueError:
        return None
    message = document.get("message") if document.__class__ is dict else None
    if not isinstance(message, str) or not message.strip():
        return None
    if of_json and not (message.lstrip()[:1] == "{" and document.keys() <= _SHIPPERS):
        return None
    host = document.get("host")
    if isinstance(host, dict):
        host = host.get("name") or host.get("hostname")
    program = document.get("process")
    if isinstance(program, dict):
        program = program.get("name")
    header = Header(
        time=_text(document.get("@timestamp")), host=_text(host) or _text(document.get("hostname")),
        program=_text(program),
    )  # fmt: skip
    return message, header


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 256 else None
