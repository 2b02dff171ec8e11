"""Lines of a batch to groups of kinds: header off, body parsed, message kind told.

Every row ends in exactly one group (with its kind), in `failures` or in `dropped`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from collectors.formats import syslog
from collectors.formats.json_lines import as_text
from collectors.formats.parsed import Group, Parsed, values_of
from collectors.formats.patterns import OTHER
from collectors.formats.shipped import shipped
from pipeline.normalise.plan import Kind
from pipeline.normalise.product import Product

MAX_DECIDED: Final = 20_000
MAX_FIELDS: Final = 1_000
_NO_JSON: Final = frozenset({"patterns", "text", "key_value", "cef", "leef", "csv", "auditd"})
"""Bodies that are no JSON: a document there is a shipper's, with the line in it."""
_JSON: Final = frozenset({"json", "zeek"})
_INSIDE: Final = '{\\"'
"""How an object begins that stands in a JSON text: without it there is none."""


@dataclass(slots=True)
class Told:
    """Groups with their kinds; `texts` are the messages behind the headers of failed rows."""

    groups: list[tuple[Kind, Group]] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)
    notes: dict[int, list[str]] = field(default_factory=dict)

    def bounded(self, group: Group) -> Group:
        """With the first thousand fields; more are a sender's attack on memory, and stand in the original."""
        count = len(group.names)
        if count <= MAX_FIELDS:
            return group
        for row in group.rows:
            self.notes.setdefault(row, []).append(
                f"{count} fields, of which {MAX_FIELDS} are taken"
            )
        return Group(group.names[:MAX_FIELDS], group.rows, group.columns[:MAX_FIELDS], group.kind)


def blank(body: bytes) -> bool:
    return not body.strip(b" \t\r\n\0") or body == b"\xef\xbb\xbf"


def tell(product: Product, lines: Sequence[Any]) -> Told:
    """`lines` are texts or bytes as the product's format takes them; None for one to skip."""
    headers: list[syslog.Header] | None = None
    carried: dict[int, syslog.Header] = {}
    body = product.spec.format["body"]
    if body in _NO_JSON or body in _JSON:
        lines, carried = _taken_out(lines, of_json=body in _JSON)
    takes_all = body == "any"
    if product.header:
        split, nothing = syslog.split, (syslog.NO_HEADER, None)
        halves = [nothing if line is None else split(line) for line in lines]
        headers, messages = [header for header, _ in halves], [message for _, message in halves]
        for row, around in carried.items():
            headers[row] = syslog.Header(
                *(a or b for a, b in zip(headers[row], around, strict=True))
            )
        if takes_all or body == "key_value":
            for row, data in [(r, header.data) for r, header in enumerate(headers) if header.data]:
                messages[row] = _or_data(data, messages[row], "" if takes_all else "=")
        lines = messages
    parsed = product.parse(lines, [header.program for header in headers] if headers else None)
    told = Told(failures=dict(parsed.failures), dropped=set(parsed.dropped), notes=parsed.notes)
    if headers:
        _keep_headers(product, parsed, headers, lines, told)
    by_header = any(name in syslog.NAMES for name in product.deciding)  # Junos: the message id
    for group in map(told.bounded, parsed.groups):
        if body in {"patterns", "text"}:
            _text_group(product, group, lines, headers, told)
        else:
            whole = _with_header(group, headers) if by_header else group
            for kind, part in _by_kind(product, whole):
                whole = _with_message(part, headers, lines) if headers and takes_all else part
                told.groups.append((kind, whole if by_header else _with_header(whole, headers)))
    return told


def _with_message(group: Group, headers: Sequence[syslog.Header], lines: Sequence[Any]) -> Group:
    """What stood behind a header is the message, also where it is an object that was opened."""
    if "message" in group.names:
        return group
    texts = tuple(None if headers[row] == syslog.NO_HEADER else lines[row] for row in group.rows)
    if texts.count(None) == len(texts):
        return group
    return Group((*group.names, "message"), group.rows, [*group.columns, texts], group.kind)


def _taken_out(
    lines: Sequence[Any], *, of_json: bool
) -> tuple[Sequence[Any], dict[int, syslog.Header]]:
    """The lines without the documents that shippers put around them, and what those say of each."""
    if of_json:
        marks = (_INSIDE, _INSIDE.encode())
        rows = [
            row
            for row, line in enumerate(lines)
            if line is not None and marks[line.__class__ is bytes] in line
        ]
    else:
        rows = [row for row, line in enumerate(lines) if line is not None and line[:1] == "{"]
    if not rows:
        return lines, {}
    bare, carried = list(lines), {}
    for row in rows:
        line = lines[row]
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        found = shipped(text, of_json=of_json)
        if found is not None:
            bare[row], carried[row] = found
    return bare, carried


def _or_data(told: str, line: Any, mark: str) -> Any:
    """RFC 5424 allows a line that says all in its structured data (Junos, Check Point); where pairs are
    wanted (`mark`), also if a text without any stands behind it. Elsewhere it is the message, as it stands."""
    if line is None or (line and (not mark or mark in line)):
        return line
    if not mark:
        return told
    data = told[1:-1].replace("][", " ")
    return f"{data} {line}" if line else data


def _keep_headers(
    product: Product,
    parsed: Parsed,
    headers: Sequence[syslog.Header],
    lines: Sequence[Any],
    told: Told,
) -> None:
    """A line whose body the product does not know, but whose header tells host and program, is an
    event all the same (a device's own notices), unless the product says that it is a failure."""
    if product.spec.otherwise != "event":
        return
    rows = [row for row in parsed.failures if headers[row].host or headers[row].program]
    if rows:
        group = Group(("message",), rows, [tuple(lines[row] for row in rows)])
        told.groups.append((product.default, _with_header(group, headers)))
        for row in rows:
            del told.failures[row]


def _with_header(group: Group, headers: Sequence[syslog.Header] | None) -> Group:
    if headers is None:
        return group
    own = list(zip(*(headers[row] for row in group.rows), strict=True))
    used = [
        (name, column)
        for name, column in zip(syslog.NAMES, own, strict=True)
        if column.count(None) != len(column)
    ]
    return Group(
        (*group.names, *(name for name, _ in used)),
        group.rows,
        [*group.columns, *(c for _, c in used)],
        group.kind,
    )


def _text_group(
    product: Product,
    group: Group,
    lines: Sequence[Any],
    headers: Sequence[syslog.Header] | None,
    told: Told,
) -> None:
    if group.kind == OTHER and OTHER not in {kind.name for kind in product.spec.kinds}:
        otherwise = product.spec.otherwise or "event"
        if otherwise == "drop":
            told.dropped.update(group.rows)
            return
        if otherwise == "failure":
            told.failures.update(
                (row, "no pattern of the product fits the line") for row in group.rows
            )
            return
    names, columns = group.names, group.columns
    if "message" not in names:
        names = (*names, "message")
        columns = [*columns, tuple(lines[row] for row in group.rows)]
    whole = Group(names, group.rows, columns, group.kind)
    told.groups.append((product.kinds[group.kind], _with_header(whole, headers)))


def _decide(product: Product, values: tuple[Any, ...]) -> Kind:
    words = dict(zip(product.deciding, values, strict=True))
    for kind in product.spec.kinds:
        if all(_meets(words.get(name), wanted) for name, wanted in kind.when.items()):
            return product.kinds[kind.name]
    return product.default


def _remembered(product: Product, values: tuple[Any, ...]) -> Kind:
    known = product.decided.get(values)
    if known is None:
        known = _decide(product, values)
        if len(product.decided) >= MAX_DECIDED:  # hostile values
            product.decided.clear()
        product.decided[values] = known
    return known


def _meets(value: Any, wanted: frozenset[str]) -> bool:
    if value is None:
        return False
    text = as_text(value).lower()
    return text in wanted or any(w[-1:] == "*" and text.startswith(w[:-1]) for w in wanted)


def _chosen(column: Any, places: list[int]) -> Any:
    if isinstance(column, tuple):
        return tuple([column[place] for place in places])
    return column.take(places)


def _by_kind(product: Product, group: Group) -> list[tuple[Kind, Group]]:
    """A group cut by message kind; mostly it is of one."""
    places = [group.names.index(n) if n in group.names else -1 for n in product.deciding]
    if all(place < 0 for place in places):
        return [(_decide(product, (None,) * len(places)), group)]
    hollow = (None,) * len(group.rows)
    columns = [values_of(group.columns[place]) if place >= 0 else hollow for place in places]
    cells = list(zip(*columns, strict=True))
    try:
        distinct = set(cells)
    except TypeError:  # a list or an object where a word belongs
        cells = [
            tuple(as_text(v) if isinstance(v, list | dict) else v for v in cell) for cell in cells
        ]
        distinct = set(cells)
    kinds = {values: _remembered(product, values) for values in distinct}
    first = next(iter(kinds.values()))
    if all(kind is first for kind in kinds.values()):
        return [(first, group)]
    rows: dict[str, list[int]] = {}
    for index, values in enumerate(cells):
        rows.setdefault(kinds[values].name, []).append(index)
    return [
        (
            product.kinds[name],
            Group(
                group.names,
                [group.rows[i] for i in chosen],
                [_chosen(column, chosen) for column in group.columns],
                name,
            ),
        )
        for name, chosen in rows.items()
    ]
