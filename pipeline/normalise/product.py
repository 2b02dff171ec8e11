"""Products, as their YAML files declare them, compiled to closures.

A product's format is called with the lines of a batch and gives groups of equal shape; `kind_of`
tells the message kind of each row. Compiling happens once; a compiled product is pure (what it
remembers, plans, templates and layouts of sources, never changes a result).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from collectors.formats.any_line import any_line
from collectors.formats.auditd import auditd
from collectors.formats.cef import cef
from collectors.formats.csv_fields import csv_fields
from collectors.formats.delimited_pairs import delimited_pairs
from collectors.formats.json_lines import json_lines
from collectors.formats.key_value import key_value
from collectors.formats.leef import leef
from collectors.formats.parsed import Format, Parsed
from collectors.formats.patterns import OTHER, Patterns, PatternSpec
from collectors.formats.w3c import w3c
from collectors.formats.windows_event import windows_event
from collectors.formats.zeek import zeek
from pipeline.model.errors import FaultsError, ThapCanhError, UsageError
from pipeline.model.ids import content_hash
from pipeline.normalise.compile import Entry, Types, compile_entry
from pipeline.normalise.ecs import load_ecs
from pipeline.normalise.header import HEADER_FIELDS
from pipeline.normalise.plan import Kind, Planner
from pipeline.normalise.spec import EntrySpec, KindSpec, ProductSpec, SampleSpec, read_spec
from pipeline.settings.places import config_dir, products_dir

ENGINE: Final = "2"
"""Part of every mapping revision: raised when the same YAML would make other events."""

Parse = Callable[[Sequence[Any], Sequence[str | None] | None], Parsed]
"""Lines and, beside them, the programs of their syslog headers."""


@dataclass(frozen=True, slots=True)
class Product:
    """One compiled product. `revision` is the content hash of its mapping (`thapcanh.mapping`)."""

    name: str
    title: str
    revision: str
    datasets: tuple[str, ...]
    spec: ProductSpec
    header: bool
    takes_bytes: bool
    parse: Parse
    kinds: Mapping[str, Kind]
    deciding: tuple[str, ...]
    planner: Planner
    types: Types
    samples: tuple[SampleSpec, ...] = ()
    proven: bool = False
    decided: dict[tuple[Any, ...], Kind] = field(default_factory=dict, repr=False, compare=False)
    laid_out: dict[str, Product] = field(default_factory=dict, repr=False, compare=False)

    @property
    def default(self) -> Kind:
        return self.kinds[OTHER]


@cache
def known_columns() -> frozenset[str]:
    """The names that rules use: each gets a column of its own wherever it occurs."""
    path = config_dir() / "taxonomy" / "columns.txt"
    if not path.is_file():
        return frozenset()
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _patterns(spec: ProductSpec) -> Parse:
    made = [
        PatternSpec(
            kind.name,
            pattern,
            program=kind.when.get("program", frozenset()),
            contains=_only(kind, "contains"),
            starts=_only(kind, "starts"),
            mark=frozenset(kind.when_text.get("mark", ())),
        )
        for kind in spec.kinds
        for pattern in kind.patterns
    ]
    return Patterns(made, mark=spec.format.get("mark", "")).parse


def _only(kind: KindSpec, name: str) -> str:
    """A `contains` or a `starts`: one text, compared as written."""
    words = kind.when_text.get(name, ())
    return words[0] if words else ""


def _body(spec: ProductSpec) -> Parse:
    body = spec.format["body"]
    if body == "patterns":
        return _patterns(spec)
    if body == "text":
        return Patterns([]).parse
    options = spec.format
    makers: dict[str, Callable[[], Format]] = {
        "key_value": lambda: (
            delimited_pairs(options["separator"], options.get("equals", "="))
            if "separator" in options
            else key_value(mark=options.get("mark", ""))
        ),
        "json": json_lines,
        "cef": cef,
        "leef": leef,
        "windows_event": windows_event,
        "auditd": auditd,
        "zeek": zeek,
        "w3c": lambda: w3c(options.get("fields", "")),
        "any": any_line,
        "csv": lambda: csv_fields(
            options.get("columns", ()),
            columns_by=options.get("columns_by", 0),
            delimiter=options.get("delimiter", ","),
            least=options.get("least", 2),
        ),
    }
    plain = makers[body]()
    return lambda lines, _programs: plain(lines)


class _Compiler:
    """Collects the entries of a product: kinds' before the product's, the header's last (priority)."""

    def __init__(self, spec: ProductSpec, types: Types) -> None:
        self.entries: list[Entry] = []
        self.faults: list[ThapCanhError] = []
        self._spec, self._types = spec, types

    def slots(
        self, fields: Mapping[str, tuple[EntrySpec, ...]], where: str
    ) -> dict[str, tuple[int, ...]]:
        made: dict[str, tuple[int, ...]] = {}
        for name, entries in fields.items():
            indices = []
            for entry in entries:
                try:
                    compiled = compile_entry(name, entry, self._types, self._spec.empty)
                except (ThapCanhError, KeyError, ValueError) as error:
                    self.faults.append(
                        UsageError(str(error), where=f"{self._spec.name}.yml: {where}/{name}")
                    )
                    continue
                indices.append(len(self.entries))
                self.entries.append(compiled)
            made[name] = tuple(indices)
        return made


def compile_product(spec: ProductSpec, revision: str) -> Product:
    """Raises `FaultsError` if a mapping's words do not fit together."""
    ecs = load_ecs()
    types = Types(ecs, spec.types, spec.lists)
    compiler = _Compiler(spec, types)
    own = {
        kind.name: compiler.slots(_group_fields(kind), f"kinds/{kind.name}") for kind in spec.kinds
    }
    common = compiler.slots(spec.fields, "fields")
    header = spec.format.get("header", "none") == "syslog"
    if header or spec.format["body"] in {"patterns", "text", "any"}:
        defaults = {
            name: entries for name, entries in HEADER_FIELDS.items() if name not in spec.fields
        }
        common = compiler.slots(defaults, "header") | common
    kinds = {
        kind.name: Kind(kind.name, kind.dataset, kind.when, dict(spec.constants) | dict(kind.constants),
                        common | own[kind.name])
        for kind in spec.kinds
    }  # fmt: skip
    kinds.setdefault(OTHER, Kind(OTHER, spec.dataset, {}, spec.constants, common))
    if compiler.faults:
        raise FaultsError(f"{spec.name}.yml cannot be compiled", compiler.faults)
    is_text = spec.format["body"] in {"patterns", "text"}
    deciding = (
        () if is_text else tuple(dict.fromkeys(name for kind in spec.kinds for name in kind.when))
    )
    planner = Planner(
        compiler.entries,
        types,
        known_columns(),
        spec.prefix,
        spec.take_ecs,
        spec.drop,
        spec.keep,
        spec.combine,
    )
    return Product(
        name=spec.name, title=spec.title, revision=revision,
        datasets=tuple(sorted({spec.dataset} | {kind.dataset for kind in kinds.values()})),
        spec=spec, header=header, takes_bytes=spec.format["body"] in {"json", "windows_event"} and not header,
        parse=_body(spec), kinds=kinds, deciding=deciding, planner=planner, types=types, samples=spec.samples,
        proven=any(sample.origin != "constructed" for sample in spec.samples),
    )  # fmt: skip


def _group_fields(kind: KindSpec) -> dict[str, tuple[EntrySpec, ...]]:
    """A kind's fields, and its patterns' groups that name a field of ECS directly."""
    from collectors.formats.patterns import dotted

    direct = {
        name: (EntrySpec((name,)),)
        for pattern in kind.patterns
        for name in dotted(pattern)[1]
        if "." in name or name == "message"
    }
    return direct | dict(kind.fields)


def load_product(path: Path) -> Product:
    """Compile one product file. Raises `FaultsError` naming file, place and remedy of every fault."""
    text = path.read_text(encoding="utf-8")
    return compile_product(read_spec(path, text), content_hash(ENGINE, text))


def load_products(folder: Path | None = None) -> dict[str, Product]:
    """All products of a folder by name, every fault reported at once. Without one the shipped ones, which a process
    compiles once."""
    return _load(folder) if folder else dict(_shipped(products_dir()))


@cache
def _shipped(folder: Path) -> dict[str, Product]:
    return _load(folder)


def _load(folder: Path) -> dict[str, Product]:
    products: dict[str, Product] = {}
    faults: list[ThapCanhError] = []
    for path in sorted(folder.glob("*.yml")):
        try:
            products[path.stem] = load_product(path)
        except FaultsError as error:
            faults.extend(error.faults)
    if faults:
        raise FaultsError("the products cannot be loaded", faults)
    return products
