"""Sets the stage: the eight agencies, their sources, a key each; and which day is played.

In: the state and a folder of the home. Out: the keys by source. Keys are kept in ``keys.json`` of that
folder (mode 0600), for the register holds their hashes only; a second call finds everything there and
changes nothing. A home that holds real agencies is refused unless told otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from pipeline.model.clock import to_iso
from pipeline.model.errors import ConflictError, UsageError
from pipeline.model.scope import Actor
from pipeline.rehearsal import cast
from pipeline.rehearsal.script import Script
from pipeline.sources.register import add_agency, add_source
from pipeline.sources.senders import new_source_key
from pipeline.state.state import State
from pipeline.state.tables.operation import Meta
from pipeline.state.tables.register import Agency, Source

CENTRE = "soc"
META = "rehearsal"
KEYS = "keys.json"
LISTENERS = {"udp": "syslog-udp", "tcp": "syslog-tcp"}
"""The names that the default settings give the syslog listeners."""


def set_stage(
    state: State,
    actor: Actor,
    folder: Path,
    script: Script,
    *,
    known_products: Collection[str],
    now: datetime,
    beside_real: bool = False,
) -> dict[str, str]:
    """Keys by source. ConflictError for a home with real agencies, or in the middle of another script."""
    refuse_real(state, beside_real=beside_real)
    _remember(state, script)
    keys = _kept_keys(folder / KEYS)
    with state.read() as session:
        agencies = set(session.scalars(sa.select(Agency.id)))
        sources = set(session.scalars(sa.select(Source.id)))
    for agency in cast.AGENCIES:
        if agency.id not in agencies:
            add_agency(
                state, actor, agency=agency.id, name_vi=agency.name_vi, name_en=agency.name_en,
                kind=agency.kind, level=agency.level, drill=True, now=now,
            )  # fmt: skip
    for source in cast.SOURCES:
        if source.id not in sources:
            listed = [(LISTENERS[source.syslog], f"{source.address}/32")] if source.syslog else []
            made = add_source(
                state, actor, source=source.id, agency=source.agency, product=source.product,
                known_products=known_products, name=source.name, addresses=listed, now=now,
            )  # fmt: skip
            keys[source.id] = made.key
        elif source.id not in keys:
            keys[source.id] = new_source_key(state, actor, source.id, now=now)
    _keep_keys(folder / KEYS, keys)
    return keys


def refuse_real(state: State, *, beside_real: bool) -> None:
    """ConflictError where somebody's real logs live, unless told that it is meant."""
    with state.read() as session:
        real = session.scalars(
            sa.select(Agency.id).where(Agency.drill.is_(False), Agency.id != CENTRE).limit(3)
        ).all()
    if real and not beside_real:
        raise ConflictError(
            "this home holds real agencies", got=", ".join(real),
            remedy="give the rehearsal a home of its own, or say --beside-real",
        )  # fmt: skip


def remembered(state: State) -> Script | None:
    """The script that this home is in the middle of, or has played."""
    with state.read() as session:
        row = session.get(Meta, META)
    if row is None:
        return None
    value = row.value
    return Script(value["seed"], datetime.fromisoformat(value["start"]), value["records"])


def _remember(state: State, script: Script) -> None:
    before = remembered(state)
    if before is not None and before != script:
        raise ConflictError(
            "another rehearsal is on this stage",
            got=f"seed {script.seed}, start {to_iso(script.start)}",
            expected=f"seed {before.seed}, start {to_iso(before.start)}",
            remedy="go on with that one, or begin anew after thapcanh rehearse --clean",
        )
    if before is None:
        value = {"seed": script.seed, "start": script.start.isoformat(), "records": script.records}
        with state.begin() as session:
            session.add(Meta(name=META, value=value))


def _kept_keys(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UsageError(
            "the rehearsal's keys cannot be read",
            where=str(path),
            remedy="delete the file: new keys are made",
        ) from error
    return {str(source): str(key) for source, key in found.items()}


def _keep_keys(path: Path, keys: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(keys, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
