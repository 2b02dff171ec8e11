"""The PROXY protocol: believed of a proxy that the listener names, and of nobody else."""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from contract.test_receiver_contract import until
from support import collector as support
from support.certificates import Authority
from support.collector import running, spooled, tally

from collectors.receivers.framing import FramingError
from collectors.receivers.proxy_protocol import SIGNATURE, sender
from pipeline.model.errors import FaultsError
from pipeline.settings.values import CollectSettings


def head(address: str, command: int = 0x21) -> bytes:
    six = ":" in address
    packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
    body = packed + packed + struct.pack("!HH", 1000, 514)
    return SIGNATURE + struct.pack("!BBH", command, 0x21 if six else 0x11, len(body)) + body


def settings(*proxies: str) -> CollectSettings:
    listeners = tuple(
        replace(one, proxies=proxies) if one.name == "tcp" else one for one in support.LISTENERS
    )
    return CollectSettings(node="n1", listeners=listeners)


def test_the_sender_is_who_the_proxy_says_however_the_head_is_cut(tmp_path: Path) -> None:
    whole = head("127.0.0.12") + b"<1>passed on\n"
    with running(tmp_path, settings("127.0.0.50/32")) as collector:
        for cut in (1, 15, 20, len(whole) - 3):
            with socket.create_connection(
                ("127.0.0.1", collector.ports["tcp"]), source_address=("127.0.0.50", 0)
            ) as proxy:
                proxy.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                proxy.sendall(whole[:cut])
                proxy.sendall(whole[cut:])
        until(lambda: len(spooled(tmp_path)) == 4)
    found = {(r.source, r.peer, r.body) for r in spooled(tmp_path)}
    assert found == {("q2-fw", "127.0.0.12", b"<1>passed on")}


def test_whoever_is_no_proxy_stays_who_it_is(tmp_path: Path) -> None:
    with running(tmp_path, settings("127.0.0.50/32")) as collector:
        with socket.create_connection(
            ("127.0.0.1", collector.ports["tcp"]), source_address=("127.0.0.11", 0)
        ) as liar:
            liar.sendall(head("127.0.0.12") + b"<1>mine\n")
        until(lambda: bool(spooled(tmp_path)))
    assert {record.source for record in spooled(tmp_path)} == {"q1-fw"}


def test_a_proxy_without_its_head_is_closed_and_counted(tmp_path: Path) -> None:
    with running(tmp_path, settings("127.0.0.50/32")) as collector:
        with socket.create_connection(
            ("127.0.0.1", collector.ports["tcp"]), timeout=5, source_address=("127.0.0.50", 0)
        ) as proxy:
            proxy.sendall(b"<1>no head\n")
            assert _ended(proxy)
        assert tally(collector, "tcp", "")["notes"] == {"bad_proxy_head": 1}
    assert spooled(tmp_path) == []


def test_what_is_no_head_is_an_error_and_a_part_of_one_is_waited_for() -> None:
    whole = head("2001:db8::7")
    assert [sender(whole[:n]) for n in range(len(whole))] == [None] * len(whole)
    assert sender(whole + b"more") == ("2001:db8::7", len(whole))
    assert sender(head("10.0.0.1", 0x20)) == ("", 28)
    for wrong in (
        b"PROXY TCP4 1.1.1.1",
        head("10.0.0.1", 0x11),
        SIGNATURE + b"\x21\x11\xff\xff",
        SIGNATURE + b"\x21\x31\0\0",
    ):
        with pytest.raises(FramingError):
            sender(wrong)


def test_a_proxy_that_is_no_address_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(FaultsError), running(tmp_path, settings("balancer")):
        pass


def test_behind_a_proxy_http_counts_the_sender_s_address_and_the_rest_of_the_request_is_whole(
    tmp_path: Path,
) -> None:
    proxied = replace(support.LISTENERS[0], proxies=("127.0.0.50/32",))
    body = b'{"create":{}}\n{"m":"passed on"}\n'
    request = (
        f"POST /_bulk HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {support.API_KEY}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
    with running(tmp_path, CollectSettings(node="n1", listeners=(proxied,))) as collector:
        for source, sent in (
            ("127.0.0.50", head("192.0.2.7") + request),
            ("127.0.0.51", request.replace(b"passed", b"itself")),
            ("127.0.0.50", request),  # a proxy without its head
            ("127.0.0.51", head("192.0.2.7") + request),  # who is no proxy
        ):
            with socket.create_connection(
                ("127.0.0.1", collector.ports["http"]), timeout=5, source_address=(source, 0)
            ) as sock:
                sock.sendall(sent)
                _ended(sock)
        until(lambda: len(spooled(tmp_path)) == 2)
        until(
            lambda: tally(collector, "http", "")["notes"] == {"bad_proxy_head": 1, "bad_request": 1}
        )
    assert [(r.peer, r.body) for r in spooled(tmp_path)] == [
        ("192.0.2.7", b'{"m":"passed on"}'),
        ("127.0.0.51", b'{"m":"itself on"}'),
    ]


_PASSED_ON = {
    "tcp": b"<1>passed on\n",
    "relp": b"1 open 0\n2 syslog 12 <1>passed on\n",
    "http": b"POST /ingest/q1-web HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey %s\r\n"
    b"Content-Length: 12\r\n\r\n<1>passed on" % support.API_KEY.encode(),
}


@pytest.mark.parametrize("name", _PASSED_ON)
def test_tls_begins_behind_the_head_of_a_proxy(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path / "ca")
    made = authority.issue("localhost")
    (listener,) = [one for one in support.LISTENERS if one.name == name]
    listener = replace(
        listener, certificate=str(made.certificate), key=str(made.key), proxies=("127.0.0.50/32",)
    )
    root = tmp_path / "spool"
    context = ssl.create_default_context(cafile=str(authority.certificate))
    with running(root, CollectSettings(node="n1", listeners=(listener,))) as collector:
        for source, first in (("127.0.0.50", head("127.0.0.12")), ("127.0.0.11", b"")):
            with socket.create_connection(
                ("127.0.0.1", collector.ports[name]), timeout=5, source_address=(source, 0)
            ) as plain:
                plain.sendall(first)
                said = (
                    _PASSED_ON[name] if first else _PASSED_ON[name].replace(b"-web ", b"-web/ ")
                )  # no resend
                with context.wrap_socket(plain, server_hostname="localhost") as sender:
                    sender.sendall(said)
                    until(lambda upto=1 + (not first): len(spooled(root)) == upto)  # type: ignore[misc]
        with socket.create_connection(
            ("127.0.0.1", collector.ports[name]), timeout=5, source_address=("127.0.0.50", 0)
        ) as plain:
            plain.sendall(b"\x16\x03\x01" + bytes(20))
            assert _ended(plain)
        until(lambda: tally(collector, name, "")["notes"] == {"bad_proxy_head": 1})
    found = {(r.source, r.peer, r.body.strip()) for r in spooled(root)}
    behind, own = (
        ("q1-web", "q1-web") if name == "http" else ("q2-fw", "q1-fw")
    )  # by key, or address
    assert found == {
        (behind, "127.0.0.12", b"<1>passed on"), (own, "127.0.0.11", b"<1>passed on")
    }  # fmt: skip


def _ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True
