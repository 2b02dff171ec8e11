"""What was stored before a kill and comes again in pieces is stored once; anything else is new."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract.test_receiver_contract import until
from support import collector as support
from support.collector import running, spooled, tally

from collectors.receivers.split_requests import WINDOW, SplitRequests
from pipeline.model.records import RawRecord
from pipeline.settings.values import CollectSettings, Listener


def records(*bodies: bytes, source: str = "s", peer: str = "p") -> list[RawRecord]:
    return [RawRecord(n, source, 0, body, peer=peer) for n, body in enumerate(bodies, 1)]


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ([[b"a"], [b"b"], [b"c"], [b"d"]], [True, True, True, False]),
        ([[b"a", b"b"], [b"c"]], [True, True]),
        ([[b"b"], [b"a"], [b"x"], [b"b"], [b"c", b"d"]], [False, True, False, True, False]),
        ([[b"a", b"b", b"c", b"d"]], [False]),
        ([[b"a"], [b"a"]], [True, False]),
    ],
)
def test_pieces_are_known_in_their_order_and_nothing_else(
    sent: list[list[bytes]], known: list[bool]
) -> None:
    split = SplitRequests([(b"r", records(b"a", b"b", b"c"))], 0.0)
    found = [split.again(b"%d" % n, "s", "p", bodies, 1.0) for n, bodies in enumerate(sent)]
    assert found == known
    assert split.again(b"%d" % known.index(True), "s", "p", [b"?"], 1.0) if any(known) else True


def test_pieces_of_others_of_whole_requests_and_of_long_ago_are_new() -> None:
    split = SplitRequests([(b"r", records(b"a", b"b")), (b"one", records(b"z"))], 0.0)
    assert not split.again(b"x", "s", "q", [b"a"], 1.0)
    assert not split.again(b"x", "t", "p", [b"a"], 1.0)
    assert not split.again(b"x", "s", "p", [b"z"], 1.0)
    split.whole(b"r")
    assert not split.again(b"x", "s", "p", [b"a"], 1.0)
    late = SplitRequests([(b"r", records(b"a", b"b"))], 0.0)
    assert not late.again(b"x", "s", "p", [b"a"], WINDOW + 1)


def test_a_batch_that_comes_again_document_by_document_after_a_restart_is_stored_once(
    tmp_path: Path,
) -> None:
    import urllib.request

    settings = CollectSettings(node="n1", listeners=(Listener(name="http", kind="http_bulk"),))
    lines = [b'{"n":%d}' % n for n in range(5)]

    def post(port: int, documents: list[bytes]) -> None:
        body = b"".join(b'{"create":{}}\n%s\n' % one for one in documents)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/_bulk", data=body,
            headers={"Authorization": f"ApiKey {support.API_KEY}"},
        )  # fmt: skip
        assert urllib.request.urlopen(request, timeout=5).status == 200

    with running(tmp_path, settings) as collector:
        post(collector.ports["http"], lines)
    with running(tmp_path, settings) as collector:
        for one in lines:
            post(collector.ports["http"], [one])
        post(collector.ports["http"], [b'{"n":5}'])
        until(lambda: tally(collector, "http", "q1-web")["repeated"] == 5)
    assert [one.body for one in spooled(tmp_path)] == [*lines, b'{"n":5}']
