"""Damaged files of the lake, made whole: from a backup the same bytes, from the spool the same events.

In: what `lake_verify` found. Out: the files that were mended. From the spool only while it still holds all
receipts of the file; the events are normalised again, and the new file takes the old one's place only if
each agency has as many in it as before (some were known, or replaced since: a backup helps then).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collectors.spool.errors import SpoolDamagedError
from collectors.spool.reader import SpoolReader
from pipeline.model import events
from pipeline.model.errors import ConflictError, DamagedError, UsageError
from pipeline.normalise.additions import products_of
from pipeline.normalise.geo import countries_for
from pipeline.serve.installation import Installation
from pipeline.serve.keeping import archive
from pipeline.store.columns import concat
from pipeline.store.files import arrange, write_file
from pipeline.store.intake import normalise_again
from pipeline.store.lake.verify import Damage, put_back, replace

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH: Final = 20_000


def from_backup(here: Installation, backup: Path, damages: Iterable[Damage]) -> list[Damage]:
    """Those of the damaged files that the backup had, put back as they were."""
    wanted = {f"{archive.LAKE}/{one.path}": one for one in damages}
    mended = []
    try:
        with tarfile.open(backup, mode="r|") as opened:
            for member in opened:
                damage = wanted.get(member.name)
                source = opened.extractfile(member) if damage and member.isreg() else None
                if damage is None or source is None:
                    continue
                try:
                    put_back(here.settings.lake, damage, source)
                except DamagedError:
                    continue  # an older file of that name; the caller says that this one is not mended
                mended.append(damage)
    except FileNotFoundError as error:
        raise UsageError("there is no such backup", where=str(backup)) from error
    except (tarfile.TarError, OSError) as error:
        raise DamagedError(
            "the backup cannot be read", where=str(backup), got=str(error)
        ) from error
    return mended


def from_spool(here: Installation, damages: Sequence[Damage], *, now: datetime) -> list[Damage]:
    """Those of the damaged files whose receipts the spool still holds, with a new file in their place."""
    mended = []
    for damage in damages:
        try:
            table = _events_again(here, damage, now)
        except SpoolDamagedError:
            continue
        if table is None or _by_agency(table) != damage.agencies:
            continue
        try:
            written = write_file(here.settings.lake, damage.dataset, arrange(table))
            replace(here.state, damage, written, now=now)
        except ConflictError:
            continue  # it is not damaged any more, or not live
        mended.append(damage)
    return mended


def _events_again(here: Installation, damage: Damage, now: datetime) -> pa.Table | None:
    """The file's rows out of the spool; None where it lets go of some of them already."""
    products, countries = (
        products_of(here.state.additions),
        countries_for(here.settings.normalise.countries, here.settings.normalise.networks),
    )
    parts = []
    for node, (first, last) in damage.spans.items():
        with SpoolReader(here.settings.spool, node) as reader:
            if not reader.folder.is_dir() or reader.first() > first or reader.durable() < last:
                return None
            after = first - 1
            while after < last:
                records = reader.read(after, min(_BATCH, last - after))
                if not records:
                    return None
                after = records[-1].sequence
                made = normalise_again(
                    node, records, here.state, products, key=here.key, now=now, countries=countries
                )
                if damage.dataset in made:
                    parts.append(made[damage.dataset])
    return _of(concat(parts), damage.agencies) if parts else None


def _of(table: pa.Table, agencies: Iterable[str]) -> pa.Table:
    """Without the agencies whose events retention took out of the file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(agencies), pa.string())
    return table.filter(pc.is_in(table.column(events.AGENCY).cast(pa.string()), value_set=wanted))


def _by_agency(table: pa.Table) -> dict[str, int]:
    import pyarrow.compute as pc

    counted = pc.value_counts(table.column(events.AGENCY)).to_pylist()
    return {one["values"]: one["counts"] for one in counted}
