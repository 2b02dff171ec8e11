"""What the kernel knows of the other end of a TCP connection.

In: a transport. Out: whether all that was written has been confirmed; a question whether the other end is still there.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios


def all_confirmed(transport: asyncio.Transport) -> bool:
    """Whether the other end's kernel has confirmed every byte of ours. A program that ends with some of them unread
    resets the connection instead of closing it."""
    sock = _socket(transport)
    if sock is None or transport.get_write_buffer_size():
        return False
    with contextlib.suppress(OSError):
        left = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        return bool(left == 0)
    return False


def ask(transport: asyncio.Transport | None) -> None:
    """Have the kernel ask whether the other end still is; a dead connection is lost then, within four seconds."""
    if transport is not None and (sock := _socket(transport)) is not None:
        for option, value in (("IDLE", 1), ("INTVL", 1), ("CNT", 3)):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{option}"), value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _socket(transport: asyncio.Transport) -> socket.socket | None:
    found: socket.socket | None = transport.get_extra_info("socket")
    return found if found is not None and found.fileno() >= 0 else None
