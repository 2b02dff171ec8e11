"""Entries of a product's field map to converters. Words become closures here; nothing evaluates text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from collectors.formats.patterns import dotted
from pipeline.model.errors import UsageError
from pipeline.normalise import convert, parts
from pipeline.normalise.agents import AGENT_PARTS, user_agent
from pipeline.normalise.column import Column, Converted, Converter
from pipeline.normalise.ecs import Ecs, EcsField
from pipeline.normalise.spec import EntrySpec


@dataclass(frozen=True, slots=True)
class Entry:
    """One compiled mapping of the raw field `name`; `empty` are the texts that stand for nothing."""

    name: str
    targets: tuple[str, ...]
    run: Converter
    empty: frozenset[str]


@dataclass(frozen=True, slots=True)
class Types:
    """The type of any column of a product: the product's own word, else ECS's, else text."""

    ecs: Ecs
    own: Mapping[str, str]
    lists: frozenset[str]

    def field(self, name: str) -> EcsField:
        if name in self.own or name in self.lists:
            return EcsField(name, self.own.get(name, "text"), name in self.lists)
        return self.ecs.field(name)


_USER: Final = ("name", "domain")
_ADDRESS: Final = ("address", "ip", "domain")
_HOST_PORT: Final = ("address", "port")


def plain(
    field: EcsField, *, date_format: Sequence[str] = ("iso", "epoch", "bsd"), zone: str = "source"
) -> Converter:
    """The converter that a field's own type asks for."""
    name = field.name
    if field.many:
        return convert.to_list(name)
    if field.kind == "date":
        return convert.to_date(name, date_format, zone)
    return {
        "long": convert.to_long, "float": convert.to_float, "boolean": convert.to_boolean, "ip": convert.to_ip,
    }.get(field.kind, convert.to_text)(name)  # fmt: skip


def _then(first: Converter, types: Types) -> Converter:
    """Texts that a splitter made, each to the type of its field."""

    def run(column: Column) -> Converted:
        made = first(column)
        whole = Converted({}, made.bad)
        for name, array in made.columns.items():
            field = types.field(name)
            if field.kind == "text" and not field.many:
                whole.columns[name] = array
                continue
            again = Column(array.to_pylist(), column.received, column.zone)
            part = plain(field)(again)
            whole.columns |= part.columns
            whole.bad += part.bad
        return whole

    return run


def _address(prefix: str) -> Converter:
    """A host that may be an address or a name: `address` always, `ip` or `domain` as it is."""
    from pipeline.normalise.arrow import pa, pc

    address, ip, domain = (f"{prefix}.{part}" for part in _ADDRESS)

    def run(column: Column) -> Converted:
        text = column.text
        found = convert.addresses(text)
        name = pc.if_else(pc.is_valid(found), pa.scalar(None, pa.string()), text)
        return Converted({address: text, ip: found, domain: name})

    return run


def _host_port(prefix: str, types: Types) -> Converter:
    split = convert.to_parts(("host", "port"), parts.host_port)
    host = _address(prefix)
    port = plain(types.field(f"{prefix}.port"))

    def run(column: Column) -> Converted:
        made = split(column)
        both = host(Column(made.columns["host"].to_pylist(), column.received))
        number = port(Column(made.columns["port"].to_pylist(), column.received))
        return Converted(both.columns | number.columns, both.bad + number.bad)

    return run


def _agent(prefix: str) -> Converter:
    """The text as it stands, and what it says of itself; a part that no row has makes no column."""
    original, *names = _named(prefix, AGENT_PARTS)

    def run(column: Column) -> Converted:
        text = column.text
        arrays = convert.by_distinct_many(text, user_agent, len(names))
        told = {
            name: one for name, one in zip(names, arrays, strict=True) if one.null_count < len(one)
        }
        return Converted({original: text} | told)

    return run


def _named(prefix: str, names: Sequence[str]) -> list[str]:
    return [f"{prefix}.{name}" for name in names]


def compile_entry(name: str, spec: EntrySpec, types: Types, empty: frozenset[str]) -> Entry:
    """Raises UsageError if the words do not fit together."""
    options: Mapping[str, Any] = spec.options
    hollow = frozenset(options["empty"]) if "empty" in options else empty
    how, first = spec.how, (spec.to[0] if spec.to else None) or ""
    splitters: dict[str, tuple[Sequence[str], Any]] = {
        "user": (_named(first, _USER), parts.user),
        "url": (_named(first, parts.URL_PARTS), parts.url),
        "hashes": (_named(first, parts.HASHES), parts.hashes),
        "basename": ([first], parts.basename),
        "dns_name": ([first], parts.dns_name),
        "mac": ([first], parts.mac),
    }
    if how in splitters:
        names, function = splitters[how]
        chosen: Sequence[str | None] = spec.to if len(spec.to) > 1 else names
        if len(chosen) != len(names):
            raise UsageError(f"{how} gives {len(names)} parts", where=name, got=str(list(chosen)),
                             remedy="name a prefix, or as many fields (null for one to leave out)")  # fmt: skip
        run = _then(convert.to_parts(chosen, function), types)
        return Entry(name, tuple(n for n in chosen if n), run, hollow)
    if how == "extract":
        pattern, groups = dotted(options.get("pattern", ""))
        if not groups:
            raise UsageError(
                "extract needs a pattern with named groups", where=name, remedy="add `pattern:`"
            )
        return Entry(name, groups, _then(convert.to_extract(pattern, groups), types), hollow)
    if not first:
        raise UsageError("the mapping has no target", where=name, remedy="add `to:`")
    if how == "user_agent":
        return Entry(name, tuple(_named(first, AGENT_PARTS)), _agent(first), hollow)
    if how == "address":
        return Entry(name, tuple(_named(first, _ADDRESS)), _address(first), hollow)
    if how == "host_port":
        return Entry(
            name, (*_named(first, _ADDRESS), f"{first}.port"), _host_port(first, types), hollow
        )
    return Entry(name, (first,), _single(first, how, options, types), hollow)


def _single(target: str, how: str, options: Mapping[str, Any], types: Types) -> Converter:
    """A converter with one target."""
    field = types.field(target)
    formats = options.get("format", ["iso", "epoch", "bsd"])
    formats = [formats] if isinstance(formats, str) else formats
    zone = options.get("zone", "source")
    if how == "enum":
        words = convert.to_enum(
            target, options.get("values", {}), options.get("default", "drop"), many=field.many
        )
        return words if field.many else _then(words, types)
    if how == "list":
        return convert.to_list(target, separator=options.get("separator", ","))
    if how in {"lower", "upper"}:
        return convert.to_text(target, case=how)
    if how == "duration":
        return convert.to_float(target, unit=options.get("unit", "s"))
    if how == "float" or "scale" in options:
        return convert.to_float(target, scale=float(options.get("scale", 1.0)))
    if how in {"date", ""}:
        return plain(
            field if how == "" else EcsField(target, "date"), date_format=formats, zone=zone
        )
    return plain(EcsField(target, how, field.many))
