"""Each sender's template fills completely for each listener it can speak to, with and without TLS."""

from __future__ import annotations

import base64
import re

import pytest

from pipeline.model.errors import UsageError
from pipeline.settings.values import CollectSettings, Listener
from pipeline.sources.onboarding.doors import ADDRESS, CERTIFICATE, KEY, Door, doors
from pipeline.sources.onboarding.snippets import NO_KEY, doors_for, fitting, senders, snippet, usual

SENDERS = senders()
WAYS = [(name, way) for name, sender in SENDERS.items() for way in sender.ways]


def door(kind: str, *, tls: bool = False, host: str = "collector.example") -> Door:
    known_by = KEY if kind == "http_bulk" else ADDRESS
    return Door(name=kind, kind=kind, host=host, port=9999, tls=tls, known_by=known_by)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(("name", "way"), WAYS)
def test_a_snippet_says_host_and_port_and_leaves_no_mark(name: str, way: str, tls: bool) -> None:
    made = snippet(name, door(way, tls=tls), "p1-fw", "id:secret")
    assert "collector.example" in made.text
    assert "9999" in made.text
    assert not re.search(r"\{\{|\}\}|^\?", made.text, re.MULTILINE)
    assert made.secret == (way == "http_bulk")


@pytest.mark.parametrize("name", SENDERS)
def test_every_sender_is_told_in_both_languages_and_says_what_it_was_run_against(name: str) -> None:
    sender = SENDERS[name]
    assert {"vi", "en"} == set(sender.title) == set(sender.where)
    assert sender.steps
    assert all(set(step) == {"vi", "en"} for step in sender.steps)
    assert sender.run or sender.source or name == "syslog_device"


def test_the_key_stands_where_it_is_known_and_a_placeholder_before() -> None:
    before = snippet("http", door("http_bulk"), "p1", "")
    after = snippet("http", door("http_bulk", tls=True), "p1", "id:secret")
    assert NO_KEY in before.text.replace("BASE64-OF-", "")
    assert base64.b64encode(b"id:secret").decode() in after.text
    assert "https://collector.example:9999/ingest/p1" in after.text
    assert (before.secret, after.secret) == (False, True)


def test_an_ipv6_host_stands_in_brackets_in_an_address() -> None:
    assert (
        "http://[2001:db8::7]:9999/ingest/p1"
        in snippet("http", door("http_bulk", host="2001:db8::7"), "p1").text
    )


def test_what_fits_the_product_comes_first() -> None:
    every = [door(kind) for kind in ("http_bulk", "syslog_tcp", "syslog_udp")]
    assert fitting("fortinet_fortigate", every)[0].name == "fortigate"
    assert fitting("windows", every)[0].name in {"winlogbeat", "nxlog"}
    assert {one.name for one in fitting("nginx", [door("http_bulk")])} == {
        "rsyslog", "syslog_ng", "winlogbeat", "filebeat", "http",
    }  # fmt: skip
    assert usual(SENDERS["http"], "anything")
    assert [one.kind for one in doors_for(SENDERS["rsyslog"], every)] == [
        "http_bulk", "syslog_tcp", "syslog_udp",
    ]  # fmt: skip


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(UsageError, match="no such sender"):
        snippet("none", door("relp"), "p1")
    with pytest.raises(UsageError, match="cannot speak"):
        snippet("fortigate", door("http_bulk"), "p1")


def test_doors_are_the_listeners_as_they_look_from_outside() -> None:
    listeners = (
        Listener(name="a", kind="http_bulk", address="0.0.0.0", port=1, certificate="c", key="k"),
        Listener(name="b", kind="syslog_udp", port=2),
        Listener(name="c", kind="relp", address="10.0.0.9", port=3, client_ca="ca"),
    )
    found = doors(CollectSettings(listeners=listeners, public_host="soc.example"))
    assert [(one.host, one.tls, one.known_by, one.local) for one in found] == [
        ("soc.example", True, KEY, False),
        ("soc.example", False, ADDRESS, True),
        ("soc.example", False, CERTIFICATE, False),
    ]
    assert doors(CollectSettings(listeners=listeners[2:]))[0].host == "10.0.0.9"
