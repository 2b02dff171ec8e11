"""The query language: what it means, and where it points when it cannot be read or answered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.model.clock import to_micros
from pipeline.model.errors import QueryError
from pipeline.store.query import parse
from pipeline.store.query_tree import (
    Addresses,
    And,
    EventId,
    Everything,
    Exists,
    Keyword,
    Node,
    Not,
    Numbers,
    Or,
    TextRange,
    Times,
    Truth,
    Wild,
    Wildcard,
    Words,
)

MAPPED = b"\0" * 10 + b"\xff\xff"


def at(*parts: int) -> int:
    return to_micros(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type, misc]


MEANINGS: list[tuple[str, Node]] = [
    ("", Everything()),
    (" * ", Everything()),
    ("*:*", Everything()),
    ("Đăng-nhập", Words(("dang", "nhap"))),
    ('"failed LOGON*"', Words(("failed", "logon"))),
    ("power*", Words(("power",), open_end=True)),
    ("*10.0*", Words(("10", "0"), open_start=True, open_end=True)),
    ("event.original:*shell", Words(("shell",), open_start=True)),
    ("user.name:ADMIN", Keyword("user.name", "admin")),
    ('user.name:"a b"', Keyword("user.name", "a b")),
    ("user.name:Trần", Or((Keyword("user.name", "tr\u1ea7n"), Keyword("user.name", "tra\u0302\u0300n")))),
    ("user.name:*", Exists("user.name")),
    ("_exists_:user.name", Exists("user.name")),
    ("user.name:[* TO *]", Exists("user.name")),
    ("x:C\\:\\\\Win*\\*?", Wildcard("x", ("c:\\win", Wild.ANY, "*", Wild.ONE))),
    ("x:[a TO B}", TextRange("x", "a", "b", True, False)),
    ("source.port:443", Numbers("source.port", 443, 443)),
    ("source.port:-1", Numbers("source.port", -1, -1)),
    ("source.port:>=1024", Numbers("source.port", 1024, None)),
    ("source.port:{-5 TO 5]", Numbers("source.port", -5, 5, False, True)),
    ("event.risk_score:<1.5", Numbers("event.risk_score", None, 1.5, True, False)),
    ("dll.code_signature.valid:TRUE", Truth("dll.code_signature.valid", True)),
    ("source.ip:10.1.2.3/8", Addresses("source.ip", MAPPED + bytes([10, 0, 0, 0]), MAPPED + bytes([10, 255, 255, 255]))),
    ("source.ip:{10.0.0.1 TO 10.0.0.9}", Addresses("source.ip", MAPPED + bytes([10, 0, 0, 2]), MAPPED + bytes([10, 0, 0, 8]))),
    ('source.ip:"::1"', Addresses("source.ip", bytes(15) + b"\1", bytes(15) + b"\1")),
    ("@timestamp:2026-11-24T09:00Z", Times("@timestamp", at(2026, 11, 24, 9), at(2026, 11, 24, 9, 1))),
    ("@timestamp:[2026-11-24 TO 2026-11-25]", Times("@timestamp", at(2026, 11, 23, 17), at(2026, 11, 25, 17))),
    ("@timestamp:{2026-11-24 TO 2026-11-25}", Times("@timestamp", at(2026, 11, 24, 17), at(2026, 11, 24, 17))),
    ('@timestamp:>"2026-11-24T09:00:00.000Z"', Times("@timestamp", at(2026, 11, 24, 9) + 1000, None)),
    ("event.id:0000000000000000000000000000000A", EventId(bytes(15) + b"\n")),
    ("a AND b c", And((And((Words(("a",)), Words(("b",)))), Words(("c",))))),
    ("a OR NOT b", Or((Words(("a",)), Not(Words(("b",)))))),
    ("+a -b", And((Words(("a",)), Not(Words(("b",)))))),
    ("x:(a OR (b AND NOT c))", Or((Keyword("x", "a"), And((Keyword("x", "b"), Not(Keyword("x", "c"))))))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meaning"), MEANINGS, ids=[text for text, _ in MEANINGS])
def test_a_query_means(text: str, meaning: Node) -> None:
    assert parse(text) == meaning


REFUSALS = [
    ("user.name:lan~2", 10, "fuzzy"),
    ('"a b"~3', 0, "near each other"),
    ("lan^2", 0, "weights"),
    ("x:/ab+/", 2, "regular expressions"),
    ("url.path:/login", 9, 'write the value in quotes: url.path:"/login"'),
    ("source.ip:10.0.*", 10, "write a block: source.ip:10.0.0.0/16"),
    ("source.port:4*", 12, "takes no wildcard"),
    ("source.port:http", 12, "expected a whole number"),
    ("source.port:99999999999999999999", 12, "64 bits"),
    ("source.ip:10.0.0.300", 10, "expected an address"),
    ("@timestamp:yesterday", 11, "expected a time such as"),
    ("@timestamp:2026-02-30", 11, "expected a time such as"),
    ("event.id:ab", 9, "32 hexadecimal digits"),
    ("thapcanh.extra:a", 15, "is not searched"),
    ("event.id:[a TO b]", 9, "has no order"),
    ("user.*:lan", 0, "field's name takes no wildcard"),
    ("user.name:-lan", 10, "write NOT user.name"),
    ("a:b:c", 2, "a field within a field"),
    ("x:(a OR -b)", 9, "beside OR"),
    ("pow*shell", 0, "either end"),
    ("*.exe", 0, "must touch a letter"),
    ("...", 0, "no letter or digit"),
    ("a && b", 2, "write NOT, AND, OR"),
    ("!a", 0, "write NOT, AND, OR"),
    (">5", 0, "a range needs a field"),
    ("x:[a* TO b]", 3, "a range's end"),
    ("(a", 2, "close what is open"),
    ('user.name:"lan', 10, "close the quotation"),
    ("a)", 1, "take the bracket away"),
    ("x:a\\", 3, "write a backslash twice"),
    ("'a'", 0, "double quotes"),
    ("a\ud800", 1, "half a character"),
    ("(" * 80 + "a" + ")" * 80, 51, "nested too deeply"),
    ("a " * 4_001, 8_000, "too long"),
    ("a " * 501, 1_000, "too many clauses"),
]


@pytest.mark.parametrize(("text", "place", "words"), REFUSALS, ids=[t[:20] for t, _, _ in REFUSALS])
def test_what_is_not_answered_is_refused_in_words_at_its_place(
    text: str, place: int, words: str
) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert caught.value.position == place
    assert f"character {place + 1}" in str(caught.value)


def test_the_place_is_shown_beneath_the_text() -> None:
    with pytest.raises(QueryError) as caught:
        parse("user.name:lan~2")
    assert caught.value.pointer == "user.name:lan~2\n          ^"


def test_a_store_may_know_kinds_that_ecs_does_not() -> None:
    assert parse("winlog.version:4", lambda _: "long") == Numbers("winlog.version", 4, 4)
