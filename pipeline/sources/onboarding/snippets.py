"""What to write into a sender so that it sends here: `config/senders/*.yml`, filled in with a door and a key. Pure but
for reading the files once.

In: a sender, a door of this installation, a source, its key (or none yet). Out: a `Snippet`. A line of a template that
begins with ``?tls`` or ``?plain`` stands only where the door speaks TLS, or does not. Where a file says no `run`, it has
not been run against the real system, and people are told so.

    title: Filebeat                      # one text, or {vi: …, en: …}
    where: /etc/filebeat/filebeat.yml    # where it is to be written
    run: Filebeat 8.15                   # what it was run against in our tests; else `source`: the vendor's document
    fits: [nginx, zeek]                  # products that this sender is usual for; "*": any
    ways: {http_bulk: "…{{authority}}…"}   # kind of listener → template, the best first
    steps: [{vi: …, en: …}]
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
import yaml

from pipeline.model.errors import UsageError
from pipeline.settings.places import config_dir
from pipeline.sources.onboarding.doors import KEY, Door

_PLACE: Final = re.compile(r"\{\{([a-z_0-9]+)\}\}")
ANY: Final = "*"
NO_KEY: Final = "KEY-ID:KEY-SECRET"
"""What stands where the key will be, until it is made."""


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of sender. `title` and `where` by language; `run` is empty where it was never run."""

    name: str
    title: Mapping[str, str]
    where: Mapping[str, str]
    ways: Mapping[str, str]
    steps: tuple[Mapping[str, str], ...] = ()
    fits: tuple[str, ...] = ()
    run: str = ""
    source: str = ""


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """Ready to be copied. `secret`: it holds the key."""

    sender: Sender
    door: Door
    text: str
    secret: bool


@cache
def senders() -> dict[str, Sender]:
    """By name, as the files stand."""
    found = {}
    for path in sorted((config_dir() / "senders").glob("*.yml")):
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        given["title"], given["where"] = _both(given["title"]), _both(given["where"])
        found[path.stem] = msgspec.convert({"name": path.stem} | given, Sender)
    return found


def _both(text: Any) -> dict[str, str]:
    return dict(text) if isinstance(text, dict) else {"vi": str(text), "en": str(text)}


def fitting(product: str, doors: Sequence[Door]) -> list[Sender]:
    """Senders that some door takes: those usual for the product first, then those for any."""
    kinds = {door.kind for door in doors}
    able = [one for one in senders().values() if kinds & one.ways.keys()]
    rank = {product: 0, ANY: 1}
    return sorted(
        able,
        key=lambda one: (
            min((rank.get(fit, 2) for fit in one.fits), default=2),
            not one.run,
            one.name,
        ),
    )


def usual(sender: Sender, product: str) -> bool:
    return product in sender.fits or ANY in sender.fits


def doors_for(sender: Sender, doors: Sequence[Door]) -> list[Door]:
    """The doors that the sender can speak to, the best way first."""
    order = list(sender.ways)
    return sorted(
        (one for one in doors if one.kind in sender.ways), key=lambda d: order.index(d.kind)
    )


def snippet(name: str, door: Door, source: str, key: str = "") -> Snippet:
    """`key` as it was shown once (id:secret); empty: a placeholder stands for it."""
    sender = senders().get(name)
    if sender is None:
        raise UsageError("no such sender", got=name, expected=", ".join(senders()))
    template = sender.ways.get(door.kind)
    if template is None:
        raise UsageError(
            "the sender cannot speak to this listener", got=f"{name}, {door.kind}", expected=", ".join(sender.ways)
        )  # fmt: skip
    key_id, _, key_secret = (key or NO_KEY).partition(":")
    values = {
        "host": door.host, "bracketed": f"[{door.host}]" if ":" in door.host else door.host, "port": str(door.port),
        "authority": door.authority, "scheme": door.scheme, "source": source, "key": key or NO_KEY, "key_id": key_id,
        "key_secret": key_secret,
        "key_base64": base64.b64encode(key.encode()).decode() if key else "BASE64-OF-KEY-ID:KEY-SECRET",
    }  # fmt: skip
    lines = []
    for line in template.splitlines():
        wanted = "?tls " if door.tls else "?plain "
        if line.startswith("?"):
            if not line.startswith(wanted):
                continue
            line = line.removeprefix(wanted)  # noqa: PLW2901 - the mark is no part of it
        lines.append(_PLACE.sub(lambda place: values[place[1]], line))
    text = "\n".join(lines) + "\n"
    return Snippet(sender=sender, door=door, text=text, secret=bool(key) and door.known_by == KEY)
