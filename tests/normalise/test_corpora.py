"""Recorded logs of other projects: every record is read, and its category is the one that it should have."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from pipeline.model import events
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_product
from pipeline.settings.places import products_dir

CONTEXT = Context("n", "a", "s", b"k" * 32, 1_795_485_600_000_000)


def lines(corpora: Path, name: str) -> list[str]:
    with gzip.open(corpora / f"{name}.ndjson.gz", "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def rows(product: str, bodies: Iterable[str], *, odd: int = 0) -> list[dict[str, Any]]:
    """`odd` rows carry a remark, the others none; not one record fails."""
    records = [RawRecord(n, "s", CONTEXT.ingested, body.encode()) for n, body in enumerate(bodies)]
    made = normalise(load_product(products_dir() / f"{product}.yml"), records, CONTEXT)
    found = [row for table in made.tables.values() for row in table.to_pylist()]
    assert (len(found) + made.dropped, made.dead) == (len(records), ())
    assert len([row[events.ERROR] for row in found if row[events.ERROR]]) == odd
    return found


def categories(found: Iterable[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """How many rows of each dataset have which categories."""
    return Counter(
        (row["event.dataset"], ",".join(row.get("event.category") or ())) for row in found
    )


def test_auditd_lines_alone_and_together(corpora: Path) -> None:
    alone = [json.loads(line)["raw"] for line in lines(corpora, "linux_atomic")]
    assert categories(rows("auditd", alone)) == {
        ("auditd.log", "process"): 12,
        ("auditd.log", "file"): 6,
    }
    serial = re.compile(r"audit\(([^)]*)")
    together = ["\n".join(part) for _, part in groupby(alone, lambda line: serial.findall(line)[0])]
    found = rows("auditd", together)
    assert [
        (row["process.executable"], row["process.command_line"], row["event.type"]) for row in found
    ] == [
        ("/bin/dd", "dd if=/dev/zero bs=1 count=1", ["start"]),
        ("/usr/sbin/arp", "arp -a", ["start"]),
        ("/bin/grep", "grep -v ^?", ["start"]),
    ]


def test_auditd_by_microsofts_collector(corpora: Path) -> None:
    bodies = [json.loads(line)["SyslogMessage"] for line in lines(corpora, "linux_auoms")]
    found = rows("auditd", bodies)
    assert categories(found) == {("auditd.log", "process"): 50}
    assert {row["host.name"] for row in found} == {"UBUNTU5"}


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("conn", {("zeek.connection", "network"): 8066}),
        ("dce_rpc", {("zeek.dce_rpc", "network"): 1533}),
        ("dns", {("zeek.dns", "network"): 8129}),
        ("http", {("zeek.http", "network,web"): 209}),
        ("kerberos", {("zeek.kerberos", "network,authentication"): 394}),
        ("notice", {("zeek.notice", "intrusion_detection"): 9}),
        ("smb_files", {("zeek.smb_files", "network,file"): 63}),
        ("ssl", {("zeek.ssl", "network"): 3203}),
    ],
)
def test_zeek_logs(corpora: Path, log: str, expected: dict[tuple[str, str], int]) -> None:
    found = rows("zeek", lines(corpora, f"zeek-{log}"))
    assert categories(found) == expected
    assert all(
        row["source.ip"] and row["destination.ip"] and row["zeek.session_id"] for row in found
    )


def test_sysmon_for_linux(corpora: Path) -> None:
    bodies = [json.loads(line)["SyslogMessage"] for line in lines(corpora, "linux_sysmon")]
    # some hold `>&`, which is no XML, and some were cut by the length of a syslog line
    found = Counter(
        (row["event.code"], row["event.category"][0], *row["event.type"])
        for row in rows("sysmon_linux", bodies, odd=17)
    )
    assert found == {
        ("1", "process", "start"): 31, ("3", "network", "connection", "start"): 6, ("5", "process", "end"): 50,
        ("11", "file", "creation"): 4, ("23", "file", "deletion"): 2,
    }  # fmt: skip


def test_cloudtrail(corpora: Path) -> None:
    found = rows("aws_cloudtrail", lines(corpora, "aws_cloudtrail"))
    assert {row["event.dataset"] for row in found} == {"aws.cloudtrail"}
    assert all(
        row["event.category"] and row["event.action"] and row["source.address"] for row in found
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AADAuditEvents", {("azure.auditlogs", "iam"): 4}),
        ("Microsoft365DefenderEvents", {("m365_defender.event", "host"): 9}),
        ("OfficeActivityEvents", {("o365.audit", "email"): 1}),
    ],
)
def test_microsoft_365(corpora: Path, name: str, expected: dict[tuple[str, str], int]) -> None:
    assert categories(rows("microsoft_365", lines(corpora, f"m365_{name}"))) == expected
