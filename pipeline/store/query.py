"""Lucene's query-string syntax, as people write it, to the tree that stores answer.

In: ``user.name:lan AND source.ip:10.0.0.0/8 -"logon failed" event.code:(4624 OR 4625) power*``.
Out: `query_tree`. Clauses side by side are all wanted; `NOT` and `-` exclude, also within `OR`. Free
text is whole folded tokens of `event.original` in order, `*` at either end. Every fault is a
`QueryError` that points at its place; what could not be answered exactly is refused, never guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pipeline.model.errors import QueryError
from pipeline.model.fold import is_token, lower, tokens
from pipeline.store import query_values as values
from pipeline.store.fields import KindOf, ecs_kind
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
    Pattern,
    TextRange,
    Times,
    Truth,
    Wild,
    Wildcard,
    Words,
)

if TYPE_CHECKING:
    from luqum.tree import Item

MAX_LENGTH: Final = 8_000
MAX_DEPTH: Final = 50
MAX_CLAUSES: Final = 500
_PLACE = re.compile(r"position (\d+)!?$")
_QUOTE = "write the value in quotes: "


def parse(text: str, kind: KindOf = ecs_kind) -> Node:
    """The tree of a query. An empty one asks for everything."""
    from luqum.exceptions import ParseError
    from luqum.thread import parse as luqum_parse

    if len(text) > MAX_LENGTH:
        raise QueryError(
            "the query is too long", text=text, position=MAX_LENGTH,
            expected=f"{MAX_LENGTH} characters at most", remedy="search in steps",
        )  # fmt: skip
    broken = re.search("[\ud800-\udfff]", text)
    if broken:
        raise QueryError("half a character is no text", text="", position=broken.start())
    if not text.strip():
        return Everything()
    try:
        found = luqum_parse(text)
    except ParseError as error:
        raise _unreadable(text, str(error)) from error
    return _Reader(text, kind).node(found, None, 0)


class _Reader:
    """Walks luqum's tree with the field that is asked for in mind."""

    def __init__(self, text: str, kind: KindOf) -> None:
        self._text, self._kind, self._clauses = text, kind, 0

    def node(self, item: Item, field: str | None, depth: int) -> Node:
        from luqum import tree

        if depth > MAX_DEPTH:
            raise self._refusal(
                "the query is nested too deeply", item, f"{MAX_DEPTH} levels at most"
            )
        match item:
            case tree.AndOperation() | tree.UnknownOperation():
                return And(tuple(self.node(one, field, depth + 1) for one in item.operands))
            case tree.OrOperation():
                for one in item.operands:
                    if isinstance(one, tree.Plus | tree.Prohibit):
                        raise self._refusal(
                            "+ and - mean nothing beside OR", one, remedy="write AND or NOT, in brackets"
                        )  # fmt: skip
                return Or(tuple(self.node(one, field, depth + 1) for one in item.operands))
            case tree.Not() | tree.Prohibit():
                return Not(self.node(item.a, field, depth + 1))
            case tree.Plus():
                return self.node(item.a, field, depth + 1)
            case tree.BaseGroup():
                return self.node(item.expr, field, depth + 1)
            case tree.SearchField():
                return self._field(item, field, depth)
        self._clauses += 1
        if self._clauses > MAX_CLAUSES:
            raise self._refusal("the query has too many clauses", item, f"{MAX_CLAUSES} at most")
        return self._leaf(item, field)

    def _field(self, item: Any, outer: str | None, depth: int) -> Node:
        from luqum import tree

        name = item.name
        if outer is not None:
            raise self._refusal(
                "a field within a field", item, remedy=_QUOTE + f'{outer}:"{name}:…"'
            )
        if name == "*" and isinstance(item.expr, tree.Word) and item.expr.value == "*":
            return Everything()
        wild = values.literal(values.pattern(name)) is None
        if wild:
            raise self._refusal("a field's name takes no wildcard", item, remedy="name one field")
        name = re.sub(r"\\(.)", r"\1", name)
        if name == "_exists_":
            return self._exists(item)
        if isinstance(item.expr, tree.Prohibit):
            if self._kind(name) in ("long", "float") and isinstance(item.expr.a, tree.Word):
                return self._value(name, f"-{item.expr.a.value}", item.expr)
            raise self._refusal(
                "a minus between a field and its value", item.expr,
                remedy=f'write NOT {name}:…, or quote a value that begins so: {name}:"-…"',
            )  # fmt: skip
        return self.node(item.expr, name, depth + 1)

    def _exists(self, item: Any) -> Node:
        from luqum import tree

        if not isinstance(item.expr, tree.Word | tree.Phrase):
            raise self._refusal("_exists_ takes the name of one field", item)
        raw = item.expr.value
        name = raw[1:-1] if isinstance(item.expr, tree.Phrase) else raw
        if values.literal(values.pattern(name)) is None:
            raise self._refusal(
                "a field's name takes no wildcard", item.expr, remedy="name one field"
            )
        return Exists(re.sub(r"\\(.)", r"\1", name))

    def _leaf(self, item: Any, field: str | None) -> Node:
        from luqum import tree

        match item:
            case tree.Word():
                if field is None:
                    return self._word(item)
                return self._value(field, item.value, item)
            case tree.Phrase():
                inner = re.sub(r"\\(.)", r"\1", item.value[1:-1], flags=re.DOTALL)
                if field is None:
                    return self._words((inner,), item)
                return self._typed(field, (inner,), item)
            case tree.Range() | tree.From() | tree.To():
                if field is None:
                    raise self._refusal("a range needs a field", item, remedy="event.duration:>=5")
                return self._range(field, item)
            case tree.Fuzzy():
                what, remedy = "fuzzy search is not answered", "use * at either end of a word"
            case tree.Proximity():
                what, remedy = "words near each other are not answered", "write them side by side"
            case tree.Boost():
                what, remedy = "weights mean nothing here: the newest come first", "leave ^ away"
            case tree.Regex():
                what = "regular expressions are not answered"
                remedy = "use * and ?, and quotes round a value with slashes"
            case _:
                what, remedy = "this is not answered", "use words, field:value, AND, OR, NOT"
        raise self._refusal(what, item, remedy=remedy)

    def _word(self, item: Any) -> Node:
        raw = item.value
        if raw == "*":
            return Everything()
        if raw.startswith("!") or raw in ("&&", "||"):
            raise self._refusal(
                "signs for operators are not read", item, remedy="write NOT, AND, OR"
            )
        return self._words(values.pattern(raw), item)

    def _value(self, field: str, raw: str, item: Any) -> Node:
        return self._typed(field, values.pattern(raw), item)

    def _words(self, pieces: Pattern, item: Any) -> Words:
        """Free text; `*` must touch a letter or digit, or it would not be at the end of a token."""
        start = bool(pieces) and pieces[0] is Wild.ANY
        stop = len(pieces) > 1 and pieces[-1] is Wild.ANY
        inner = pieces[start : len(pieces) - stop]
        text = values.literal(inner)
        if text is None:
            raise self._refusal(
                "in free text * stands at either end of a word only", item,
                remedy="name a field for other patterns: process.command_line:*a?b*",
            )  # fmt: skip
        found = tuple(tokens(text))
        if not found:
            raise self._refusal("there is no letter or digit to search for", item)
        if (start and not is_token(text[0])) or (stop and not is_token(text[-1])):
            raise self._refusal(
                "in free text * must touch a letter or a digit", item, remedy=f"write {found[0]}*"
            )
        return Words(found, open_start=start, open_end=stop)

    def _typed(self, field: str, pieces: Pattern, item: Any) -> Node:
        kind = self._kind(field)
        if pieces == (Wild.ANY,):
            return Exists(field)
        text = values.literal(pieces)
        if kind == "text":
            return _either(Keyword(field, one) if isinstance(one, str) else Wildcard(field, one)
                           for one in _forms(pieces, text))  # fmt: skip
        if kind == "words":
            return self._words(pieces, item)
        if text is None:
            hint = "10.0.0.0/16" if kind == "ip" else "[1 TO 5]"
            raise self._refusal(
                "this field takes no wildcard", item, f"{field} is compared as {_SAID.get(kind, kind)}",
                remedy=f"write a {'block' if kind == 'ip' else 'range'}: {field}:{hint}",
            )  # fmt: skip
        return self._exact(field, kind, text, item)

    def _exact(self, field: str, kind: str, text: str, item: Any) -> Node:
        match kind:
            case "ip":
                return Addresses(field, *self._read(values.network, text, item))
            case "date":
                return Times(field, *self._read(values.time_span, text, item))
            case "boolean":
                return Truth(field, self._read(values.truth, text, item))
            case "id":
                return EventId(self._read(values.event_id, text, item))
            case "long" | "float":
                found = self._read(values.whole if kind == "long" else values.real, text, item)
                return Numbers(field, found, found)
        raise self._refusal("this field is not searched", item, remedy="search free text instead")

    def _range(self, field: str, item: Any) -> Node:
        from luqum import tree

        kind = self._kind(field)
        if kind in ("boolean", "id", "words", "sealed"):
            raise self._refusal("this field has no order", item, remedy="name the value")
        if isinstance(item, tree.Range):
            low, high = self._bound(item.low), self._bound(item.high)
            with_low, with_high = item.include_low, item.include_high
        elif isinstance(item, tree.From):
            low, high, with_low, with_high = self._bound(item.a), None, item.include, True
        else:
            low, high, with_low, with_high = None, self._bound(item.a), True, item.include
        if low is None and high is None:
            return Exists(field)
        match kind:
            case "date":
                start = stop = None
                if low is not None:
                    start = self._read(values.time_span, low, item)[0 if with_low else 1]
                if high is not None:
                    stop = self._read(values.time_span, high, item)[1 if with_high else 0]
                return Times(field, start, stop)
            case "ip":
                return self._addresses(field, low, high, with_low, with_high, item)
            case "long" | "float":
                read = values.whole if kind == "long" else values.real
                ends = [None if one is None else self._read(read, one, item) for one in (low, high)]
                return Numbers(field, ends[0], ends[1], with_low, with_high)
        texts = [None if one is None else _form(one) for one in (low, high)]
        return TextRange(field, texts[0], texts[1], with_low, with_high)

    def _addresses(
        self,
        field: str,
        low: str | None,
        high: str | None,
        with_low: bool,
        with_high: bool,
        item: Any,
    ) -> Node:
        first: bytes | None = bytes(16)
        last: bytes | None = b"\xff" * 16
        if low is not None:
            first = self._read(_one_address, low, item)
            first = first if with_low else values.beside(first, 1)
        if high is not None:
            last = self._read(_one_address, high, item)
            last = last if with_high else values.beside(last, -1)
        if first is None or last is None:
            return Addresses(field, b"\xff" * 16, bytes(16))
        return Addresses(field, first, last)

    def _bound(self, item: Any) -> str | None:
        """The text of a range's end; None for ``*``."""
        from luqum import tree

        sign = ""
        if isinstance(item, tree.Prohibit):
            sign, item = "-", item.a
        if isinstance(item, tree.Phrase):
            return sign + re.sub(r"\\(.)", r"\1", item.value[1:-1], flags=re.DOTALL)
        if item.value == "*" and not sign:
            return None
        text = values.literal(values.pattern(item.value))
        if text is None:
            raise self._refusal(
                "a range's end takes no wildcard", item, remedy="* alone is an open end"
            )
        return sign + text

    def _read(self, read: Callable[[str], Any], text: str, item: Any) -> Any:
        try:
            return read(text)
        except ValueError as error:
            quote = _QUOTE + '"…"' if "/" in text or ":" in text else ""
            raise self._refusal(
                "this is no value of that field", item, expected=str(error), remedy=quote
            ) from error

    def _refusal(self, what: str, item: Item, expected: str = "", remedy: str = "") -> QueryError:
        return QueryError(
            what, text=self._text, position=_place(item), expected=expected, remedy=remedy
        )


_SAID: Final = {
    "ip": "an address",
    "date": "a time",
    "long": "a number",
    "float": "a number",
    "boolean": "true or false",
    "id": "an id",
}


def _place(item: Any) -> int:
    """Where an item begins; for what stands behind its subject (``a~2``), the subject."""
    return int((item.pos or 0) + len(item.head or ""))


def _form(text: str) -> str:
    return lower(unicodedata.normalize("NFC", text))


def _forms(pieces: Pattern, text: str | None) -> list[str | Pattern]:
    """The value in both of Unicode's canonical forms: a sender may write either."""
    found: list[str | Pattern] = []
    for form in ("NFC", "NFD"):
        made = tuple(
            lower(unicodedata.normalize(form, piece)) if isinstance(piece, str) else piece
            for piece in pieces
        )
        one: str | Pattern = made if text is None else "".join(str(piece) for piece in made)
        if one not in found:
            found.append(one)
    return found


def _either(nodes: Any) -> Node:
    parts: tuple[Node, ...] = tuple(nodes)
    return parts[0] if len(parts) == 1 else Or(parts)


def _one_address(text: str) -> bytes:
    found = values.address(text)
    if found is None:
        raise ValueError("an address")
    return found


def _unreadable(text: str, message: str) -> QueryError:
    """What luqum could not read, with a guess at what was meant."""
    at = _PLACE.search(message)
    place = int(at[1]) if at else len(text)
    sign = text[place : place + 1]
    remedy = {
        "": "close what is open: a bracket, a range or a quotation",
        ":": _QUOTE + 'field:"a:b"',
        "/": _QUOTE + 'url.path:"/login"',
        '"': "close the quotation",
        "'": 'use double quotes: "…"',
        ")": "take the bracket away, or open it before",
        "\\": "write a backslash twice, or put the value in quotes",
    }.get(sign, _QUOTE + '"…"')
    return QueryError("this is not a query", text=text, position=place, remedy=remedy)
