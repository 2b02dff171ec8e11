"""A home folder, opened: settings, state at the right version, store and key.

Layout of a home::

    thapcanh.yml      settings (optional)
    state.sqlite      tables, unless the state is elsewhere
    keys/             the installation's key, mode 700
    spool/<node>/     records on their way
    lake/             events, unless the store is elsewhere
    products/         this home's own products; taxonomy/ what it adds to the taxonomy (both optional)
    attachments/      files of tickets, by their SHA-256
    cache/            compiled rule sets; may be deleted
    log/  run/        logs of roles; locks and marks of running ones
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pipeline.model.errors import ServiceAwayError, UsageError
from pipeline.settings.load import load_settings
from pipeline.settings.secrets import installation_key
from pipeline.settings.values import Settings
from pipeline.state.migrate import upgrade
from pipeline.state.state import State

if TYPE_CHECKING:
    from pipeline.store.base import SearchableStore


@dataclass(frozen=True)
class Installation:
    """One home. The store is opened when first asked for: it costs half a second of imports."""

    settings: Settings
    state: State
    key: bytes

    @cached_property
    def store(self) -> SearchableStore:
        """The store that `store.kind` names."""
        from pipeline.store.kind import claim

        chosen = self.settings.store
        claim(self.state, chosen.kind)
        if chosen.kind == "elasticsearch":
            from pipeline.store.elasticsearch.store import ElasticsearchStore

            return ElasticsearchStore(
                chosen.elasticsearch, self.state,
                resend_days=chosen.resend_days, seconds=chosen.search_seconds,
            )  # fmt: skip
        from pipeline.store.lake.search import Limits
        from pipeline.store.lake.store import Lake

        limits = Limits(chosen.search_seconds, chosen.search_bytes, chosen.search_threads)
        return Lake(self.settings.lake, self.state, resend_days=chosen.resend_days, limits=limits)

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()
        self.state.close()


def home_folder(given: Path | None) -> Path:
    """``--home``, else ``$THAPCANH_HOME``, else ``./var``."""
    return (given or Path(os.environ.get("THAPCANH_HOME") or "var")).expanduser().absolute()


def open_home(home: Path, *, create: bool = True) -> Installation:
    """Open a home, making it when it is not there (`create`), and bring its tables up to date."""
    if not home.is_dir():
        if not create:
            raise UsageError(
                "there is no home folder here",
                where=str(home),
                remedy="thapcanh admin init makes one",
            )
        _make(home)
    settings = load_settings(home, os.environ)
    for folder in (settings.spool, settings.lake, settings.cache, settings.run, home / "log"):
        _make(folder)
    begun = (home / "state.sqlite").exists() or any(settings.spool.iterdir())
    key = installation_key(settings.keys, make=not begun)
    state = State.open(settings.state_url)
    try:
        upgrade(state)
    except sa.exc.DatabaseError as error:  # no server, a full disk, a file that is no database
        raise ServiceAwayError(
            "the state cannot be opened",
            where=state.engine.url.render_as_string(hide_password=True),
            got=f"{' '.join(str(error.orig).split())}; {disk_usage(home).free:,} bytes are free on the home's disk",
            remedy="start the database, free space on the disk, or restore the home from a backup",
        ) from error
    state.additions = settings.additions
    return Installation(settings=settings, state=state, key=key)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(
            "the folder cannot be made",
            where=str(folder),
            got=str(error.strerror or error),
            remedy="name another with --home",
        ) from error
