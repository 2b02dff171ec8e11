"""A query of people, as a query of Elasticsearch that means the same.

In: `query_tree`, a scope, a time range. Out: the body of a filter. Text is looked for in lower case, in the first
8 kB of a value and whole tokens of `event.original`; a name without a field of its own, and a leftover of one that
has, is looked for in ``thapcanh.find``. Nothing is approximated: what the index cannot answer is refused in words.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from pipeline.model import events
from pipeline.model.clock import to_micros
from pipeline.model.errors import LimitError
from pipeline.model.scope import Scope
from pipeline.store.base import TimeRange
from pipeline.store.elasticsearch.columns import (
    FIND,
    LONG_TOKENS,
    MICROS,
    SUPERSEDED,
    TEXT,
    TOKEN,
    TYPED,
    leftover,
    mapped,
)
from pipeline.store.elasticsearch.folding import short
from pipeline.store.fields import CUT
from pipeline.store.query_tree import (
    Addresses,
    And,
    EventId,
    Everything,
    Exists,
    Keyword,
    Leaf,
    Node,
    Not,
    Numbers,
    Or,
    Pattern,
    TextRange,
    Times,
    Truth,
    Wild,
    Wildcard,
    Words,
)

Body = dict[str, Any]
NOTHING: Final[Body] = {"match_none": {}}
EVERYTHING: Final[Body] = {"match_all": {}}
_DEEPEST: Final = 26  # a node takes 30 levels of `bool`, and ours stand around the query's


def filtered(node: Node, scope: Scope, when: TimeRange) -> Body:
    """The filter of a search: the query, within the scope and the time, superseded events left out."""
    if _depth(node) > _DEEPEST:
        raise LimitError(
            "the query is nested too deeply for Elasticsearch",
            expected=f"{_DEEPEST} levels at most",
        )
    wanted = [translated(node), *within(scope)]
    limits = {}
    if when.start is not None:
        limits["gte"] = to_micros(when.start)
    if when.stop is not None:
        limits["lt"] = to_micros(when.stop)
    if limits:
        wanted.append({"range": {MICROS: limits}})
    return {"bool": {"filter": wanted, "must_not": [_exists(SUPERSEDED)]}}


def within(scope: Scope) -> list[Body]:
    """The filter of the scope; exact, whatever an agency is called."""
    if scope.agencies is None:
        return []
    return [{"terms": {f"{events.AGENCY}.exact": sorted(scope.agencies)}}]


def translated(node: Node) -> Body:
    match node:
        case Everything():
            return EVERYTHING
        case And(parts):
            return {"bool": {"filter": [translated(part) for part in parts]}}
        case Or(parts):
            return _any(*(translated(part) for part in parts))
        case Not(part):
            return {"bool": {"must_not": [translated(part)]}}
        case Words():
            return _words(node)
        case EventId(value):
            return {"term": {events.ID: value.hex()}}
    return _leaf(node)


def _leaf(leaf: Leaf) -> Body:
    """On the field, or on a leftover of that name where the field has no value."""
    name = "" if isinstance(leaf, Words | EventId) else leaf.field
    kind = mapped().get(name)
    if kind in ("words", "sealed") or name == events.EXTRA:
        return {"term": {FIND: leftover(name, "")}}  # only whether there is one can be asked
    found = _leftover(leaf, name, kind)
    if kind is None:
        return found
    apart = {"bool": {"filter": [found], "must_not": [_exists(name)]}}
    return _any(_field(leaf, name), apart)


def _field(leaf: Leaf, name: str) -> Body:
    match leaf:
        case Exists():
            return _exists(name)
        case Keyword(_, value):
            return {"term": {name: {"value": value}}} if _fits(value) else NOTHING
        case Wildcard(_, pattern):
            return _wildcard(name, _spelled(pattern))
        case TextRange(_, low, high, with_low, with_high):
            return _range(name, low, high, with_low, with_high) or _exists(name)
        case Numbers(_, low, high, with_low, with_high):
            return _range(name, low, high, with_low, with_high) or _exists(name)
        case Times(_, start, stop):
            return _range(TYPED + name, start, stop, True, False) or _exists(name)
        case Addresses(_, first, last):
            return _addresses(name, first, last)
        case Truth(_, value):
            return {"term": {name: value}}
    raise TypeError(f"no such leaf: {leaf}")


def _leftover(leaf: Leaf, name: str, kind: str | None) -> Body:
    match leaf:
        case Exists():
            return {"prefix": {FIND: leftover(name, "")}}
        case Keyword(_, value):
            return {"term": {FIND: leftover(name, value)}} if _fits(value) else NOTHING
        case Wildcard(_, pattern):
            return _wildcard(FIND, _literal(leftover(name, "")) + _spelled(pattern))
        case TextRange(_, low, high, with_low, with_high):
            # "=" stands directly before ">", so that this is the end of all values of the name.
            end = leftover(name, "")[:-1] + ">"
            above = leftover(name, low or "")
            if high is None:
                return _range(FIND, above, end, low is None or with_low, False) or NOTHING
            below = leftover(name, high)
            return _range(FIND, above, below, low is None or with_low, with_high) or NOTHING
        case Numbers(_, low, high, with_low, with_high) if kind in ("long", "float"):
            typed = TYPED + name
            return _range(typed, low, high, with_low, with_high) or _exists(typed)
        case Addresses(_, first, last) if kind == "ip":
            return _addresses(TYPED + name, first, last)
        case Truth(_, value):
            return {"term": {FIND: leftover(name, str(value).lower())}}
    return NOTHING


def _words(words: Words) -> Body:
    tokens = words.tokens
    if len(tokens) > 1:
        if not words.open_start and not words.open_end:
            return {"match_phrase": {TEXT: " ".join(short(token) for token in tokens)}}
        clauses: list[Body] = [{"span_term": {TEXT: short(token)}} for token in tokens]
        if words.open_start:
            clauses[0] = _many(_open(TEXT, tokens[0], start=True))
        if words.open_end:
            clauses[-1] = _many(_open(TEXT, tokens[-1], end=True))
        return {"span_near": {"clauses": clauses, "slop": 0, "in_order": True}}
    (token,) = tokens
    if not words.open_start and not words.open_end:
        return {"term": {TEXT if len(token) <= TOKEN else LONG_TOKENS: token}}
    how = {"start": words.open_start, "end": words.open_end}
    return _any(_open(TEXT, token, **how), _open(LONG_TOKENS, token, **how))


def _many(inner: Body) -> Body:
    return {"span_multi": {"match": inner}}


def _open(field: str, token: str, *, start: bool = False, end: bool = False) -> Body:
    if end and not start:
        return {"prefix": {field: token}}
    return _wildcard(field, ("*" if start else "") + _literal(token) + ("*" if end else ""))


def _range(name: str, low: Any, high: Any, with_low: bool, with_high: bool) -> Body | None:
    limits = {}
    if low is not None:
        limits["gte" if with_low else "gt"] = low
    if high is not None:
        limits["lte" if with_high else "lt"] = high
    return {"range": {name: limits}} if limits else None


def _addresses(name: str, first: bytes, last: bytes) -> Body:
    if first > last:
        return NOTHING
    return {"range": {name: {"gte": _address(first), "lte": _address(last)}}}


def _address(raw: bytes) -> str:
    found = ipaddress.IPv6Address(raw)
    return str(found.ipv4_mapped or found)


def _wildcard(name: str, spelled: str) -> Body:
    return {"wildcard": {name: {"value": spelled}}}


def _spelled(pattern: Pattern) -> str:
    return "".join(piece.value if isinstance(piece, Wild) else _literal(piece) for piece in pattern)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")


def _fits(value: str) -> bool:
    """Whether a value can be in the index: what is longer was cut."""
    return len(value.encode("utf-8", "surrogatepass")) <= 2 * CUT


def _exists(name: str) -> Body:
    return {"exists": {"field": name}}


def _any(*bodies: Body) -> Body:
    return {"bool": {"should": list(bodies), "minimum_should_match": 1}}


def _depth(node: Node) -> int:
    match node:
        case And(parts) | Or(parts):
            return 1 + max(map(_depth, parts), default=0)
        case Not(part):
            return 1 + _depth(part)
    return 2
