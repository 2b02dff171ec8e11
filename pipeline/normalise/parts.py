"""One text taken apart into several: users, hosts with ports, URLs, paths, hashes. Pure, text to texts.

``CITY\\an`` and ``an@city.vn`` → name and domain; ``[2001:db8::1]:443`` → address and port;
``https://a.vn:8443/x/y.php?q=1#top`` → its parts; ``C:\\Windows\\cmd.exe`` → the name of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

Parts = Sequence[str | None]

_LENGTH: Final = re.compile(r"\(\d{1,3}\)", re.ASCII)
HASHES: Final = ("md5", "sha1", "sha256", "sha512", "imphash")
URL_PARTS: Final = (
    "original",
    "scheme",
    "domain",
    "port",
    "path",
    "query",
    "fragment",
    "extension",
    "username",
)


def user(text: str) -> Parts:
    """Name and domain."""
    domain, slash, name = text.rpartition("\\")
    if slash:
        return name or None, domain or None
    name, at, domain = text.rpartition("@")
    if at and name:
        return name, domain or None
    return text, None


def host_port(text: str) -> Parts:
    """Host and port; a bare IPv6 address has none. FortiOS's ``10.0.0.1:443`` and ``10.0.0.1#53`` alike."""
    if text[:1] == "[":
        host, _, rest = text[1:].partition("]")
        return host or None, _port(rest.lstrip(":#"))
    for mark in ("#", ":"):
        if text.count(mark) == 1:
            host, _, rest = text.partition(mark)
            port = _port(rest)
            if port is not None:
                return host or None, port
    return text, None


def _port(text: str) -> str | None:
    return text if text.isascii() and text.isdigit() and int(text[:6]) < 65536 else None


def basename(text: str) -> Parts:
    """The last part of a Windows or POSIX path."""
    return (text.replace("/", "\\").rpartition("\\")[2] or None,)


def dns_name(text: str) -> Parts:
    """``(3)www(7)example(3)com(0)``, as Windows' DNS server writes a name; other names without their last dot."""
    if text[:1] == "(":
        text = ".".join(part for part in _LENGTH.split(text) if part)
    return (text.rstrip(".") or ".",)


def url(text: str) -> Parts:
    """The parts in the order of `URL_PARTS`. A path alone is a URL too. Never raises."""
    if text[:1] == "/":  # what access logs hold: no scheme, no host
        rest, _, fragment = text.partition("#")
        path, _, query = rest.partition("?")
        return (
            text,
            None,
            None,
            None,
            path or None,
            query or None,
            fragment or None,
            _extension(path),
            None,
        )
    try:
        split = urlsplit(text)
        port = split.port
    except ValueError:
        return text, None, None, None, None, None, None, None, None
    return (
        text, split.scheme or None, split.hostname, None if port is None else str(port), split.path or None,
        split.query or None, split.fragment or None, _extension(split.path), split.username,
    )  # fmt: skip


def _extension(path: str) -> str | None:
    last = path.rpartition("/")[2]
    _, dot, ending = last.rpartition(".")
    return ending if dot and ending and len(ending) <= 16 and ending.isalnum() else None


def hashes(text: str) -> Parts:
    """``SHA1=…,MD5=…,SHA256=…,IMPHASH=…`` in the order of `HASHES`, lower case; nulls (all zero) left out."""
    found: dict[str, str] = {}
    for pair in text[:2048].split(","):
        name, _, value = pair.strip().partition("=")
        value = value.strip().lower()
        if value.strip("0") and value.isalnum():
            found[name.strip().lower()] = value
    return [found.get(name) for name in HASHES]


def mac(text: str) -> Parts:
    """ECS's form: upper case, hyphens."""
    digits = "".join(c for c in text if c not in ":-. ")
    if len(digits) != 12 or any(c not in "0123456789abcdefABCDEF" for c in digits):
        return (None,)
    return ("-".join(digits[i : i + 2] for i in range(0, 12, 2)).upper(),)


FUNCTIONS: Final[dict[str, Callable[[str], Parts]]] = {
    "user": user, "host_port": host_port, "basename": basename, "dns_name": dns_name, "url": url, "hashes": hashes, "mac": mac,
}  # fmt: skip
