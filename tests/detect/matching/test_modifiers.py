"""Every modifier of Sigma that pySigma reads: what it finds and what it leaves, by the reference evaluator."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sigma.modifiers import modifier_mapping

from pipeline.detect.matching.reference import holds
from pipeline.detect.rulebook.rules import Rule, rules_from_texts
from pipeline.model import events

LISTS = {"bad": ["192.0.2.7", "203.0.113.0/24"], "words": ["a*b", "c.d"], "none": []}


def read(item: str, placeholders: dict[str, list[str]] | None = None) -> Rule:
    text = f"""title: t
id: a0000000-0000-4000-8000-000000000000
logsource: {{product: windows, category: process_creation}}
detection:
    s:
        {item}
    condition: s
"""
    book = rules_from_texts([("x.yml", text)], placeholders=placeholders or LISTS)
    if book.faults:
        raise book.faults[0]
    return book.rules[0]


def found(item: str, *rows: dict[str, Any]) -> list[bool]:
    body = read(item).body
    assert body is not None
    return [holds(body, row) for row in rows]


def b64(text: bytes) -> str:
    return base64.b64encode(text).decode()


CASES: list[tuple[str, list[Any], list[Any]]] = [
    ("F: abc", ["abc", "ABC", ["x", "abc"]], ["abcd", "", None, "x"]),
    ("F: a*c?e", ["abcde", "acxe"], ["abcd", "ace"]),
    (r"F: 'a\*c'", ["a*c"], ["abc"]),
    (r"F: 'a\\*'", ["a\\b"], ["a*"]),
    ("F|contains: b", ["abc", "B"], ["ac", "", None]),
    ("F|startswith: ab", ["ABc"], ["cab"]),
    ("F|endswith: bc", ["abC"], ["bca"]),
    ("F|contains|all: [a, b]", ["b a"], ["a", "b"]),
    ("F|cased: Abc", ["Abc"], ["abc", "ABC"]),
    ("F|contains|cased: B", ["aBc"], ["abc"]),
    ("F|re: 'a.c'", ["xabcx"], ["ABC", "ac"]),
    ("F|re|i: 'a.c'", ["xABCx"], ["ac"]),
    ("F|re|ignorecase: 'a.c'", ["ABC"], ["ac"]),
    ("F|re|m: '^b$'", ["a\nb\nc"], ["abc"]),
    ("F|re|multiline: '^b$'", ["a\nb"], ["ab"]),
    ("F|re|s: 'a.c'", ["a\nc"], ["ac"]),
    ("F|re|dotall: 'a.c'", ["a\nc"], ["ac"]),
    ("F|re: 'a.c'", [], ["a\nc"]),
    ("F|cidr: 10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "10.0.0.0.1", "x10.1.2.3", None]),
    ("F|cidr: 'fe80::/10'", ["fe80::1%eth0", "FE80::2"], ["fec0::1", "10.1.2.3"]),
    ("F|base64: foo", [b64(b"foo")], [b64(b"food")]),
    (
        "F|base64offset|contains: https",
        [b64(b"https"), b64(b"xhttps"), b64(b"xxhttpsxx")],
        [b64(b"http:")],
    ),
    ("F|wide|base64: foo", [b64("foo".encode("utf-16-le"))], [b64(b"foo")]),
    ("F|utf16|base64: foo", [b64(b"\xff\xfe" + "foo".encode("utf-16-le"))], [b64(b"foo")]),
    ("F|utf16be|base64: foo", [b64("foo".encode("utf-16-be"))], [b64(b"foo")]),
    (
        "F|wide|base64offset|contains: tải",
        [b64(f"{x}tải về".encode("utf-16-le")) for x in ("", "x", "xy")],
        [b64("tai".encode("utf-16-le"))],
    ),
    (
        "F|base64offset|contains: về",
        [b64("về".encode()), b64("xvềx".encode()), b64("xyvề".encode())],
        [b64(b"ve")],
    ),
    ("F|windash|contains: ' -f '", ["x -f y", "x /f y", "x –f y", "x —f y", "x ―f y"], ["x +f y"]),
    ("F|lt: 5", ["4", 4.5, -1], ["5", "abc", None, ""]),
    ("F|lte: 5", [5], [5.1]),
    ("F|gt: 5", ["6"], ["5", "0x10"]),
    ("F|gte: 5", ["5"], ["4"]),
    ("F|exists: true", ["x", ""], [None]),
    ("F|exists: false", [None], ["x", ""]),
    ("F: null", [None], ["", "x"]),
    ("F: ''", [""], [None, "x", " "]),
    ("F: [null, '']", [None, ""], ["x"]),
    ("F|neq: abc", ["x", None, ""], ["abc", "ABC"]),
    ("F|contains|neq: b", ["ac", None], ["abc"]),
    ("F|minute: 5", ["2026-11-25T10:05:59Z"], ["2026-11-25T10:06:00Z", "5", None]),
    ("F|hour: [1, 2]", ["2026-11-25T08:30:00+07:00"], ["2026-11-25T08:30:00Z"]),
    ("F|hour|gte: 22", ["2026-11-25T22:00:00Z", "2026-11-25T23:59:00Z"], ["2026-11-25T21:59:00Z"]),
    ("F|hour|lt: 1", ["2026-11-25T00:59:00Z"], ["2026-11-25T01:00:00Z"]),
    ("F|day: 25", ["2026-11-25T10:05:59Z"], ["2026-11-24T10:05:59Z"]),
    ("F|week: 48", ["2026-11-25T10:05:59Z"], ["2026-11-30T10:05:59Z"]),
    ("F|month: 11", ["2026-11-25T10:05:59Z"], ["2026-12-25T10:05:59Z"]),
    ("F|year: 2026", ["2026-11-25T10:05:59Z"], ["2025-11-25T10:05:59Z"]),
    ("F|expand: '%bad%'", ["192.0.2.7", "203.0.113.99"], ["192.0.2.8", "203.0.114.1"]),
    ("F|contains|expand: '%words%'", ["xa*bx", "C.D"], ["xaxbx", "cxd"]),
    ("F|re|expand: '^%words%$'", ["a*b", "c.d"], ["aab", "cxd", "xa*b"]),
    ("F|expand: 'x%words%y'", ["xa*by"], ["a*b"]),
    ("F|expand: '%none%'", [], ["x", "", None]),
]


@pytest.mark.parametrize(("item", "yes", "no"), CASES, ids=[case[0] for case in CASES])
def test_a_modifier_finds_these_and_leaves_those(item: str, yes: list[Any], no: list[Any]) -> None:
    def rows(values: list[Any]) -> list[dict[str, Any]]:
        return [{} if value is None else {"F": value} for value in values]

    assert found(item, *rows(yes)) == [True] * len(yes)
    assert found(item, *rows(no)) == [False] * len(no)


@pytest.mark.parametrize(
    ("item", "row", "hit"),
    [
        ("F|fieldref: G", {"F": "A", "G": "a"}, True),
        ("F|fieldref: G", {"F": "a", "G": "b"}, False),
        ("F|fieldref: G", {"F": "a"}, False),
        ("F|fieldref: G", {}, False),
        ("F|fieldref|startswith: G", {"F": "abc", "G": "ab"}, True),
        ("F|fieldref|endswith: G", {"F": "abc", "G": "bc"}, True),
        ("F|fieldref|contains: G", {"F": "abc", "G": "b"}, True),
        ("F|fieldref|endswith: G", {"F": "abc", "G": "ab"}, False),
        ("F|fieldref|neq: G", {"F": "a", "G": "b"}, True),
    ],
)
def test_a_field_reference_compares_two_fields(item: str, row: dict[str, Any], hit: bool) -> None:
    assert found(item, row) == [hit]


def test_a_keyword_is_sought_in_the_record_as_it_came() -> None:
    text = """title: t
id: a0000000-0000-4000-8000-000000000000
logsource: {product: linux}
detection:
    keywords: ['rm -rf', 4711]
    condition: keywords
"""
    (rule,) = rules_from_texts([("x.yml", text)]).rules
    assert rule.body is not None
    rows = [{events.ORIGINAL: line} for line in ("sh: RM -RF /", "id=4711;", "rm -r -f")]
    assert [holds(rule.body, row) for row in rows] == [True, True, False]


def test_every_modifier_that_pysigma_reads_is_tried_here() -> None:
    tried = {word for item, _, _ in CASES for word in item.split(":")[0].split("|")[1:]}
    assert set(modifier_mapping) - tried == {"fieldref"}


@pytest.mark.parametrize(
    "item", ["F|nosuch: x", "F|contains: 5", "F|lt: abc", "F|exists: maybe", "F|re: '(?=x)y'", "F|cidr: x"]
)  # fmt: skip
def test_what_has_no_meaning_is_refused_by_name(item: str) -> None:
    with pytest.raises(Exception, match="s: "):
        read(item)


def test_every_fault_of_a_rule_is_told_at_once() -> None:
    text = """title: t
id: a0000000-0000-4000-8000-000000000000
logsource: {product: linux}
detection:
    one: {F|nosuch: x}
    two: {F|lt: y}
    condition: one or two
"""
    (fault,) = rules_from_texts([("x.yml", text)]).faults
    assert "one: " in fault.what
    assert "two: " in fault.what
    assert fault.where == "x.yml:5"


def test_what_fills_a_placeholder_is_part_of_the_revision_and_its_order_is_not() -> None:
    item = "F|expand: '%bad%'"
    one, same, other, unfilled = (
        read(item, {"bad": values, "other": ["x"]} if values else {"x": []}).revision
        for values in (["a", "b"], ["b", "a"], ["a"], None)
    )
    assert one == same
    assert len({one, other, unfilled}) == 3
    assert read("F: x", {"bad": ["a"]}).revision == read("F: x", {"bad": ["b"]}).revision


def test_faults_of_a_rule_s_head_and_of_its_detection_each_have_their_line() -> None:
    text = """title: t
id: a0000000-0000-4000-8000-000000000000
logsource: {product: linux}
level: very
status: odd
detection:
    one: {F: x}
    condition: one or two
"""
    book = rules_from_texts([("x.yml", text)])
    assert {(fault.where, fault.what.split(" ")[-1]) for fault in book.faults} >= {
        ("x.yml:4", "level"),
        ("x.yml:5", "status"),
        ("x.yml:8", "define"),
    }
