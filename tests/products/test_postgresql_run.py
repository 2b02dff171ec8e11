"""A real PostgreSQL: a wrong password, a session, a statement, one that fails and one that is not allowed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.needs import missing
from support.postgres import Cluster, binaries, temporary
from support.real_run import events, lines, seen


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    if binaries() is None:
        missing("PostgreSQL", "apt-get install postgresql")
    made = temporary()
    try:
        yield made
    finally:
        made.stop()


def test_what_postgresql_writes_of_sessions_is_read(cluster: Cluster) -> None:
    import psycopg

    url = cluster.start().replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url, autocommit=True) as owner:
        for name, value in (("log_line_prefix", "%m [%p] %q%u@%d "), ("log_connections", "on"), ("log_disconnections", "on"),
                            ("log_statement", "all"), ("log_timezone", "UTC")):  # fmt: skip
            owner.execute(f"alter system set {name} = '{value}'")  # type: ignore[arg-type]
        owner.execute("select pg_reload_conf()")
        owner.execute("create role an login password 'right'")
    at = url.split("@", 1)[1]
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(f"postgresql://an:wrong@{at}")
    with psycopg.connect(f"postgresql://an:right@{at}", autocommit=True) as session:
        for statement in ("select 1 as mot", "select 1 from khong_co", "select * from pg_authid"):
            with contextlib.suppress(psycopg.Error):
                session.execute(statement)  # type: ignore[arg-type]
    log = lines(
        Path(cluster.folder) / "log",
        "authentication failed",
        "permission denied",
        "disconnection: session time",
    )
    found = events("postgresql", [line for line in log if not line.startswith("\t")])
    names = ("event.action", "user.name", "db.name", "event.outcome", "db.statement")
    assert seen(found, *names) >= {
        ("authentication-failed", "an", "postgres", "failure", None),
        ("connection-authenticated", "an", "postgres", "success", None),
        ("statement", "an", "postgres", None, "select 1 as mot"),
        ("failed-statement", "an", "postgres", "failure", "select 1 from khong_co"),
        ("permission-denied", "an", "postgres", "failure", None),
        ("disconnection", "an", "postgres", None, None),
    }
    assert ("127.0.0.1", "connection-received") in seen(found, "source.ip", "event.action")
