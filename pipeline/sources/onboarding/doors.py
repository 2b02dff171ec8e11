"""Where senders reach this installation: its listeners, as they look from outside. Pure but for the machine's name.

In: the settings. Out: a `Door` a listener. An address that only says "all of this machine" is no address that a
sender could be given: then it is `collect.public_host`, or this machine's name.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

import msgspec

from pipeline.model.errors import UsageError
from pipeline.settings.values import CollectSettings

_ALL: Final = {"", "0.0.0.0", "::", "[::]", "*"}  # noqa: S104 - told apart, not bound to
KEY: Final = "key"
ADDRESS: Final = "address"
CERTIFICATE: Final = "certificate"
DELIVERY: Final = {
    "http_bulk": "acknowledged", "relp": "acknowledged", "syslog_tcp": "plain", "syslog_udp": "best_effort",
}  # fmt: skip


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """One way in. `known_by`: how a sender is told from others there: key, address (weak) or certificate. `local`:
    only programs on the same machine reach it."""

    name: str
    kind: str
    host: str
    port: int
    tls: bool
    known_by: str
    local: bool = False

    @property
    def delivery(self) -> str:
        return DELIVERY[self.kind]

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    @property
    def authority(self) -> str:
        """host:port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def doors(settings: CollectSettings) -> list[Door]:
    """In the settings' order."""
    found = []
    for one in settings.listeners:
        asked = one.address in _ALL
        host = settings.public_host or (socket.gethostname() if asked else one.address)
        if one.kind == "http_bulk":
            known_by = KEY
        else:
            known_by = CERTIFICATE if one.client_ca else ADDRESS
        found.append(
            Door(
                name=one.name, kind=one.kind, host=host, port=one.port, tls=bool(one.certificate), known_by=known_by,
                local=not asked and (one.address == "localhost" or one.address.startswith("127.") or one.address == "::1"),
            )
        )  # fmt: skip
    return found


def door_of(known: Sequence[Door], name: str) -> Door:
    for one in known:
        if one.name == name:
            return one
    raise UsageError(
        "no such listener",
        got=name,
        expected=", ".join(one.name for one in known) or "none is set up",
    )
