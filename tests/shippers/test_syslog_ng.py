"""A real syslog-ng, unchanged: plain, over TLS with a certificate, and to Elasticsearch's interface."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from faults.test_collector_faults import process
from shippers.test_rsyslog import feed, until_quiet
from support.certificates import Authority
from support.collector import KEY, spooled
from support.serving import free_port
from support.syslog_ng import syslog_ng

NETWORK = 'network("localhost" port({port}) transport("tcp"));'
SYSLOG = 'syslog("localhost" port({port}) transport("tcp"));'
TLS = (
    'network("localhost" port({port}) transport("tls") tls(ca-file("{ca}") cert-file("{mine}") key-file("{key}") '
    "peer-verify(required-trusted)));"
)
BULK = (
    'elasticsearch-http(url("http://127.0.0.1:{port}/_bulk") index("app") type("") '
    f'user("{KEY[0]}") password("{KEY[1]}") '
    'batch-lines(100) workers(1) retries(1000) template("$(format-json message=$MSG)"));'
)


@pytest.mark.parametrize("destination", [NETWORK, SYSLOG], ids=["network", "syslog"])
def test_plain_syslog_of_both_framings_is_stored_once(tmp_path: Path, destination: str) -> None:
    port, root = free_port(), tmp_path / "spool"
    with (
        process(root, "0", f"tcp={port}"),
        syslog_ng(tmp_path / "syslog-ng", destination.format(port=port)) as into,
    ):
        feed(into, 2000, 0.005)
        assert until_quiet(root, 2000, 20) == Counter(range(2000))


def test_over_tls_the_certificate_is_the_source(tmp_path: Path) -> None:
    port, root = free_port(), tmp_path / "spool"
    authority = Authority(tmp_path / "tls")
    authority.issue("localhost")
    mine = authority.issue("sender.q1.example")
    said = TLS.format(port=port, ca=authority.certificate, mine=mine.certificate, key=mine.key)
    with (
        process(root, "0", f"tcp={port}", str(tmp_path / "tls")),
        syslog_ng(tmp_path / "syslog-ng", said) as into,
    ):
        feed(into, 2000, 0.005)
        assert until_quiet(root, 2000, 20) == Counter(range(2000))
    assert {record.source for record in spooled(root)} == {"q1-web"}


def test_bulk_requests_cut_off_between_storing_and_answering_are_stored_once(
    tmp_path: Path,
) -> None:
    port, root = free_port(), tmp_path / "spool"
    with syslog_ng(tmp_path / "syslog-ng", BULK.format(port=port)) as into:
        feed(into, 4000, 0.002)
        for stores in ("3", "5"):
            with process(root, stores, f"http={port}") as (collector, _):
                assert collector.wait(30) == -signal.SIGKILL
        with process(root, "0", f"http={port}"):
            found = until_quiet(root, 4000, 30)
    assert found == Counter(range(4000))
