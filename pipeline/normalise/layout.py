"""A source whose lines have a layout of their own: its product, with that layout before what ships.

In: a product and the layout as the sender's own configuration or file has it. Out: the product compiled once more, and
kept beside the first. The layout is data: it becomes a pattern or a list of names, nothing of it is evaluated.

    body patterns   nginx's `log_format`, Apache's `LogFormat`: the whole directive or its text, one a line; for products
                    with a kind `access`
    body csv        the header line of the file: ``ngay,gio,nguoi_dung,dia_chi``; tab, ``;`` and ``|`` part, too
    body w3c        the line ``#Fields: date time c-ip …``; a record that carries its own is read by that
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from collectors.formats.csv_fields import fields as csv_values
from collectors.formats.log_format import to_pattern
from collectors.formats.patterns import check
from pipeline.model.errors import FaultsError, UsageError
from pipeline.model.ids import content_hash
from pipeline.normalise.product import Product, compile_product
from pipeline.normalise.spec import EntrySpec, KindSpec, ProductSpec

LONGEST: Final = 4_000
MOST: Final = 512
_KEPT: Final = 1_024
_ACCESS: Final = "access"
_QUOTED: Final = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_TIMES: Final = EntrySpec(
    ("@timestamp",), "date", {"format": ["%d/%b/%Y:%H:%M:%S %z", "iso", "epoch"]}
)
_FORWARDED: Final = EntrySpec(
    (), "extract", {"pattern": r"^(?P<network.forwarded_ip>[0-9A-Fa-f.:]{2,45})(?:,|$)"}
)
_USUAL: Final[Mapping[str, EntrySpec]] = {
    "forwarded": _FORWARDED,
    "request_time": EntrySpec(("event.duration",), "duration", {"unit": "s"}),
    "seconds": EntrySpec(("event.duration",), "duration", {"unit": "s"}),
    "microseconds": EntrySpec(("event.duration",), "duration", {"unit": "us"}),
    "protocol": EntrySpec((), "extract", {"pattern": r"^HTTP/(?P<http.version>[0-9.]{1,5})$"}),
}


def takes_layout(product: Product) -> bool:
    """Whether a source of this product may have a layout of its own."""
    body = product.spec.format["body"]
    if body == "patterns":
        return any(kind.name == _ACCESS for kind in product.spec.kinds)
    return body == "w3c" or (body == "csv" and not product.spec.format.get("columns_by"))


def laid_out(product: Product, layout: str) -> Product:
    """The product as the source's lines have it. Raises UsageError for a layout that it cannot have."""
    if not layout:
        return product
    found = product.laid_out.get(layout)
    if found is None:
        if len(product.laid_out) >= _KEPT:
            product.laid_out.clear()
        found = product.laid_out[layout] = _made(product, layout)
    return found


def as_laid_out(product: Product, layout: str) -> Product:
    """As `laid_out`, for lines that are there already: a layout that does not fit (the source has another product since)
    is as none, and what cannot be read then has its dead letter."""
    try:
        return laid_out(product, layout)
    except UsageError:
        return product


def _made(product: Product, layout: str) -> Product:
    if len(layout) > LONGEST:
        raise UsageError("the layout is too long", expected=f"{LONGEST:,}")
    if not takes_layout(product):
        raise UsageError(
            "this product takes no layout of a source's own", got=product.name,
            expected="a web server's log_format, a CSV header, or #Fields of W3C",
        )  # fmt: skip
    spec = product.spec
    makers = {"patterns": _by_patterns, "csv": _by_header, "w3c": _by_fields}
    try:
        spec = makers[spec.format["body"]](spec, layout.strip())
        return compile_product(spec, content_hash(product.revision, layout))
    except (FaultsError, ValueError) as error:
        raise UsageError("the layout cannot be used", got=str(error)[:300]) from None


def _by_patterns(spec: ProductSpec, layout: str) -> ProductSpec:
    patterns = [_anchored(to_pattern(text)) for text in _directives(layout)]
    for pattern in patterns:
        if wrong := check(pattern):
            raise ValueError(wrong)
    access = next(kind for kind in spec.kinds if kind.name == _ACCESS)
    fields = dict(spec.fields) | dict(access.fields) | {"time": (_TIMES,)}
    status = fields.get("status")
    if status and "http.response.status_code" not in fields:
        fields["http.response.status_code"] = status
    if "user" in fields and "user.name" not in fields:
        fields["user.name"] = fields["user"]
    own = {name: (entry,) for name, entry in _USUAL.items() if name not in fields}
    kind = KindSpec(
        "layout", access.dataset, {}, {}, tuple(patterns), access.constants, own | fields
    )
    return dataclasses.replace(spec, kinds=(kind, *spec.kinds))


def _directives(layout: str) -> list[str]:
    """The texts of directives; what is no directive is a layout as it stands, one a line."""
    texts: list[str] = []
    for part in re.split(r"\n(?=\s*(?:log_format|LogFormat)\b)", layout):
        text = part.strip()
        word = re.match(r"(log_format|LogFormat)\b", text)
        if word is None:
            texts += [line.strip() for line in text.splitlines() if line.strip()]
            continue
        quoted = [a or b for a, b in _QUOTED.findall(text)]
        if not quoted:
            raise ValueError(f"{word[1]} without a text between quotes")
        texts.append("".join(quoted) if word[1] == "log_format" else quoted[0])
    return texts


def _anchored(pattern: str) -> str:
    return pattern if pattern.endswith("$") else pattern + r"\s*$"


def _by_header(spec: ProductSpec, layout: str) -> ProductSpec:
    line = layout.splitlines()[0]
    usual = str(spec.format.get("delimiter", ","))
    delimiter = max((usual, "\t", ";", "|", ","), key=line.count)
    names = [name.strip() for name in csv_values(line, delimiter, '"')]
    if len(names) < 2:
        raise ValueError("a header of one column")
    return _format(
        spec,
        {
            "columns": _checked(names),
            "delimiter": delimiter,
            "least": min(int(spec.format.get("least", 2)), len(names)),
        },
    )


def _by_fields(spec: ProductSpec, layout: str) -> ProductSpec:
    line = next((one for one in layout.splitlines() if one.startswith("#Fields:")), layout)
    names = line.removeprefix("#Fields:").split()
    if len(names) < 2:
        raise ValueError("a #Fields line of one name")
    return _format(spec, {"fields": " ".join(_checked(names))})


def _checked(names: list[str]) -> list[str]:
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice or len(names) > MOST:
        raise ValueError(
            f"the name {twice[0]} stands twice" if twice else f"more than {MOST} names"
        )
    return names


def _format(spec: ProductSpec, more: dict[str, Any]) -> ProductSpec:
    return dataclasses.replace(spec, format={**spec.format, **more})
