"""Rules made to harm: each is refused by name or read in bounded work, and costs no other rule anything."""

from __future__ import annotations

import pytest

from pipeline.detect.matching.tree import leaves
from pipeline.detect.rulebook.rules import rules_from_texts

HEAD = """title: {title}
id: {letter}0000000-0000-4000-8000-000000000000
logsource: {{product: windows, category: process_creation}}
detection:
"""
GOOD = HEAD.format(title="good", letter="b") + "    s: {A: x}\n    condition: s\n"


def selections(count: int) -> str:
    return "".join(f"    s{n}: {{A: v{n}}}\n" for n in range(count))


REFUSED = {
    "brackets without end": ("    s: {A: x}\n    condition: " + "(" * 5000 + "s" + ")" * 5000, "nested deeper"),
    "not without end": ("    s: {A: x}\n    condition: " + "not " * 5000 + "s", "nested deeper"),
    "quantifiers squared": (selections(1000) + "    condition: " + " or ".join(["1 of s*"] * 1000), "operands"),
    "nested lists": ("    s: " + "[" * 500 + "x" + "]" * 500 + "\n    condition: s", "nested deeper"),
    "dashes": ("    s: {'A|windash': '" + " -a" * 30 + "'}\n    condition: s", "windash"),
    "dashes of many": (
        "    s: {'A|windash': [" + ", ".join(f"' -a -b -c -d -e -f{n}'" for n in range(50)) + "]}\n    condition: s",
        "windash",
    ),
    "repeats of repeats": ("    s: {'A|re': '((a{1,1000}){1,1000}){1,1000}'}\n    condition: s", "RE2"),
    "a long expression": ("    s: {'A|re': '" + "(a|b)" * 50_000 + "'}\n    condition: s", "too long"),
    "an alias": ("    s: &a {A: x}\n    t: *a\n    condition: s", "anchor or alias"),
    "half of a character": ('    s: {A: "\\uD800x"}\n    condition: s', ""),
    "a number as a name": ("    s: {1: 2}\n    condition: s", ""),
    "a mapping as a value": ("    s: {A: {b: c}}\n    condition: s", ""),
    "a date as a value": ("    s: {A: 2026-01-01}\n    condition: s", ""),
    "a condition that is a number": ("    s: {A: x}\n    condition: 5", "not text"),
    "fillings cubed": ("    s: {'A|expand': '%x%%x%%x%'}\n    condition: s", "200,000 values"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name_and_the_others_stand(name: str) -> None:
    body, word = REFUSED[name]
    evil = HEAD.format(title="evil", letter="a") + body + "\n"
    lists = {"x": [str(number) for number in range(100)]}
    book = rules_from_texts([("evil.yml", evil), ("good.yml", GOOD)], placeholders=lists)
    (fault,) = book.faults
    assert fault.where.startswith("evil.yml")
    assert word in str(fault)
    assert [rule.title for rule in book.rules] == ["good"]


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (selections(10_000) + "    condition: 1 of s*\n", 10_000),
        ("    s: {A: [" + ", ".join(f"v{n}" for n in range(100_000)) + "]}\n    condition: s\n", 100_000),
        ("    s: {A: x}\n    condition: " + " or ".join(["s"] * 100_000) + "\n", 1),
        ("    s: {'A|re': '(a+)+$'}\n    condition: s\n", 1),
        ("    s: {A: '" + "*a" * 500 + "'}\n    condition: s\n", 1),
    ],
    ids=["10,000 selections", "a huge list", "a long condition", "a bomb for other engines", "wildcards"],
)  # fmt: skip
def test_what_is_merely_large_is_read(body: str, count: int) -> None:
    book = rules_from_texts([("large.yml", HEAD.format(title="large", letter="a") + body)])
    assert book.faults == ()
    assert book.rules[0].body is not None
    assert sum(1 for _ in leaves(book.rules[0].body)) == count
