"""What a leaf is said to require is in every text that the leaf holds for: else a finding would be lost."""

from __future__ import annotations

import os
import random
import sys
import unicodedata
from html.entities import html5

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.provoke import firing

from pipeline.detect.matching.index import HIDING, RawIndex
from pipeline.detect.matching.question import question
from pipeline.detect.matching.record import record_values
from pipeline.detect.matching.reference import holds
from pipeline.detect.matching.regex import check_regex
from pipeline.detect.matching.required import is_plain, required
from pipeline.detect.matching.text import fold
from pipeline.detect.matching.tree import TRUE, And, Leaf, Node, Or, all_of, any_of, leaves
from pipeline.model.errors import UsageError

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "1"))
PIECES = (
    "abc",
    "Foo",
    "bar",
    "k",
    "é",
    r"\d",
    r"\w",
    ".",
    "[xyz]",
    "[^a]",
    r"\.",
    r"\\",
    "^",
    "$",
    r"\b",
    " ",
    "{,2}",
    "-",
)
piece = st.sampled_from(PIECES)
pattern = st.recursive(
    piece,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(("?", "*", "+", "{2}", "{0,2}", "*?", "+?"))).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        ),
    ),
    max_leaves=10,
).flatmap(lambda text: st.sampled_from((text, f"(?i){text}", f"(?s){text}", f"(?im){text}")))


@settings(max_examples=500 * ROUNDS, deadline=None)
@given(pattern=pattern, seed=st.integers(0, 1 << 30))
def test_a_regular_expression_needs_what_is_said(pattern: str, seed: int) -> None:
    try:
        check_regex(pattern)
    except UsageError:
        return
    leaf = Leaf("f", "re", pattern, cased=True)
    for text in texts(leaf, random.Random(seed)):
        if question(leaf)(text):
            assert holds(required(leaf), {"f": text}), (leaf, text, required(leaf))


@settings(max_examples=300 * ROUNDS, deadline=None)
@given(
    arg=st.lists(
        st.sampled_from(("abc", "K", "*", "?", r"\*", r"\\", "é", "\\", " ")), max_size=6
    ).map("".join),
    cased=st.booleans(),
    seed=st.integers(0, 1 << 30),
)
def test_a_pattern_with_wildcards_needs_what_is_said(arg: str, cased: bool, seed: int) -> None:
    leaf = Leaf("f", "like", arg if cased else fold(arg), cased)
    for text in texts(leaf, random.Random(seed)):
        if question(leaf)(text):
            assert holds(required(leaf), {"f": text}), (leaf, text, required(leaf))


def texts(leaf: Leaf, dice: random.Random) -> list[str]:
    made = [firing(leaf, {}, dice) or "" for _ in range(4)]
    return made + [text.upper() for text in made] + ["x" + text + "\u212a" for text in made]


FOO_OR_BAR = any_of((Leaf("f", "contains", "foo"), Leaf("f", "contains", "bar")))


@pytest.mark.parametrize(
    ("pattern", "needed"),
    [
        (r"(?i)powershell\.exe", Leaf("f", "contains", "powershell.exe")),
        (r"(foo|bar)\d+bazz", all_of((FOO_OR_BAR, Leaf("f", "contains", "bazz")))),
        (r"(?:abc)?d", TRUE),
        (r"[[:alpha:]]abc", TRUE),
        (r"\Qabc\E", TRUE),
        (r"\x{61}bcd", TRUE),
    ],
)  # fmt: skip
def test_an_expression_s_plain_words_are_known(pattern: str, needed: Node) -> None:
    assert required(Leaf("f", "re", pattern, cased=True)) == needed


def test_no_letter_but_those_known_stands_for_a_plain_one() -> None:
    hidden = {literal.decode() for literal in HIDING if not literal.isascii()}
    for point in range(0x80, sys.maxunicode + 1):
        if 0xD800 <= point <= 0xDFFF:
            continue
        letter = chr(point)
        forms = {
            fold(letter),
            *(fold(unicodedata.normalize("NFC", text)) for text in (letter, letter.upper())),
        }
        if any(is_plain(one) for form in forms for one in form if one.isascii()):
            assert letter in hidden or fold(letter) == letter, hex(point)


def candidates(keyword: str, *originals: str) -> list[int]:
    index = RawIndex([*leaves(required(Leaf(None, "contains", keyword)))])
    rows, _, hiding = index.hits(pa.array(originals, pa.large_string()))
    return sorted({*rows.tolist(), *hiding.tolist()})


@pytest.mark.parametrize(
    "letter", [chr(point) for point in range(0x20, 0x7F) if is_plain(chr(point))]
)
def test_each_plain_letter_is_looked_for_however_json_or_xml_writes_it(letter: str) -> None:
    keyword = fold(f"qqq{letter}qqq")
    entities = [name for name, text in html5.items() if text == letter and name.endswith(";")]
    ways = [
        f"\\u{ord(letter):04x}",
        f"\\u{ord(letter):04X}",
        f"&#{ord(letter)};",
        f"&#x{ord(letter):x};",
        letter,
    ]
    originals = [f'["qqq{way}qqq"]' for way in ways[:2]]
    originals += [f"<a>qqq{way}qqq</a>" for way in (*ways[2:], *(f"&{name}" for name in entities))]
    for original in originals:
        assert any(keyword in fold(text) for text in record_values(original)), original
    assert candidates(keyword, "other", *originals) == [n + 1 for n in range(len(originals))]


@pytest.mark.parametrize("number", ["1000", "100000000000000000000", "1.5", "1e+22", "-0.001"])
def test_a_keyword_that_a_number_may_be_is_sought_in_every_record(number: str) -> None:
    assert required(Leaf(None, "contains", number)) == TRUE


word = st.text(alphabet="abkAIs09.e+- _:%|{}<>&'\"/\\;`éσ", min_size=1, max_size=9)


@settings(max_examples=400 * ROUNDS, deadline=None)
@given(keyword=word, before=word, after=word, way=st.integers(0, 6), place=st.integers(0, 8))
def test_a_keyword_is_a_candidate_wherever_it_holds(
    keyword: str, before: str, after: str, way: int, place: int
) -> None:
    said = before + keyword.swapcase() + after
    original = written(said, way, place % len(said))
    leaf = Leaf(None, "contains", fold(keyword))
    if not any(question(leaf)(text) for text in record_values(original)):
        return
    needed = required(leaf)
    if needed == TRUE:
        return
    assert not isinstance(needed, And | Or)
    index = RawIndex([*leaves(needed)])
    rows, _, hiding = index.hits(pa.array(["other", original, "more"], pa.large_string()))
    assert 1 in {*rows.tolist(), *hiding.tolist()}, (needed, original)


def written(said: str, way: int, place: int) -> str:
    if way == 0:
        return orjson.dumps({"a": [said]}).decode()
    if way == 1:
        return '{"a": "' + "".join(f"\\u{ord(c):04x}" for c in said) + '"}'
    if way == 2:
        return f"<a>{said[:place]}&#x{ord(said[place]):x};{said[place + 1 :]}</a>"
    if way == 3:
        return (
            "<a>"
            + said.replace("&", "&amp;").replace(":", "&colon;").replace("_", "&lowbar;")
            + "</a>"
        )
    if way == 4:
        return said.replace("k", "\u212a").replace("s", "\u017f")
    if way == 5:
        return '{"a": 1e3, "b": 100000000000000000000, "c": 1.50, "d": true}'
    return said
