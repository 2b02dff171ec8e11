"""The matcher beside its oracle: the same pairs, on real events and on made ones."""

from __future__ import annotations

import gzip
import os
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detect.matching.compile import compile_rules
from pipeline.detect.matching.matcher import Matcher
from pipeline.detect.matching.plan import Plan
from pipeline.detect.matching.reference import holds
from pipeline.detect.matching.required import LITERAL_OPS
from pipeline.detect.matching.routed import Routed
from pipeline.detect.matching.text import fold
from pipeline.detect.matching.tree import Leaf, Node, all_of, any_of, negate
from pipeline.detect.rulebook.rules import load_rules
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products
from pipeline.settings.places import config_dir

WHERE = {"user.name": ("abc", "éa")}  # of a second rule: it makes a key of that column


def matched(tree: Node, table: pa.Table) -> list[bool]:
    """What the matcher says of each row. All rows again and again, so that the ways for many are taken
    too; and as a second rule, held to `WHERE`."""
    matcher = Matcher(Plan([Routed(0, {}, tree), Routed(1, WHERE, tree)]))
    held = Routed(1, WHERE, tree).whole
    few = pairs(matcher, table)
    assert {row for row, rule in few if rule} == {
        place for place, row in enumerate(table.to_pylist()) if holds(held, row)
    }
    many = pairs(matcher, pa.concat_tables([table] * 30))
    assert many == {(row + table.num_rows * n, rule) for n in range(30) for row, rule in few}
    return [(row, 0) in few for row in range(table.num_rows)]


def pairs(matcher: Matcher, table: pa.Table) -> set[tuple[int, int]]:
    rows, rules = matcher.match(table)
    return set(zip(rows.tolist(), rules.tolist(), strict=True))


def test_every_windows_rule_gives_the_oracle_s_answer_on_real_events(
    corpora: Path, sigma_rules: Path
) -> None:
    book = load_rules([sigma_rules / "rules" / "windows"])
    compiled = compile_rules(book.rules, Taxonomy.load(config_dir() / "taxonomy"))
    with gzip.open(corpora / "windows-events.ndjson.gz") as file:
        lines = [RawRecord(n, "s", 0, line) for n, line in enumerate(file, 1) if n % 150 == 7]
    context = Context(node="n", agency="a", source="s", key=bytes(16), ingested=0)
    for dataset, table in normalise(load_products()["windows"], lines, context).tables.items():
        rows, rules = compiled.match(dataset, table)
        found = {(int(row), int(rule)) for row, rule in zip(rows, rules, strict=True)}
        expected = {
            (place, rule)
            for place, row in enumerate(table.to_pylist())
            for rule in compiled.reference(dataset, row)
        }
        assert found == expected, dataset


ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "1"))  # `make fuzz`
FIELDS = ("user.name", "process.command_line", "thapcanh.odd", "source.ip")
WORDS = (
    "abc", "ABC", "a", "b", "İxy", "ςσ", "ΣΣς", "éa", "e\u0301a", "\u212aey", "key", "10.1.2.3", "::ffff:10.1.2.3",
    "7", "*", "\\", "",
)  # fmt: skip
word = st.lists(st.sampled_from(WORDS), max_size=3).map("".join)
literal = st.builds(
    lambda field, op, text, cased: Leaf(field, op, text if cased else fold(text), cased),
    st.sampled_from(FIELDS), st.sampled_from(("eq", "contains", "startswith", "endswith")), word, st.booleans(),
)  # fmt: skip
other = st.one_of(
    st.builds(Leaf, st.sampled_from(FIELDS), st.sampled_from(("null", "exists"))),
    st.builds(
        Leaf, st.sampled_from(FIELDS), st.just("cidr"), st.sampled_from(("10.0.0.0/8", "::/0"))
    ),
    st.builds(
        Leaf,
        st.sampled_from(FIELDS),
        st.just("re"),
        st.sampled_from(("(?i)a.*b", "^7$", r"\S", "(?i)(key|abc)", "éa|σσ")),
    ),
    st.builds(
        Leaf,
        st.sampled_from(FIELDS),
        st.just("like"),
        st.sampled_from(("a*b", "?", r"\**", "*σσ", "abc*key", "*ab?*")),
    ),
    st.builds(Leaf, st.sampled_from(FIELDS), st.sampled_from(("lt", "gte")), st.just("7")),
    st.builds(
        Leaf,
        st.sampled_from(FIELDS),
        st.sampled_from(("ref_eq", "ref_endswith")),
        st.sampled_from(FIELDS),
    ),
    st.builds(lambda text: Leaf(None, "contains", fold(text)), word),
)
tree = st.recursive(
    literal | other,
    lambda inner: st.one_of(
        st.builds(all_of, st.lists(inner, min_size=1, max_size=3)),
        st.builds(any_of, st.lists(inner, min_size=1, max_size=3)),
        st.builds(negate, inner),
    ),
    max_leaves=6,
)
event = st.fixed_dictionaries(
    {
        "user.name": st.none() | word,
        "process.command_line": st.none() | st.lists(word, max_size=2),
        "source.ip": st.none()
        | st.sampled_from(("10.1.2.3", "::ffff:10.1.2.3", "127.13.113X.161", "10.1.2")),
        "thapcanh.extra": st.none()
        | st.dictionaries(st.just("thapcanh.odd"), word).map(lambda d: list(d.items())),
        "event.original": word
        | word.map(lambda text: orjson.dumps({"a": text, "b": [1e3]}).decode()),
    }
)
SCHEMA = pa.schema(
    [
        ("user.name", pa.string()),
        ("process.command_line", pa.list_(pa.string())),
        ("source.ip", pa.string()),
        ("thapcanh.extra", pa.map_(pa.string(), pa.string())),
        ("event.original", pa.string()),
    ]
)


@settings(max_examples=400 * ROUNDS, deadline=None)
@given(tree=tree, rows=st.lists(event, min_size=1, max_size=5))
def test_made_trees_hold_of_made_events_as_the_oracle_says(
    tree: Node, rows: list[dict[str, Any]]
) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    assert matched(tree, table) == [holds(tree, row) for row in table.to_pylist()]


@pytest.mark.parametrize("cased", [False, True])
@pytest.mark.parametrize("op", sorted(LITERAL_OPS))
def test_a_literal_is_found_where_its_operator_says_in_every_short_text(
    op: str, cased: bool
) -> None:
    short = ["".join(letters) for size in range(4) for letters in product("aBς", repeat=size)]
    table = pa.table({"user.name": short})
    every = [Leaf("user.name", op, text if cased else fold(text), cased) for text in short]
    matcher = Matcher(Plan([Routed(place, {}, leaf) for place, leaf in enumerate(every)]))
    assert pairs(matcher, table) == {
        (place, rule)
        for place, row in enumerate(table.to_pylist())
        for rule, leaf in enumerate(every)
        if holds(leaf, row)
    }


@pytest.mark.parametrize(
    ("address", "within"),
    [
        ("127.0.0.1", True),
        ("::ffff:127.0.0.1", True),
        ("127.13.113X.161", False),
        ("128.0.0.1", False),
    ],
)
def test_a_range_holds_addresses_however_they_are_written_and_nothing_else(
    address: str, within: bool
) -> None:
    table = pa.table({"source.ip": [address]})
    assert matched(Leaf("source.ip", "cidr", "127.0.0.0/8"), table) == [within]


def test_letters_with_marks_of_their_own_are_found_as_composed_ones() -> None:
    table = pa.table(
        {
            "user.name": ["E\u0301a", "éa", "ea", None],
            "file.path": ["xe\u0301ab", "XÉAB", "eab", "y"],
        }
    )
    matcher = Matcher(
        Plan(
            [
                Routed(0, WHERE, Leaf("user.name", "exists")),
                Routed(1, {}, Leaf("file.path", "contains", "éab")),
            ]
        )
    )
    assert pairs(matcher, table) == {(0, 0), (1, 0), (0, 1), (1, 1)}
