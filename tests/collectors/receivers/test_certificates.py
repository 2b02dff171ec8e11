"""Mutual TLS: the source is its certificate's, at any address, until that is revoked."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

import pytest
from contract.test_receiver_contract import until
from support.certificates import Authority, Certificate
from support.collector import running, spooled, tally
from support.relp import RelpClient

from collectors.receivers.certificates import registered_name
from collectors.receivers.directory import FixedDirectory, SourceIdentity
from pipeline.model.errors import UsageError
from pipeline.settings.values import CollectSettings, Listener

FIRST, SECOND = SourceIdentity("q1-fw", "q1", "p"), SourceIdentity("q2-fw", "q2", "p")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Certificate:
    return authority.issue("localhost")


def settings(server: Certificate, authority: Authority) -> CollectSettings:
    files = {"certificate": str(server.certificate), "key": str(server.key)}
    both = files | {"client_ca": str(authority.certificate)}
    return CollectSettings(
        node="n1",
        listeners=tuple(Listener(name=n, kind=k, **both) for n, k in (("tcp", "syslog_tcp"), ("relp", "relp"))),
    )  # fmt: skip


def context(authority: Authority, client: Certificate) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(authority.certificate))
    made.load_cert_chain(client.certificate, client.key)
    return made


def test_two_agencies_behind_one_address_are_told_apart_by_their_certificates(
    tmp_path: Path, authority: Authority, server: Certificate
) -> None:
    one, two = authority.issue("fw1.q1.example"), authority.issue("fw2.q2.example")
    known = FixedDirectory(
        [("tcp", "127.0.0.0/8", FIRST)],
        certificates={one.fingerprint: FIRST, "san:fw2.q2.example": SECOND},
    )
    with running(tmp_path, settings(server, authority), known) as collector:
        for client, text in ((one, b"<1>one\n"), (two, b"<1>two\n")):
            with (
                socket.create_connection(("127.0.0.1", collector.ports["tcp"])) as plain,
                context(authority, client).wrap_socket(
                    plain, server_hostname="localhost"
                ) as sender,
            ):
                sender.sendall(text)
        relp = RelpClient(collector.ports["relp"], tls=context(authority, two))
        relp.open()
        relp.send([b"<1>three"])
        relp.settle()
        relp.close()
        until(lambda: len(spooled(tmp_path)) == 3)
    found = sorted((record.source, record.body) for record in spooled(tmp_path))
    assert found == [("q1-fw", b"<1>one"), ("q2-fw", b"<1>three"), ("q2-fw", b"<1>two")]


def test_a_certificate_that_nobody_registered_is_a_knock_whatever_its_address(
    tmp_path: Path, authority: Authority, server: Certificate
) -> None:
    stranger = authority.issue("stranger.example")
    known = FixedDirectory([("tcp", "127.0.0.0/8", FIRST)])
    with running(tmp_path, settings(server, authority), known) as collector:
        with (
            socket.create_connection(("127.0.0.1", collector.ports["tcp"])) as plain,
            context(authority, stranger).wrap_socket(plain, server_hostname="localhost") as sender,
        ):
            sender.settimeout(5)
            assert _ended(sender)
        knocks = {(k.receiver, k.address) for k in collector.intake.knocks.snapshot()}
    assert ("tcp", stranger.fingerprint) in knocks
    assert spooled(tmp_path) == []


@pytest.mark.parametrize("listener", ["tcp", "relp"])
def test_a_revoked_certificate_is_cut_off_in_the_middle_of_its_connection(
    tmp_path: Path, authority: Authority, server: Certificate, listener: str
) -> None:
    client = authority.issue("fw3.q1.example")
    certificates: dict[str, SourceIdentity] = {client.fingerprint: FIRST}
    known = FixedDirectory(certificates=certificates)
    with (
        running(tmp_path, settings(server, authority), known) as collector,
        socket.create_connection(("127.0.0.1", collector.ports[listener])) as plain,
        context(authority, client).wrap_socket(plain, server_hostname="localhost") as sender,
    ):
        sender.settimeout(5)
        until(lambda: len(collector.receivers[["tcp", "relp"].index(listener)].open) == 1)  # type: ignore[attr-defined]
        certificates.clear()
        assert _ended(sender)
        assert tally(collector, listener, "q1-fw")["notes"] == {"no_longer_known": 1}


def test_without_a_certificate_of_the_authority_nobody_gets_in(
    tmp_path: Path, authority: Authority, server: Certificate
) -> None:
    other = Authority(tmp_path / "other").issue("fw1.q1.example")
    known = FixedDirectory(
        [("tcp", "127.0.0.0/8", FIRST)], certificates={"san:fw1.q1.example": FIRST}
    )
    root = tmp_path / "spool"
    with running(root, settings(server, authority), known) as collector:
        for made in (
            ssl.create_default_context(cafile=str(authority.certificate)),
            context(authority, other),
        ):
            with socket.create_connection(
                ("127.0.0.1", collector.ports["tcp"]), timeout=5
            ) as plain:
                try:
                    with made.wrap_socket(plain, server_hostname="localhost") as sender:
                        sender.sendall(b"<1>x\n")
                        assert _ended(sender)
                except OSError:
                    pass
        time.sleep(0.1)
    assert spooled(root) == []


def test_names_of_certificates_are_kept_in_one_form() -> None:
    digits = "AB:" * 31 + "CD"
    plain = "sha256:" + "ab" * 31 + "cd"
    assert [registered_name(t) for t in (f"sha256:{digits}", f"SHA-256={digits}", digits, " san:FW.q1.vn ")] == [
        plain, plain, plain, "san:fw.q1.vn"
    ]  # fmt: skip
    for wrong in ("", "fw.q1.vn", "sha256:abcd", "san:", "san:*"):
        with pytest.raises(UsageError):
            registered_name(wrong)


def _ended(sender: ssl.SSLSocket) -> bool:
    try:
        return sender.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True
