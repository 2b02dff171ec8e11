"""A product's YAML from sample lines: complete, valid, and for a person to finish.

In: a name, lines, `now`. Out: a `Drafted`: the text of `collectors/products/<name>.yml`, the product compiled of it, and
what was proposed why. Its samples are of the given lines, one of each shape first, with the events that they become now
as `expected`; their origin is *constructed*, so that the product counts as unproven until a person has looked and says
otherwise. Invariant: the file passes the schema and every sample becomes the event beside it.

    drafted = draft_product("van_thu", lines, now=utc_now())
    Path("van_thu.yml").write_text(drafted.text)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from collectors.formats.text import clean
from pipeline.model.clock import to_iso, to_micros
from pipeline.model.errors import UsageError
from pipeline.model.ids import content_hash
from pipeline.model.yaml_text import write_yaml
from pipeline.normalise.product import Product, compile_product
from pipeline.normalise.samples import outcome
from pipeline.normalise.spec import read_spec
from pipeline.sources.drafting.fields import Proposal, propose
from pipeline.sources.drafting.shapes import Shape, infer

SAMPLES: Final = 8
_READ: Final = 200  # lines that are looked at
_LONGEST: Final = 8_000  # characters of one; a longer one is no sample that a person could judge
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,39}")
_HEAD: Final = """\
# Drafted from sample lines by `thapcanh product draft`: a proposal. Before it is used, check every field below against
# the vendor's document, take personal data out of the samples, and give each sample its origin (docs/products.md).
"""


class Drafted(msgspec.Struct, frozen=True, kw_only=True):
    """`text` is the file; `body` the format that was inferred; `read` of `lines` became events without a failure."""

    name: str
    text: str
    body: str
    header: bool
    proposals: tuple[Proposal, ...]
    lines: int
    read: int


def draft_product(name: str, lines: Sequence[str], *, now: datetime, title: str = "") -> Drafted:
    """Raises UsageError for a name that no product can have, or when there is no line."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            "a product's name is small letters, digits and _", got=name, expected="van_thu"
        )
    given = [clean(line).rstrip("\r\n") for line in lines if line.strip(" \t\r\n\0")][:_READ]
    given = [line for line in given if len(line) <= _LONGEST] or [one[:_LONGEST] for one in given]
    if not given:
        raise UsageError(
            "there is no line in the sample", remedy="give some lines as the device writes them"
        )
    received = now.replace(microsecond=0)
    shape = infer(given)
    proposed = propose(shape, to_micros(received), name)
    document: dict[str, Any] = {
        "product": name, "title": title or name, "dataset": f"{name}.log", "format": shape.format,
        "empty": ["", "-"], "set": {"event.module": name} | dict(proposed.constants),
    }  # fmt: skip
    if proposed.combine:
        document["combine"] = dict(proposed.combine)
    fields = proposed.fields
    if fields:
        document["fields"] = fields
    document["samples"] = [
        _sample(number, line, received, {}) for number, line in enumerate(_chosen(given, shape), 1)
    ]
    product = _compiled(name, document)
    for sample, spec in zip(document["samples"], product.samples, strict=True):
        sample["expected"] = outcome(product, spec)
    product = _compiled(name, document)
    read = sum(_reads(product, line, received) for line in given)
    return Drafted(
        name=name, text=_HEAD + _dump(document), body=shape.body, header="header" in shape.format,
        proposals=proposed.proposals, lines=len(given), read=read,
    )  # fmt: skip


def compiled(drafted: Drafted) -> Product:
    """The product that the text says."""
    return _of_text(drafted.name, drafted.text)


def _compiled(name: str, document: dict[str, Any]) -> Product:
    return _of_text(name, _dump(document))


def _of_text(name: str, text: str) -> Product:
    spec = read_spec(Path(f"{name}.yml"), text)
    return compile_product(spec, content_hash("draft", text))


def _dump(document: dict[str, Any]) -> str:
    return write_yaml(document)


def _sample(number: int, line: str, received: datetime, expected: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"line {number}", "raw": line,
        "origin": {"kind": "constructed", "title": "a given line, drafted and not yet looked at"},
        "received": to_iso(received), "timezone": "Asia/Ho_Chi_Minh", "expected": expected,
    }  # fmt: skip


def _chosen(lines: Sequence[str], shape: Shape) -> list[str]:
    """One of each set of fields first, then more of them in order."""
    if len(shape.rows) != len(
        lines
    ):  # a header line, or a line that does not fit: the beginning will do
        return list(lines[:SAMPLES])
    firsts: dict[tuple[str, ...], int] = {}
    for place, row in enumerate(shape.rows):
        firsts.setdefault(tuple(row), place)
    order = [*firsts.values(), *(n for n in range(len(lines)) if n not in set(firsts.values()))]
    return [lines[place] for place in sorted(order[:SAMPLES])]


def _reads(product: Product, line: str, received: datetime) -> bool:
    from pipeline.sources.onboarding.preview import FAILED, preview

    seen = preview([line.encode("utf-8", "replace")], product, received=to_micros(received))
    return all(one.outcome != FAILED for one in seen.lines)
