"""A whole installation into one file, while it is at work; and out of it into an empty home.

What is in it: the state as of one instant, the lake's files and the tickets' attachments that this state
names, the spooled records that it has not settled, and everything else of the home (keys, settings, the
drill's place), save caches, logs and locks. Restored, the system goes on where the state was: what was spooled and not settled is
settled then, and nothing is settled twice.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from pipeline.model.clock import to_iso
from pipeline.model.errors import ServiceAwayError, UsageError
from pipeline.serve.installation import Installation, open_home
from pipeline.serve.keeping import archive, staging, state_copy
from pipeline.serve.locks import role_lock
from pipeline.settings.load import load_settings
from pipeline.state.migrate import current, refuse_newer, upgrade
from pipeline.state.state import State
from pipeline.state.tables.operation import Meta, Pulse
from pipeline.store.lake.manifest import HELD
from pipeline.tickets.attachments import FOLDER

_TRIES = 3
_LEFT_OUT = frozenset({"lake", "spool", "cache", "run", "log", "state.sqlite", FOLDER})
_SPARE = 64 << 20
Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all (0: unknown)."""


@dataclass(frozen=True, slots=True)
class Report:
    """`missing` says, a line each, what should be in it and is not, or is not what was once written;
    `notes` what is still to be done."""

    path: Path
    files: int
    bytes: int
    taken: str
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def file_name(now: datetime) -> str:
    return f"thapcanh-{now:%Y%m%dT%H%M%SZ}.backup"


def back_up(here: Installation, target: Path, *, now: datetime, progress: Progress) -> Report:
    """Write the backup `target`. It holds the installation's key: mode 600, to be kept as the home is."""
    home = here.settings.home
    target = target.absolute()
    if target.is_relative_to(home):
        raise UsageError(
            "a backup inside the home is lost with it", where=str(target),
            remedy="name a folder outside, best on another disk",
        )  # fmt: skip
    if target.exists():
        raise UsageError("there is such a file already", where=str(target), remedy="name another")
    if not target.parent.is_dir():
        raise UsageError(
            "there is no such folder", where=str(target.parent), remedy="make it first"
        )
    try:
        return _write(here, target, now, progress)
    except OSError as error:
        raise ServiceAwayError(
            "the backup cannot be prepared", where=str(home), got=str(error),
            remedy="free space on the home's disk; what was begun is removed",
        ) from error  # fmt: skip


def restore(source: Path, home: Path, *, environ: dict[str, str], progress: Progress) -> Report:
    """Make `home` (which must not be there, or be empty) of a backup. All of it, or nothing."""
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise UsageError(
            "the home is not empty", where=str(home), remedy="name a new one with --home"
        )
    part = home.with_name(f".{home.name}.restoring")
    shutil.rmtree(part, ignore_errors=True)  # of an attempt that was killed
    try:
        raw = source.open("rb")
    except OSError as error:
        raise UsageError("the backup cannot be read", where=str(source), got=str(error)) from error
    try:
        with raw:
            reader = archive.Reader(source, raw)
            refuse_newer(str(reader.head.get("state", "")), where=str(source))
            part.mkdir(parents=True, mode=0o700)
            done, size = 0, source.stat().st_size

            def passed(count: int) -> None:
                nonlocal done
                done += count
                progress(done, size)

            sizes = reader.extract(part, passed)
        settings = load_settings(part, environ)
        state_copy.put_state(part / state_copy.NAMES[reader.head["database"]], settings.state_url)
        state = State.open(settings.state_url)
        upgrade(state)
        _begin_anew(state, str(reader.head["taken"]), source.name)
        state.close()
        part.rename(home)
    except OSError as error:
        raise ServiceAwayError(
            "the home cannot be made", where=str(home), got=str(error),
            remedy="free space, or name another; nothing was restored",
        ) from error  # fmt: skip
    finally:
        shutil.rmtree(part, ignore_errors=True)
    os.sync()
    notes: tuple[str, ...] = ()
    if load_settings(home, {}).state_url != settings.state_url and settings.state.url:
        notes = (
            "thapcanh.yml of the restored home names another state: write the new state.url there",
        )
    return Report(
        home, len(sizes), sum(sizes.values()), str(reader.head["taken"]), tuple(_check(home)), notes
    )


def _write(here: Installation, target: Path, now: datetime, progress: Progress) -> Report:
    # On the lake's own disk its files are linked, not copied.
    run, lake = here.settings.run, here.settings.lake / HELD
    with role_lock(run, "backup"), _stage(run / "backup") as stage, _stage(lake) as held:
        copy, named, missing = _snapshot(here, stage, held)
        members = [
            (copy.name, copy),
            *_under(stage / "rest", stage / "rest"),
            *_under(stage / "spool", stage),
            *_under(stage / FOLDER, stage),
            *((f"lake/{name}", path) for name, path in _under(held, held)),
        ]
        total = sum(path.stat().st_size for _, path in members)
        _room(target.parent, total)
        head = {
            "taken": to_iso(now), "state": current(here.state),
            "database": here.state.engine.dialect.name, "store": here.settings.store.kind,
        }  # fmt: skip
        done = 0

        def passed(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        with archive.new_backup(target, head, passed) as writer:
            for name, path in members:
                digest = writer.file(name, path)
                of_lake, _, inside = name.partition("/")
                if of_lake == "lake" and digest != named.files[inside]:
                    missing.append(f"{name} is not what was written once")
    with here.state.begin() as session:  # for the doctor, who asks how old the last one is
        session.merge(Meta(name="backup", value={"at": head["taken"], "path": str(target)}))
    elsewhere = "" if head["store"] == "lake" else "the events are not in it: take a snapshot there"
    return Report(
        target, writer.members, target.stat().st_size, head["taken"], tuple(sorted(missing)),
        (f"the store is {head['store']}: {elsewhere}",) if elsewhere else (),
    )  # fmt: skip


def _snapshot(
    here: Installation, stage: Path, held: Path
) -> tuple[Path, state_copy.Named, list[str]]:
    """The state first, then a second name for what it names. What went in between (compacted, deleted)
    is of a state that is no more: then all is done again, with the state of now."""
    for _ in range(_TRIES):
        for folder in (*stage.iterdir(), *held.iterdir()):
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        # Before the spool: how far a sender says it is must not be ahead of what was received of it.
        _stage_rest(here.settings.home, stage / "rest")
        copy, named = state_copy.copy_state(here.state, stage)
        gone = staging.stage_lake(here.settings.lake, named.files, held)
        # After the state: what it names lies there already, and stays until it names it no more.
        lost = staging.stage_attachments(
            here.settings.home / FOLDER, named.attachments, stage / FOLDER
        )
        holes = staging.stage_spool(here.settings.spool, named, stage / "spool")
        if not gone and not holes and not lost:
            break
    missing = [f"lake/{path} is gone" for path in gone]
    missing += [f"{FOLDER}/{name} is gone" for name in lost]
    return copy, named, missing + [f"spooled records {hole} are gone" for hole in holes]


@contextmanager
def _stage(folder: Path) -> Iterator[Path]:
    shutil.rmtree(folder, ignore_errors=True)  # of a backup that was killed
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _under(folder: Path, base: Path) -> list[tuple[str, Path]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path.relative_to(base)), path) for path in files]


def _stage_rest(home: Path, folder: Path) -> None:
    """Keys, settings and whatever else people have laid into the home: copied, for they may change."""
    for top in sorted(home.iterdir()):
        if top.name in _LEFT_OUT or top.name.startswith("state.sqlite"):
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            target = folder / path.relative_to(home)
            if path.is_file():
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with suppress(FileNotFoundError):  # replaced in this moment
                    shutil.copyfile(path, target)


def _room(folder: Path, total: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < total + _SPARE:
        raise ServiceAwayError(
            "there is no room for the backup", where=str(folder),
            got=f"{free >> 20} MiB free", expected=f"{(total + _SPARE) >> 20} MiB",
            remedy="free space there, or name another place",
        )  # fmt: skip


def _begin_anew(state: State, taken: str, source: str) -> None:
    """No role of the old home is alive in the new one; and the new one knows where it is from."""
    with state.begin() as session:
        session.execute(sa.delete(Pulse))
        session.merge(Meta(name="restored", value={"taken": taken, "from": source}))


def _check(home: Path) -> Iterator[str]:
    here = open_home(home, create=False)
    try:
        yield from here.store.health().notes
    finally:
        here.close()
