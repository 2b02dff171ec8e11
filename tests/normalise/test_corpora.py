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
        (
            "Microsoft365DefenderEvents",
            {("m365_defender.event", "iam"): 8, ("m365_defender.event", "email"): 1},
        ),
        ("OfficeActivityEvents", {("o365.audit", "email"): 1}),
    ],
)
def test_microsoft_365(corpora: Path, name: str, expected: dict[tuple[str, str], int]) -> None:
    assert categories(rows("microsoft_365", lines(corpora, f"m365_{name}"))) == expected


LABELS = Path(__file__).parent / "labels" / "categories.tsv"


def labels(product: str) -> dict[str, set[str]]:
    rows = [
        line.split("\t")
        for line in LABELS.read_text(encoding="utf-8").splitlines()
        if line[0] != "#"
    ]
    return {
        kind: set(categories.split(",")) for name, kind, categories, _ in rows if name == product
    }


def _audit(corpora: Path) -> list[str]:
    alone = [json.loads(line)["raw"] for line in lines(corpora, "linux_atomic")]
    return alone + [json.loads(line)["SyslogMessage"] for line in lines(corpora, "linux_auoms")]


def _cloud(event: dict[str, Any]) -> str:
    name = str(event["eventName"])
    return next((f"{verb}*" for verb in ("Describe", "Get", "List") if name.startswith(verb)), name)


def _microsoft(event: dict[str, Any]) -> str:
    return str(
        event.get("ActionType") or event.get("OperationName") or event.get("Operation")
    ).strip()


@pytest.mark.parametrize(
    "product", ["zeek", "auditd", "sysmon_linux", "aws_cloudtrail", "microsoft_365"]
)
def test_of_a_hundred_records_ninety_five_have_the_category_of_their_label(
    corpora: Path, product: str
) -> None:
    """By a table of ours, made from ECS's definitions and from no mapping."""
    told = labels(product)
    if product == "zeek":
        asked = [(log, rows(product, lines(corpora, f"zeek-{log}"))) for log in told]
        found = [(log, row) for log, made in asked for row in made]
    elif product == "auditd":
        kind = re.compile(r"type=(\S+)")
        found = [
            (kind.findall(row[events.ORIGINAL])[0], row) for row in rows(product, _audit(corpora))
        ]
    elif product == "sysmon_linux":
        bodies = [json.loads(line)["SyslogMessage"] for line in lines(corpora, "linux_sysmon")]
        number = re.compile(r"<EventID>(\d+)")
        found = [
            (number.findall(row[events.ORIGINAL])[0], row) for row in rows(product, bodies, odd=17)
        ]
    elif product == "aws_cloudtrail":
        made = rows(product, lines(corpora, "aws_cloudtrail"))
        found = [(_cloud(json.loads(row[events.ORIGINAL])), row) for row in made]
    else:
        names = ("AADAuditEvents", "Microsoft365DefenderEvents", "OfficeActivityEvents")
        bodies = [line for name in names for line in lines(corpora, f"m365_{name}")]
        found = [
            (_microsoft(json.loads(row[events.ORIGINAL])), row) for row in rows(product, bodies)
        ]
    assert {kind for kind, _ in found} == set(told)
    wrong = Counter(kind for kind, row in found if set(row["event.category"]) != told[kind])
    assert sum(wrong.values()) <= 0.05 * len(found), wrong
