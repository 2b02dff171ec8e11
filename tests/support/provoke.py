"""Events made of a rule's own values: some that fire, near misses, and odd ways to write either.

In: a tree in column names and a dice. Out: a row, column → text, list of texts or None. A way to hold is
drawn (every child of an AND, one of an OR, what is negated left alone), each leaf gets a text that it
holds for, then each text may be bent: other case, letters that fold to it, a mark behind it, cut short.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

import orjson
import pyarrow as pa

from pipeline.detect.matching.routed import Routed
from pipeline.detect.matching.tree import REF_OPS, And, Const, Leaf, Node, Not, leaves
from pipeline.model import events

Row = dict[str, Any]
_TWINS = {"k": "\u212a", "s": "\u017f", "i": "\u0130", "σ": "ς", "e": "e\u0301"}
_PARSER: Any = re._parser  # type: ignore[attr-defined]


def provoked(routed: Routed, dice: random.Random) -> Row:
    """One row that this rule is likely to fire on, or nearly."""
    row: Row = {name: _cased(dice.choice(values), dice) for name, values in routed.where.items()}
    words: list[str] = []
    _fill(routed.tree, row, words, dice)
    if dice.random() < 0.25:  # what a filter would take out
        for leaf in dice.sample(list(leaves(routed.tree)), 1):
            _fill(leaf, row, words, dice)
    keys = set(routed.where)
    for name in sorted(row):
        chance = dice.random()
        if chance < (0.08 if name in keys else 0.45):
            row[name] = _bent(row[name], dice)
    row[events.ORIGINAL] = _original(row, words, dice)
    return row


def _fill(node: Node, row: Row, words: list[str], dice: random.Random) -> None:
    if isinstance(node, Leaf):
        text = firing(node, row, dice)
        if node.field is None:
            words.append(text or "")
        elif node.op in REF_OPS:
            row[node.field] = row[node.arg] = row.get(node.arg) or "same\\Thing"
        elif node.field in row and isinstance(row[node.field], str) and node.op == "contains":
            row[node.field] += text or ""
        else:
            row[node.field] = text
    elif isinstance(node, And):
        for child in node.children:
            _fill(child, row, words, dice)
    elif not isinstance(node, Not | Const):
        _fill(dice.choice(node.children), row, words, dice)


def firing(leaf: Leaf, row: Mapping[str, Any], dice: random.Random) -> str | None:
    """A text that the leaf holds for (None for `null`)."""
    text = leaf.arg
    if leaf.op == "null":
        return None
    if leaf.op in {"contains", "endswith"}:
        text = dice.choice(("", "x", "C:\\a ", "é")) + text
    if leaf.op in {"contains", "startswith"}:
        text += dice.choice(("", "y", " /z", "đ"))
    if leaf.op == "like":
        text = re.sub(
            r"\\([\\*?])|([*?])",
            lambda m: (
                m[1] or (dice.choice("aé.") if m[2] == "?" else dice.choice(("", "q", "ab\\c")))
            ),
            text,
        )
    if leaf.op == "re":
        return _of_regex(text, dice)
    if leaf.op == "cidr":
        network = ip_network(text)
        return str(network[dice.randrange(min(network.num_addresses, 1 << 30))])
    if leaf.op in {"lt", "lte", "gt", "gte"}:
        return str(float(text) + dice.choice((-1, 0, 1, 0.5))).removesuffix(".0")
    return text if leaf.cased else _cased(text, dice)


def _cased(text: str, dice: random.Random) -> str:
    way = dice.randrange(4)
    if way == 0:
        return text
    if way == 1:
        return text.upper() if len(text.upper()) == len(text) else text
    return "".join(c.upper() if dice.random() < 0.5 and len(c.upper()) == 1 else c for c in text)


def _bent(value: Any, dice: random.Random) -> Any:
    """The value in another way: what still fires and what does not, the oracle knows."""
    text = value if isinstance(value, str) else "x"
    letters = [n for n, c in enumerate(text) if c.lower() in _TWINS]
    way = dice.randrange(12)
    if way == 0:
        return None
    if way == 1:
        return ""
    if way == 2:
        return [text, "other"]
    if way == 3:
        return ["", text.upper()]
    if way == 4:
        return []
    if way == 5:
        return text[:-1]
    if way == 6:
        return text[1:]
    if way == 7 and letters:
        place = dice.choice(letters)
        return text[:place] + _TWINS[text[place].lower()] + text[place + 1 :]
    if way == 8:
        return text + "\u0301"
    if way == 9:
        return text + "\0" + text
    if way == 10:
        return text.replace("\\", "/")
    return dice.choice((" ", "é", "\u1ea1")) + text


def _original(row: Row, words: Sequence[str], dice: random.Random) -> str | None:
    """The record as it came: JSON plain or with escapes, XML with entities, a line, or none."""
    said = " ".join(words) if dice.random() < 0.7 else "; ".join(words)
    way = dice.randrange(6)
    if way == 0 and words:
        return (
            "<Event><Data>"
            + said.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
            + "</Data></Event>"
        )
    if way == 1 and said:
        place = dice.randrange(len(said))
        return f"<Event>{said[:place]}&#{ord(said[place])};{said[place + 1 :]}</Event>"
    if way == 2:
        return "log: " + said
    if way == 3 and said:
        plain = orjson.dumps(said).decode()
        place = dice.randrange(1, len(plain) - 1)
        if plain[place] not in '\\"' and plain[place - 1] != "\\":
            plain = f"{plain[:place]}\\u{min(ord(plain[place]), 0xFFFF):04x}{plain[place + 1 :]}"
        return f'{{"a": {plain}, "n": [1, 1e3, true, null]}}'
    if way == 4 and not words:
        return None
    plain_row = {name: value for name, value in row.items() if value is not None}
    return orjson.dumps({**plain_row, "words": said}).decode()


def _of_regex(pattern: str, dice: random.Random) -> str:
    """A text that the expression is likely to be found in."""
    try:
        return "".join(_drawn(_PARSER.parse(pattern), dice))
    except (re.error, OverflowError):
        return pattern


def _drawn(parsed: Any, dice: random.Random) -> list[str]:
    out: list[str] = []
    for op, value in parsed:
        name = str(op)
        if name == "LITERAL":
            out.append(chr(value))
        elif name in {"NOT_LITERAL", "ANY"}:
            out.append(dice.choice("aZ9 -"))
        elif name == "IN":
            out.append(_member(value, dice))
        elif name == "BRANCH":
            out += _drawn(dice.choice(value[1]), dice)
        elif name == "SUBPATTERN":
            out += _drawn(value[3], dice)
        elif name in {"MAX_REPEAT", "MIN_REPEAT"}:
            low, high, inner = value
            for _ in range(dice.randint(low, min(int(high), low + 2))):
                out += _drawn(inner, dice)
    return out


def _member(items: Any, dice: random.Random) -> str:
    kind, value = dice.choice(items)
    name = str(kind)
    if name == "LITERAL":
        return chr(value)
    if name == "RANGE":
        return chr(dice.randint(value[0], value[1]))
    classes = {"CATEGORY_DIGIT": "0189", "CATEGORY_SPACE": " \t", "CATEGORY_WORD": "aZ_7"}
    return dice.choice(classes.get(str(value), "a%9 -"))


def single(row: Row) -> Row:
    """The row with the last item of each list in the list's place."""
    return {n: (v[-1] if v else None) if isinstance(v, list) else v for n, v in row.items()}


def table_of(rows: Sequence[Row], extra: frozenset[str] = frozenset()) -> pa.Table:
    """A table of the rows: a column of lists where some row has one; the names in `extra` in the map."""
    names = sorted({name for row in rows for name in row} - extra)
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if any(isinstance(value, list) for value in values):
            values = [[value] if isinstance(value, str) else value for value in values]
            columns[name] = pa.array(values, pa.list_(pa.string()))
        else:
            columns[name] = pa.array(values, pa.string())
    if extra:
        maps = [
            [(name, row[name]) for name in sorted(extra) if isinstance(row.get(name), str)]
            for row in rows
        ]
        columns[events.EXTRA] = pa.array(maps, pa.map_(pa.string(), pa.string()))
    return pa.table(columns)
