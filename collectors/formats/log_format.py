"""A web server's own layout of its access log as a pattern: nginx's `log_format`, Apache's `LogFormat`.

In, the layout as it stands in the server's configuration::

    $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_user_agent" $request_time
    %v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\" %D

Out: a pattern for `patterns` whose groups are named as in ``collectors/products/nginx.yml``: `client`, `time`, `url`,
`garbage`, `forwarded`, and fields of ECS directly. A variable that is not known here is a group under its own name
(``$upstream_addr`` → `upstream_addr`, ``%{X-Id}i`` → `header_x_id`). A value ends where the text that follows it in
the layout begins; between quotes it may hold quotes behind a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_NGINX: Final = re.compile(r"\$(?:([a-z][a-z0-9_]*)|\{([a-z][a-z0-9_]*)\})")
_APACHE: Final = re.compile(
    r"%(?:!?\d{3}(?:,\d{3})*)?[<>]?(?:\{([^}]*)\})?(\^?[A-Za-z]{1,2}?)(?![A-Za-z])|%%"
)
_REQUEST: Final = (
    r"(?:(?P<http.request.method>[A-Z-]{1,32}) (?P<url>[^{end} ]*)"
    r"(?: HTTP/(?P<http.version>[0-9.]+))?|(?P<garbage>{any}))"
)
_NAMES: Final = {
    "remote_addr": "client", "remote_user": "user.name", "time_local": "time", "time_iso8601": "time", "msec": "time",
    "request_method": "http.request.method", "request_uri": "url", "uri": "url", "status": "http.response.status_code",
    "body_bytes_sent": "http.response.body.bytes", "bytes_sent": "http.response.bytes",
    "request_length": "http.request.bytes", "http_referer": "http.request.referrer",
    "http_user_agent": "user_agent.original", "http_x_forwarded_for": "forwarded", "host": "url.domain",
    "http_host": "url.domain", "server_name": "server.domain", "remote_port": "source.port",
    "server_port": "destination.port", "server_addr": "destination.ip", "request_id": "http.request.id",
    "args": "url.query", "query_string": "url.query", "scheme": "url.scheme",
}  # fmt: skip
_LETTERS: Final = {
    "h": "client", "a": "client", "u": "user.name", "l": "ident", "s": "http.response.status_code",
    "b": "http.response.body.bytes", "B": "http.response.body.bytes", "O": "http.response.bytes",
    "I": "http.request.bytes", "v": "server.domain", "V": "url.domain", "p": "destination.port", "A": "destination.ip",
    "m": "http.request.method", "U": "url", "q": "url.query", "H": "protocol", "P": "process.pid", "D": "microseconds",
    "T": "seconds", "L": "http.request.id", "f": "file.path", "X": "connection",
}  # fmt: skip
_HEADERS: Final = {
    "referer": "http.request.referrer", "user-agent": "user_agent.original", "x-forwarded-for": "forwarded",
    "host": "url.domain",
}  # fmt: skip


def to_pattern(layout: str) -> str:
    """Raises ValueError where the layout names no variable, or two stand together without a text between them."""
    text = layout.replace('\\"', '"').strip()
    pieces = list(_pieces(text))
    if not any(name for _, name in pieces):
        raise ValueError("the layout names no variable ($remote_addr, %h)")
    seen: set[str] = set()
    made = "^"
    for place, (literal, name) in enumerate(pieces):
        made += re.escape(literal).replace("\\ ", " ").replace('\\"', '"')
        if not name:
            continue
        follows = pieces[place + 1][0][:1] if place + 1 < len(pieces) else ""
        if place + 1 < len(pieces) and not follows:
            raise ValueError(f"two variables stand together: {name} and {pieces[place + 1][1]}")
        made += _value(name, follows, seen)
    return made + ("$" if pieces[-1][0] else "")


def _pieces(layout: str) -> Iterator[tuple[str, str]]:
    """Each variable's name and the text before it; the text at the end without a name."""
    variables = _NGINX if "$" in layout else _APACHE
    end, before = 0, ""
    for found in variables.finditer(layout):
        before += layout[end : found.start()]
        end = found.end()
        if found[0] == "%%":
            before += "%"
            continue
        yield before, _nginx(found) if variables is _NGINX else _apache(found)
        before = ""
    if before or layout[end:]:
        yield before + layout[end:], ""


def _nginx(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    return "request" if name == "request" else _NAMES.get(name, name)


def _apache(found: re.Match[str]) -> str:
    inner, letter = found[1], found[2]
    if letter == "r":
        return "request"
    if letter == "t":
        return "time" if inner else "[time]"
    if inner is not None and letter in {"i", "o", "e", "n", "C"}:
        plain = re.sub(r"[^a-z0-9]+", "_", inner.lower())
        return (
            _HEADERS.get(inner.lower(), f"header_{plain}") if letter == "i" else f"{letter}_{plain}"
        )
    return _LETTERS.get(letter, f"letter_{letter.strip('^').lower()}")


def _value(name: str, follows: str, seen: set[str]) -> str:
    """The group of a variable; what has come already is matched and not kept."""
    quoted = follows == '"'
    inside = r'(?:[^"\\]|\\.)*' if quoted else rf"[^{re.escape(follows)}]*" if follows else r"\S*"
    if name == "request":
        if "url" in seen or "http.request.method" in seen:
            return inside
        seen |= {"url", "http.request.method", "http.version", "garbage"}
        return _REQUEST.replace("{end}", follows or " ").replace("{any}", inside)
    if name == "[time]":
        name, opening, closing, inside = "time", r"\[", r"\]", r"[^\]]*"
    else:
        opening = closing = ""
    if name in seen:
        return f"{opening}{inside}{closing}"
    seen.add(name)
    return f"{opening}(?P<{name}>{inside}){closing}"
