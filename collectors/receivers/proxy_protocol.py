"""PROXY protocol, version 2: whose connection a proxy passes on (haproxy's proxy-protocol.txt, section 2.2).

In: the first bytes of a connection from a proxy that the listener names. Out: the sender's address and how long
the head is, or None while it is not whole. A head of any other form is an error: a proxy that is configured always
sends one. From addresses that are no proxy's these bytes are data like any other::

    0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A  21 11 00 0C  C0A80001 C0A80002 1F90 05DC    TCP over IPv4, 12 bytes follow
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from typing import Final

from collectors.receivers.framing import FramingError
from pipeline.model.errors import UsageError

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_HEAD: Final = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_SIZES: Final = {0x11: 4, 0x21: 16}  # TCP over IPv4 and IPv6: bytes of an address
_AT_MOST: Final = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Sequence[str], where: str) -> tuple[Network, ...]:
    """The proxies of a listener."""
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise UsageError("a proxy is an address or a range", where=where, got=str(error)) from error


def is_proxy(address: str, proxies: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(parsed in one for one in proxies)


def sender(data: bytes) -> tuple[str, int] | None:
    """The address, empty for the proxy's own connection (a health check), and the head's length. Raises FramingError."""
    if data[:12] != SIGNATURE[: len(data)]:
        raise FramingError("no head of the PROXY protocol, version 2", got=repr(data[:16]))
    if len(data) < _HEAD.size:
        return None
    _, command, family, length = _HEAD.unpack_from(data)
    if command not in {_LOCAL, _PROXY} or length > _AT_MOST:
        raise FramingError(
            "this head of the PROXY protocol is not understood", got=f"{command:#x}, {length} bytes"
        )
    end = _HEAD.size + length
    if len(data) < end:
        return None
    if command == _LOCAL:
        return "", end
    size = _SIZES.get(family, 0)
    if not size or length < 2 * size + 4:
        raise FramingError("this family of addresses is not understood", got=f"{family:#x}")
    return str(ipaddress.ip_address(data[_HEAD.size : _HEAD.size + size])), end
