"""ECS as law: each field's type, whether it is a list, and its allowed values.

In: ``config/ecs/fields.tsv`` (derived from elastic/ecs by `derive`, a test holds the two together)::

    event.category	keyword	list	api,authentication,configuration,…
    source.ip	ip

Out: `Ecs`, which knows the Arrow type of any column. A name that ECS lacks is text, unless the
product that maps to it says otherwise; so a column has one type in every batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pipeline.model.errors import DamagedError
from pipeline.normalise.types import DataType
from pipeline.settings.places import config_dir

SOURCE: Final = "# elastic/ecs generated/ecs/ecs_flat.yml, 9.5-dev, Apache-2.0: name, type, list, allowed values"

_KINDS: Final = {
    "long": "long", "integer": "long", "short": "long", "byte": "long", "unsigned_long": "long",
    "float": "float", "double": "float", "half_float": "float", "scaled_float": "float",
    "boolean": "boolean", "date": "date", "ip": "ip", "object": "object", "nested": "object", "flattened": "object",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EcsField:
    """`kind` is one of text, long, float, boolean, date, ip, object (text too, if a product insists)."""

    name: str
    kind: str
    many: bool = False
    allowed: frozenset[str] = frozenset()


class Ecs:
    """The table. `expected_types` gives for an `event.category` the `event.type` values it may have."""

    def __init__(
        self, fields: Mapping[str, EcsField], expected: Mapping[str, frozenset[str]]
    ) -> None:
        self.fields = fields
        self.expected_types = expected

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def field(self, name: str) -> EcsField:
        return self.fields.get(name) or EcsField(name, "text")


def arrow_type(kind: str, *, many: bool = False) -> DataType:
    """The Arrow type of a kind of field; addresses and keywords are text."""
    from pipeline.normalise.arrow import pa

    plain = {
        "long": pa.int64(),
        "float": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.timestamp("us", "UTC"),
    }.get(kind, pa.string())
    return pa.list_(plain) if many else plain


@cache
def load_ecs() -> Ecs:
    path = config_dir() / "ecs" / "fields.tsv"
    fields: dict[str, EcsField] = {}
    expected: dict[str, frozenset[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        name, kind, *rest = line.split("\t")
        if len(rest) > 2:
            raise DamagedError(
                "too many columns in the ECS table", where=f"{path}:{number}", got=line
            )
        many = bool(rest and rest[0])
        words = rest[1].split(",") if len(rest) > 1 else []
        if name == "event.category":
            expected = {
                word.partition(":")[0]: frozenset(word.partition(":")[2].split("|"))
                for word in words
            }
            words = list(expected)
        fields[name] = EcsField(name, _KINDS.get(kind, "text"), many, frozenset(words))
    return Ecs(fields, expected)


def derive(flat: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of ``fields.tsv`` from the mapping in ``ecs_flat.yml``."""
    lines = [SOURCE]
    for name, field in sorted(flat.items()):
        words = []
        for allowed in field.get("allowed_values", ()):
            types = "|".join(sorted(allowed.get("expected_event_types", ())))
            words.append(
                f"{allowed['name']}:{types}" if name == "event.category" else allowed["name"]
            )
        many = "list" if "array" in field.get("normalize", ()) else ""
        lines.append("\t".join([name, field["type"], many, ",".join(words)]).rstrip("\t"))
    return "\n".join(lines) + "\n"
