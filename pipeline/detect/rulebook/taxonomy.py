"""The taxonomy: which data a Sigma log source means, and under which column each Sigma field lies.

In: `config/taxonomy/*.yml`, and the files that a home adds. Out: for a rule's log source its *routes*; a rule is
evaluated on each, with that route's field map. A field maps to one column per route, never to two (an OR of two would
make a rule's `null` hold when either is missing: a lost finding).

    maps:
      windows:
        source: Microsoft's documentation  # whose names the columns are; every map says it
        any: winlog.event_data.{}          # every name not listed goes there, as written
        fields: {EventID: event.code, Channel: winlog.channel}
        names: [Image, CommandLine]        # of those, the ones that deserve a column
        under: {UserData: winlog.user_data}    # `UserData.Foo` lies under that column, `UserData` too
      audit_process:
        base: windows                      # all of it, with these in front
        fields: {Image: winlog.event_data.NewProcessName}
        without: {User: why it has none}   # a rule that asks for it cannot run on this route
    defaults: {map: windows, entity: [winlog.computer_name], scopes: [sysmon]}
    routes:
      - product: windows
        category: process_creation
        datasets: [windows.security]
        where: {winlog.channel: Security, event.code: [4688]}   # compared without case
        map: audit_process
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from pipeline.detect.matching.text import fold
from pipeline.detect.rulebook.rules import LogSource
from pipeline.detect.rulebook.yaml_strict import read_yaml
from pipeline.model.errors import FaultsError, ThapCanhError, UsageError
from pipeline.model.ids import content_hash
from pipeline.settings.places import NOTHING, Additions, Mark, config_dir

_MAP_KEYS: Final = {"source", "base", "any", "fields", "names", "under", "without"}
_ROUTE_KEYS: Final = {
    "product", "category", "service", "datasets", "where", "map", "entity", "scopes",
}  # fmt: skip


class FieldMap(msgspec.Struct, frozen=True):
    """Sigma field → column; `any` is the pattern for names that are not listed, empty if none."""

    any: str = ""
    fields: dict[str, str] = {}
    names: tuple[str, ...] = ()
    under: dict[str, str] = {}
    without: dict[str, str] = {}
    source: str = ""

    def column(self, field: str) -> str | None:
        """The column of a field; None if the route has no such field."""
        if field in self.without:
            return None
        found = self.fields.get(field)
        if found is None and self.under:
            head, dot, rest = field.partition(".")
            if head in self.under:
                return self.under[head] + dot + rest
        return found or (self.any.replace("{}", field) if self.any else None)

    def why(self, field: str) -> str:
        """Why a field has no column, empty where nothing more is to be said than that."""
        return self.without.get(field, "")

    def columns(self) -> Iterator[str]:
        """Every column that the map names."""
        yield from self.fields.values()
        yield from (column for name in self.names if (column := self.column(name)))


class Route(msgspec.Struct, frozen=True):
    """One kind of event that a log source means. `where`: column → folded texts of which one must be."""

    logsource: LogSource
    datasets: tuple[str, ...]
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    map: str = ""
    entity: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


class Taxonomy(msgspec.Struct, frozen=True, dict=True):
    """All routes and maps; `digest` names their content."""

    routes: tuple[Route, ...]
    maps: dict[str, FieldMap]
    digest: str = ""

    @classmethod
    def load(cls, folder: Path) -> Taxonomy:
        """Reads every `*.yml` of the folder. Raises `FaultsError` with all that is wrong."""
        faults: list[ThapCanhError] = []
        maps: dict[str, FieldMap] = {}
        routes: list[Route] = []
        texts: list[str] = []
        for path in sorted(folder.glob("*.yml")):
            text = path.read_text("utf-8")
            texts.append(text)
            try:
                for document in read_yaml(text, str(path)):
                    _read_maps(document.value.get("maps") or {}, maps, str(path))
                    routes.extend(_read_routes(document.value, maps, str(path)))
            except ThapCanhError as error:
                faults.append(error)
        if faults:
            raise FaultsError("the taxonomy cannot be read", faults)
        if not routes:
            raise UsageError("no taxonomy", where=str(folder), expected="files *.yml with routes")
        return cls(tuple(routes), maps, content_hash(*texts))

    @classmethod
    def here(cls, additions: Additions = NOTHING) -> Taxonomy:
        """The shipped one, and what a home adds to it. A file of the home with a fault is left out whole."""
        return _with(additions)[0]

    @cached_property
    def _by_source(self) -> Mapping[LogSource, tuple[Route, ...]]:
        found: dict[LogSource, list[Route]] = {}
        for route in self.routes:
            found.setdefault(route.logsource, []).append(route)
        return {source: tuple(routes) for source, routes in found.items()}

    def routes_for(self, source: LogSource, scope: str | None = None) -> tuple[Route, ...]:
        """The routes of a rule's log source, in the files' order; with `scope`, only those marked by it.

        Taken is the first that exists: the very source; its product and service; its product and
        category; its category alone, over the product's own datasets. A rule without a product
        means the category of every product.
        """
        routes = self._candidates(source)
        return tuple(route for route in routes if scope is None or scope in route.scopes)

    def _candidates(self, source: LogSource) -> Sequence[Route]:
        exact = self._by_source.get(source)
        if exact:
            return exact
        product, category, service = source.product, source.category, source.service
        if not product and category and not service:
            return [route for route in self.routes if route.logsource.category == category]
        for looser in (LogSource(product, "", service), LogSource(product, category, "")):
            if (looser.service or looser.category) and looser in self._by_source:
                return self._by_source[looser]
        if product and category:
            wide = self._by_source.get(LogSource("", category, ""), ())
            own = (_narrowed(route, product) for route in wide)
            return [route for route in own if route.datasets]
        return ()

    def columns(self) -> tuple[str, ...]:
        """Every column that routes, maps and entities name, sorted: `config/taxonomy/columns.txt`."""
        found = {column for each in self.maps.values() for column in each.columns()}
        for route in self.routes:
            found.update(route.entity)
            found.update(column for column, _ in route.where)
        return tuple(sorted(found))

    def products(self) -> frozenset[str]:
        return frozenset(
            route.logsource.product for route in self.routes if route.logsource.product
        )


def taxonomy_faults(additions: Additions) -> list[ThapCanhError]:
    """What is wrong with the files that a home adds."""
    return list(_with(additions)[1])


def _with(additions: Additions) -> tuple[Taxonomy, tuple[ThapCanhError, ...]]:
    return _extended(config_dir() / "taxonomy", additions.taxonomy, additions.taxonomy_files())


@lru_cache(maxsize=4)
def _extended(
    shipped: Path, folder: Path | None, files: Mark
) -> tuple[Taxonomy, tuple[ThapCanhError, ...]]:
    made = Taxonomy.load(shipped)
    faults: list[ThapCanhError] = []
    for name, *_ in files:
        assert folder is not None
        try:
            made = _added(made, folder / name)
        except ThapCanhError as error:
            faults.append(error)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            faults.append(
                UsageError(
                    "the file cannot be read as a part of the taxonomy", where=str(folder / name),
                    got=str(error)[:200], expected="maps and routes as in config/taxonomy",
                )
            )  # fmt: skip
    return made, tuple(faults)


def _added(base: Taxonomy, path: Path) -> Taxonomy:
    text, maps, routes = path.read_text("utf-8"), dict(base.maps), list(base.routes)
    for document in read_yaml(text, str(path)):
        _read_maps(document.value.get("maps") or {}, maps, str(path))
        routes.extend(_read_routes(document.value, maps, str(path)))
    return Taxonomy(tuple(routes), maps, content_hash(base.digest, text))


def _narrowed(route: Route, product: str) -> Route:
    own = tuple(name for name in route.datasets if name.split(".")[0].endswith(product))
    return msgspec.structs.replace(route, datasets=own)


def _read_maps(given: Mapping[str, Any], maps: dict[str, FieldMap], where: str) -> None:
    for name, entry in given.items():
        _known(entry, _MAP_KEYS, f"the map {name}", where)
        if name in maps:
            raise UsageError(f"the map {name} occurs twice", where=where)
        base = maps.get(entry["base"]) if "base" in entry else FieldMap()
        if base is None:
            raise UsageError(f"the map {name} has an unknown base", where=where, got=entry["base"])
        maps[name] = FieldMap(
            any=entry.get("any", base.any),
            fields=base.fields
            | {str(key): str(column) for key, column in (entry.get("fields") or {}).items()},
            names=(*base.names, *(str(each) for each in entry.get("names") or ())),
            under=base.under | dict(entry.get("under") or {}),
            without=base.without | _reasons(entry.get("without") or {}, name, where),
            source=str(entry.get("source") or base.source),
        )
        if not maps[name].source:
            raise UsageError(f"the map {name} names no source", where=where)


def _reasons(given: Any, name: str, where: str) -> dict[str, str]:
    if not isinstance(given, dict) or not all(given.values()):
        raise UsageError(
            f"the map {name} has fields without a column and no reason", where=where,
            expected="without: {field: why}",
        )  # fmt: skip
    return {str(field): str(why) for field, why in given.items()}


def _read_routes(
    document: Mapping[str, Any], maps: Mapping[str, FieldMap], where: str
) -> Iterator[Route]:
    defaults = document.get("defaults") or {}
    for number, given in enumerate(document.get("routes") or (), start=1):
        label = f"route {number}"
        entry = {**defaults, **given}
        _known(entry, _ROUTE_KEYS, label, where)
        if entry.get("map") not in maps:
            raise UsageError(f"{label} has an unknown map", where=where, got=str(entry.get("map")))
        if not entry.get("datasets"):
            raise UsageError(f"{label} has no datasets", where=where)
        yield Route(
            LogSource(*(str(entry.get(key) or "") for key in ("product", "category", "service"))),
            tuple(entry["datasets"]),
            tuple(
                (
                    str(column),
                    tuple(
                        fold(str(each))
                        for each in (values if isinstance(values, list) else [values])
                    ),
                )
                for column, values in (entry.get("where") or {}).items()
            ),
            entry["map"],
            tuple(entry.get("entity") or ()),
            tuple(entry.get("scopes") or ()),
        )


def _known(entry: Mapping[str, Any], known: set[str], label: str, where: str) -> None:
    unknown = set(entry) - known
    if unknown:
        raise UsageError(
            f"{label} has an unknown key", where=where, got=", ".join(sorted(map(str, unknown))),
            expected=", ".join(sorted(known)),
        )  # fmt: skip
