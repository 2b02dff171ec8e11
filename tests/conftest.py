"""Fixtures that every test may use, and the law on skips."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings
from support import postgres
from support.states import empty_state

from pipeline.state.state import State

pytest_plugins = ["budget"]
_ROOT = Path(__file__).resolve().parents[1]


def _shared_folder() -> Path:
    return Path(os.environ.get("THAPCANH_SHARED", _ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    folder = _shared_folder()
    if not (folder / "corpora").is_dir():
        pytest.skip(
            "needs ../shared: put the real data beside the checkout, or set THAPCANH_SHARED to it"
        )
    return folder


@pytest.fixture(scope="session")
def corpora(shared: Path) -> Path:
    return shared / "corpora"


@pytest.fixture(scope="session")
def sigma_rules(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SigmaHQ's rules, unpacked."""
    import tarfile

    folder = tmp_path_factory.mktemp("sigma")
    with tarfile.open(corpora / "sigma-rules.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL of this run, with a database `tables` that holds every table, empty."""
    if postgres.binaries() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(postgres.MISSING)
        pytest.skip(postgres.MISSING)
    cluster = postgres.temporary()
    try:
        url = cluster.start()
        _administer(url, "CREATE DATABASE tables")
        state = State.open(_of(url, "tables"))
        state.create_tables()
        state.close()
        yield url
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def elasticsearch_url() -> Iterator[str]:
    """A real node of this run; ELASTICSEARCH_URL names one that is up already."""
    from support import elasticsearch

    yield from elasticsearch.session_node()


_numbers = count(1)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """The URL of a database of this test's own, with empty tables."""
    name = f"test_{next(_numbers)}"
    _administer(postgres_url, f"CREATE DATABASE {name} TEMPLATE tables")
    yield _of(postgres_url, name)
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _kept_database(postgres_url: str) -> str:
    _administer(postgres_url, "CREATE DATABASE kept TEMPLATE tables")
    return _of(postgres_url, "kept")


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    """A state with empty tables: each test that takes it runs on both databases."""
    if request.param == "sqlite":
        opened = empty_state(tmp_path / "state.sqlite")
        yield opened
        opened.close()
        return
    url = request.getfixturevalue("_kept_database")  # one for all, emptied: to make one costs more
    opened = State.open(url)
    yield opened
    opened.close()
    _administer(url, postgres.EMPTY)


def _of(url: str, database: str) -> str:
    return sa.make_url(url).set(database=database).render_as_string(hide_password=False)


def _administer(url: str, command: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(command))
    engine.dispose()


# CI tries the same examples in every run, so that it fails for what changed; elsewhere they are new each time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")
