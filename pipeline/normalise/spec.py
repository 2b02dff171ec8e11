"""A product's YAML as values, checked: what the file says, not yet what it does.

In: a file as `docs/products.md` describes it. Out: a `ProductSpec`.
Every fault of a file is reported at once, with its place in the file and what to do.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from collectors.formats.log_format import to_pattern
from collectors.formats.patterns import check
from pipeline.model.errors import FaultsError, ThapCanhError, UsageError
from pipeline.model.events import ENVELOPE, TIME
from pipeline.settings.places import products_dir

_REMEDY: Final = "docs/products.md describes the file"


@dataclass(frozen=True, slots=True)
class EntrySpec:
    """One mapping of a raw field: `how` is a converter's name, `options` its words."""

    to: tuple[str | None, ...]
    how: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One message kind. `when` is by raw field, in lower case (`when_text` as written); patterns
    only for `body: patterns`; a `shared` one is no sign of the product."""

    name: str
    dataset: str
    when: Mapping[str, frozenset[str]]
    when_text: Mapping[str, tuple[str, ...]]
    patterns: tuple[str, ...]
    constants: Mapping[str, Any]
    fields: Mapping[str, tuple[EntrySpec, ...]]
    shared: bool = False


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """A record and the whole event that it must become."""

    name: str
    raw: str
    origin: str
    title: str
    received: str
    timezone: str
    expected: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProductSpec:
    """Everything that a file says. `kinds` ends with the one for lines that fit no other."""

    name: str
    title: str
    about: str
    dataset: str
    format: Mapping[str, Any]
    identity: tuple[str, ...]
    empty: frozenset[str]
    prefix: str
    take_ecs: bool
    drop: frozenset[str]
    keep: Mapping[str, str]
    lists: frozenset[str]
    types: Mapping[str, str]
    combine: Mapping[str, tuple[tuple[str, ...], str]]
    fields: Mapping[str, tuple[EntrySpec, ...]]
    constants: Mapping[str, Any]
    kinds: tuple[KindSpec, ...]
    otherwise: str
    recognise: tuple[str, ...]
    replaces_shipped: bool
    samples: tuple[SampleSpec, ...]


class _Loader(yaml.CSafeLoader):
    """YAML without duplicate keys and without aliases; dates and the like stay text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise UsageError(
                    f"the key {key.value!r} comes twice",
                    where=f"line {key.start_mark.line + 1}",
                    remedy="join the two",
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for letter, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@cache
def _validator() -> Any:
    import jsonschema

    schema = json.loads((products_dir() / "schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _schema_faults(document: Any, path: Path) -> Iterator[ThapCanhError]:
    import jsonschema

    for error in sorted(
        _validator().iter_errors(document), key=lambda e: [str(p) for p in e.absolute_path]
    ):
        best = jsonschema.exceptions.best_match([error]) or error
        place = "/".join(str(part) for part in best.absolute_path) or "the top"
        remedy = _REMEDY
        if best.validator == "additionalProperties" and isinstance(best.schema, dict):
            known = list(best.schema.get("properties", {}))
            strange = (
                [key for key in best.instance if key not in known]
                if isinstance(best.instance, dict)
                else []
            )
            near = difflib.get_close_matches(str(strange[0]), known, 1) if strange else []
            remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        yield UsageError(best.message[:300], where=f"{path}: {place}", remedy=remedy)


def _entries(raw: Any) -> tuple[EntrySpec, ...]:
    if raw is None:
        return ()
    made = []
    for one in raw if isinstance(raw, list) else [raw]:
        if isinstance(one, str):
            made.append(EntrySpec((one,)))
        else:
            to = one.get("to", [])
            options = {key: value for key, value in one.items() if key not in {"to", "as"}}
            made.append(
                EntrySpec(tuple(to if isinstance(to, list) else [to]), one.get("as", ""), options)
            )
    return tuple(made)


def _fields(raw: Mapping[str, Any] | None) -> dict[str, tuple[EntrySpec, ...]]:
    return {name: _entries(value) for name, value in (raw or {}).items()}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(word) for word in (value if isinstance(value, list) else [value]))


def _words(value: Any) -> frozenset[str]:
    return frozenset(word.lower() for word in _texts(value))


def _kind(raw: Mapping[str, Any], dataset: str) -> KindSpec:
    patterns = raw.get("patterns") or ([raw["pattern"]] if "pattern" in raw else [])
    patterns = [*patterns, *map(to_pattern, raw.get("log_formats", ()))]
    return KindSpec(
        raw["name"],
        raw.get("dataset", dataset),
        {name: _words(value) for name, value in raw.get("when", {}).items()},
        {name: _texts(value) for name, value in raw.get("when", {}).items()},
        tuple(patterns),
        dict(raw.get("set", {})),
        _fields(raw.get("fields")),
        raw.get("shared", False),
    )


def _protected(path: Path, spec: ProductSpec) -> Iterator[ThapCanhError]:
    """No mapping may write what the pipeline alone sets; every pattern must be safe."""
    own = frozenset(ENVELOPE) - {TIME, "tags"}
    places: list[tuple[str, Mapping[str, Any], Mapping[str, Any], tuple[str, ...]]] = [
        ("fields", spec.fields, spec.constants, ()),
        ("recognise", {}, {}, spec.recognise),
    ]
    places += [(f"kinds/{k.name}", k.fields, k.constants, k.patterns) for k in spec.kinds]
    for place, fields, constants, patterns in places:
        targets = [
            *constants,
            *(t for entries in fields.values() for e in entries for t in e.to if t),
        ]
        for target in targets:
            if target in own or target.startswith("thapcanh."):
                yield UsageError(
                    f"{target} is set by the pipeline alone",
                    where=f"{path}: {place}",
                    remedy="choose another field",
                )
        inner = [
            str(e.options["pattern"])
            for es in fields.values()
            for e in es
            if "pattern" in e.options
        ]
        for pattern in (*patterns, *inner):
            wrong = check(pattern)
            if wrong:
                yield UsageError(
                    f"a pattern cannot be used: {wrong}", where=f"{path}: {place}", got=pattern[:200],
                    remedy="write it without look-arounds, back references and nested repeats",
                )  # fmt: skip
    is_text = spec.format["body"] == "patterns"
    for kind in spec.kinds:
        if bool(kind.patterns) != is_text:
            yield UsageError(
                "a kind has a pattern exactly where the body is `patterns`",
                where=f"{path}: kinds/{kind.name}",
                remedy=_REMEDY,
            )


def read_spec(path: Path, text: str | None = None) -> ProductSpec:
    """The file as values. Raises `FaultsError` with all its faults."""
    content = path.read_text(encoding="utf-8") if text is None else text
    try:
        document = yaml.load(content, _Loader)  # noqa: S506 - a safe loader, narrowed
    except UsageError as error:
        raise FaultsError("the product cannot be read", [error]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        fault = UsageError(
            "not YAML", where=place, got=str(getattr(error, "problem", error)), remedy=_REMEDY
        )
        raise FaultsError("the product cannot be read", [fault]) from None
    faults = list(_schema_faults(document, path))
    if faults:
        raise FaultsError(f"{path.name} does not follow the schema", faults)
    try:
        spec = _spec(document)
    except ValueError as error:
        fault = UsageError(str(error), where=f"{path}: log_formats", remedy=_REMEDY)
        raise FaultsError(f"{path.name} cannot be used", [fault]) from None
    faults = list(_protected(path, spec))
    if spec.name != path.stem:
        faults.append(
            UsageError(
                "the file is named after its product",
                where=str(path),
                got=spec.name,
                remedy="rename it",
            )
        )
    if faults:
        raise FaultsError(f"{path.name} cannot be used", faults)
    return spec


def _spec(raw: Mapping[str, Any]) -> ProductSpec:
    rest = raw.get("rest", {})
    dataset = raw["dataset"]
    samples = tuple(
        SampleSpec(
            one.get("name", f"sample {number}"), one["raw"], one["origin"]["kind"], one["origin"]["title"],
            one.get("received", "2026-11-24T02:00:00Z"), one.get("timezone", ""), one["expected"],
        )
        for number, one in enumerate(raw["samples"], 1)
    )  # fmt: skip
    return ProductSpec(
        name=raw["product"], title=raw["title"], about=raw.get("about", ""), dataset=dataset, format=raw["format"],
        identity=tuple(raw.get("identity", ())), empty=frozenset(raw.get("empty", [""])),
        prefix=rest.get("prefix", f"{raw['product']}."), take_ecs=rest.get("ecs", False),
        drop=frozenset(rest.get("drop", ())), keep=rest.get("keep", {}), lists=frozenset(raw.get("lists", ())),
        types=raw.get("types", {}),
        combine={name: (tuple(c["from"]), c.get("with", " ")) for name, c in raw.get("combine", {}).items()},
        fields=_fields(raw.get("fields")), constants=dict(raw.get("set", {})),
        kinds=tuple(_kind(kind, dataset) for kind in raw.get("kinds", ())),
        otherwise=raw.get("otherwise", ""), recognise=_texts(raw.get("recognise", [])),
        replaces_shipped=raw.get("replaces_shipped", False), samples=samples,
    )  # fmt: skip
