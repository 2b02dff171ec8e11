"""``match`` and ``normalise``: stateless tools on one file, for whoever has only that."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.model.clock import to_micros, utc_now
from pipeline.model.errors import DamagedError, FaultsError, RefusedError, ThapCanhError, UsageError
from pipeline.model.memory import keep_memory

if TYPE_CHECKING:
    from pipeline.model.records import DeadLetter
    from pipeline.normalise.context import Normalised
    from pipeline.normalise.product import Product

BATCH = 5_000
HELD = 128 << 20  # bytes of one batch, be its lines ever so long
MATCHED = 20_000  # what a batch costs whatever its size is shared by more
File = Annotated[
    Path, typer.Argument(help="A file (plain, gzip, xz, zstd, EVTX), or - for standard input.")
]
ProductName = Annotated[str, typer.Option("--product", help="What wrote it, e.g. windows.")]
CountriesFile = Annotated[
    str, typer.Option("--countries", help="A GeoIP file (.mmdb or CSV) for source addresses.")
]


def attach(app: typer.Typer) -> None:
    app.command("match")(match)
    app.command("normalise")(normalise)


def match(
    file: File,
    product: ProductName,
    rules: Annotated[
        list[Path],
        typer.Option(help="A rule file or a folder of them; may be given several times."),
    ],
    scope: Annotated[
        str, typer.Option(help="Keep to the log sources of this scope, e.g. sysmon.")
    ] = "",
    countries: CountriesFile = "",
) -> None:
    """Which rules match which lines: one JSON line a match, in the file's order."""
    import orjson
    from tqdm import tqdm

    from pipeline.detect.matching.compile import compile_rules
    from pipeline.detect.matching.match_file import matches
    from pipeline.detect.rulebook.rules import load_rules
    from pipeline.detect.rulebook.taxonomy import Taxonomy
    from pipeline.normalise.geo import ADDRESS, COUNTRY
    from pipeline.settings.places import config_dir

    keep_memory()
    taxonomy = Taxonomy.load(config_dir() / "taxonomy")
    faults: list[ThapCanhError] = []
    if scope and not any(scope in route.scopes for route in taxonomy.routes):
        known = sorted({name for route in taxonomy.routes for name in route.scopes})
        faults.append(
            UsageError("no such scope", where="--scope", got=scope, expected=", ".join(known))
        )
    try:
        made = _product(product)
    except UsageError as error:
        faults.append(error)
    book = load_rules(rules, cache=_cache())
    if book.faults and not book.rules:
        faults.append(UsageError(f"no rule can be used:\n{_told(book.faults)}"))
    if faults:
        raise faults[0] if len(faults) == 1 else FaultsError("the command has faults", faults)
    compiled = compile_rules(book.rules, taxonomy, scope=scope or None)
    columns = frozenset[str]().union(*(compiled.columns.get(name, ()) for name in made.datasets))
    if COUNTRY in columns:
        columns |= {ADDRESS}  # which country says it
    source = _Batches(file, made, size=MATCHED, columns=columns, countries=countries)
    with tqdm(unit=" events", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:
        for one in matches(compiled, source.tables(bar)):
            sys.stdout.write(
                orjson.dumps(
                    {
                        "rule_id": one.rule_id,
                        "line": one.line,
                        "title": one.title,
                        "level": one.level,
                    }
                ).decode()
                + "\n"
            )
    unfit = len(compiled.unfit) + len(book.correlations)
    sys.stderr.write(
        f"{source.read} records; {len(compiled.rules)} rules ran, {unfit} cannot fire here"
        f"{f', {source.failed} records could not be parsed' if source.failed else ''}\n"
    )
    if book.faults:
        raise RefusedError(f"refused rules:\n{_told(book.faults)}")


def normalise(file: File, product: ProductName, countries: CountriesFile = "") -> None:
    """Each record as an ECS document: one JSON line an event, in the file's order."""
    import orjson

    from pipeline.model import events
    from pipeline.normalise.document import event_as_document

    source = _Batches(file, _product(product), careful=True, countries=countries)
    poison: list[str] = []
    for done in source:
        poison += [f"  {d.message} ({_place(d)})" for d in done.dead if d.cause == "poison"]
        documents = [
            (table.column(events.SEQUENCE)[row].as_py(), event_as_document(table, row))
            for table in done.tables.values()
            for row in range(table.num_rows)
        ]
        for _, document in sorted(documents, key=lambda pair: pair[0]):
            sys.stdout.buffer.write(
                orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE, default=str)
            )
    if source.failed:
        sys.stderr.write(
            f"{source.failed} of {source.read} records could not be parsed; see tags and error.message\n"
        )
    if poison:
        raise RefusedError(
            f"refused records: {len(poison)}\n{_told(poison)}",
            remedy="please report such a record: the normaliser should survive it",
        )


def _place(letter: DeadLetter) -> str:
    return f"at {letter.source}, line {letter.sequence}; got {letter.body[:60]!r}"


class _Batches:
    """The file's records through the normaliser; a file that is cut short gives what it has, then its error."""

    def __init__(
        self,
        file: Path,
        product: Product,
        *,
        careful: bool = False,
        size: int = BATCH,
        columns: frozenset[str] | None = None,
        countries: str = "",
    ) -> None:
        """`careful`: each batch in a process apart, so that no record can end ours. `columns`: no others."""
        self._file, self._product, self._careful = file, product, careful
        self._size, self._columns, self._countries = size, columns, countries
        self.read = self.failed = 0

    def __iter__(self) -> Iterator[Normalised]:
        from collectors.files import open_input
        from pipeline.model.records import RawRecord
        from pipeline.normalise.context import Context
        from pipeline.normalise.geo import countries_for
        from pipeline.normalise.guard import Guard

        guard = Guard(careful=self._careful)
        context = Context(
            node="file",
            agency="",
            source=self._file.name,
            key=bytes(16),
            ingested=to_micros(utc_now()),
            columns=self._columns,
            countries=countries_for(self._countries),
        )
        damage: DamagedError | None = None
        with open_input(self._file) as file:
            records = iter(file)
            while damage is None:
                batch, held = [], 0
                try:
                    for one in islice(records, self._size):
                        batch.append(
                            RawRecord(one.place, context.source, context.ingested, one.body)
                        )
                        held += len(one.body)
                        if held > HELD:
                            break
                except DamagedError as error:
                    damage = error
                if not batch:
                    break
                done = guard.normalise(self._product, batch, context)
                self.read += len(batch)
                self.failed += sum(letter.cause != "poison" for letter in done.dead)
                yield done
        if damage is not None:
            raise damage

    def tables(self, bar: Any) -> Iterator[dict[str, Any]]:
        before = 0
        for done in self:
            yield done.tables
            bar.update(self.read - before)
            before = self.read


def _product(name: str) -> Product:
    import difflib

    from pipeline.normalise.product import load_products

    products = load_products()
    if name not in products:
        near = difflib.get_close_matches(name, products, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(products))}"
        raise UsageError("no such product", where="--product", got=name, remedy=remedy)
    return products[name]


def _cache() -> Path:
    """Parsed rules are kept by their content, in the user's cache."""

    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thapcanh"


def _told(faults: Any, most: int = 20) -> str:
    shown = "\n".join(f"  {fault}" for fault in faults[:most])
    return shown + (f"\n  and {len(faults) - most} more" if len(faults) > most else "")
