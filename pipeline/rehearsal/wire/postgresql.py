"""PostgreSQL: the server's text log with Debian's `log_line_prefix = '%m [%p] %q%u@%d '`.

    2026-11-24 09:13:05.123 +07 [2041] ngansach_app@ngansach LOG:  statement: SELECT 1
    2026-11-24 09:13:05.123 +07 [2042] [unknown]@[unknown] LOG:  connection received: host=10.12.0.40 port=51022

`log_statement = 'mod'` and `log_connections = on`; read from the file by a shipper, one line a record.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.wire.text import local, millis


def _line(at: datetime, pid: int, who: str, text: str) -> bytes:
    return f"{local(at):%Y-%m-%d %H:%M:%S}.{millis(at)} +07 [{pid}] {who}{text}".encode()


def statement(at: datetime, pid: int, user: str, database: str, sql: str) -> bytes:
    return _line(at, pid, f"{user}@{database} ", f"LOG:  statement: {sql}")


def authorized(at: datetime, pid: int, user: str, database: str, application: str = "") -> bytes:
    name = f" application_name={application}" if application else ""
    return _line(
        at, pid, f"{user}@{database} ",
        f"LOG:  connection authorized: user={user} database={database}{name}",
    )  # fmt: skip


def password_failed(at: datetime, pid: int, user: str, database: str) -> bytes:
    return _line(
        at, pid, f"{user}@{database} ", f'FATAL:  password authentication failed for user "{user}"'
    )


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Applications connect and write, the server makes its checkpoints."""
    base = "ngansach" if "ngan-sach" in source.agency else "khachhang"
    for at in times:
        pid, kind = rng.randrange(1000, 60_000), rng.random()
        if kind < 0.25:
            peer = f"host={cast.inside(source, 0, 40)} port={rng.randrange(32768, 61000)}"
            yield at, _line(at, pid, "[unknown]@[unknown] ", f"LOG:  connection received: {peer}")
        elif kind < 0.5:
            yield at, authorized(at, pid, f"{base}_app", base)
        elif kind < 0.9:
            sql = rng.choice((
                f"UPDATE ho_so SET trang_thai = 'da duyet' WHERE ma = {rng.randrange(99_999)}",
                f"INSERT INTO nhat_ky (ma, luc) VALUES ({rng.randrange(99_999)}, now())",
                f"DELETE FROM phien WHERE ma = {rng.randrange(99_999)}",
            ))  # fmt: skip
            yield at, statement(at, pid, f"{base}_app", base, sql)
        else:
            yield at, _line(
                at, 702, "",
                f"LOG:  checkpoint complete: wrote {rng.randrange(20, 900)} buffers (0.5%); 0 WAL file(s) "
                f"added, 0 removed, 0 recycled; write={rng.random() * 90:.3f} s, sync=0.004 s, total=90.1 s",
            )  # fmt: skip
