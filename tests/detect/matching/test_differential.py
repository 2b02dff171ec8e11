"""The matcher finds what the reference finds, and nothing else: on every corpus, and on events made of the
rules' own values. `make fuzz` takes all of the corpora and hundreds of rounds; here a fixed small part."""

from __future__ import annotations

import gzip
import os
import random
import tarfile
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from support.differential import disagreements, smallest
from support.provoke import provoked, single, table_of

from pipeline.detect.matching.compile import Compiled, compile_rules
from pipeline.detect.matching.reference import holds
from pipeline.detect.matching.tree import Leaf, Node, all_of, any_of, negate, rebuild
from pipeline.detect.rulebook.rules import load_rules
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model.records import RawRecord
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_products
from pipeline.settings.places import config_dir

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "1"))
CONTEXT = Context(node="n", agency="a", source="s", key=bytes(16), ingested=0)
JSON_CORPORA = {  # the files of products that none of ours parses yet, laid under the taxonomy's columns
    "aws_cloudtrail": ("aws.cloudtrail",),
    "linux_atomic": ("auditd.log", "system.syslog"),
    "linux_auoms": ("auditd.log", "system.syslog"),
    "linux_sysmon": ("sysmon_linux.log",),
    "m365_AADAuditEvents": ("o365.audit", "azure.auditlogs"),
    "m365_Microsoft365DefenderEvents": ("o365.audit",),
    "m365_OfficeActivityEvents": ("o365.audit",),
    "zeek-conn": ("zeek.rdp", "fortinet_fortigate.log"),
    "zeek-dce_rpc": ("zeek.dce_rpc",),
    "zeek-dns": ("zeek.dns", "bind.query"),
    "zeek-http": ("zeek.http", "squid.access", "nginx.access"),
    "zeek-kerberos": ("zeek.kerberos",),
    "zeek-smb_files": ("zeek.smb_files",),
    "zeek-ssl": ("zeek.x509",),
}


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy.load(config_dir() / "taxonomy")


@pytest.fixture(scope="module")
def compiled(sigma_rules: Path, taxonomy: Taxonomy) -> Compiled:
    return compile_rules(load_rules([sigma_rules]).rules, taxonomy)


def seed() -> int:
    return 7 if os.environ.get("CI") == "true" else random.randrange(1 << 30)


def agree(
    compiled: Compiled, dataset: str, table: pa.Table, note: str = "", times: int = 1
) -> None:
    found = disagreements(compiled, dataset, table, times)
    assert not found, "\n".join((note, *(each.text() for each in found)))


@pytest.mark.parametrize("file", ["windows-events.ndjson.gz"])
def test_the_windows_corpus(compiled: Compiled, corpora: Path, file: str) -> None:
    step = 1 if ROUNDS > 1 else 200
    with gzip.open(corpora / file) as lines:
        records = [RawRecord(n, "s", 0, line) for n, line in enumerate(lines, 1) if n % step == 0]
    for dataset, table in normalise(load_products()["windows"], records, CONTEXT).tables.items():
        agree(compiled, dataset, table)


def test_the_recorded_attacks(compiled: Compiled, corpora: Path, tmp_path: Path) -> None:
    from collectors.files import open_input

    with tarfile.open(corpora / "sigma-regression.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    records: list[RawRecord] = []
    for path in sorted(tmp_path.rglob("*.evtx")):
        with open_input(path) as file:
            own = [RawRecord(len(records) + n, "s", 0, one.body) for n, one in enumerate(file, 1)]
        records += own if ROUNDS > 1 else own[:2]
    for dataset, table in normalise(load_products()["windows"], records, CONTEXT).tables.items():
        agree(compiled, dataset, table)


@pytest.mark.parametrize("name", sorted(JSON_CORPORA))
def test_the_other_corpora(
    compiled: Compiled, taxonomy: Taxonomy, corpora: Path, name: str
) -> None:
    with gzip.open(corpora / f"{name}.ndjson.gz") as file:
        lines = list(file)[:: 1 if ROUNDS > 1 else 40]
    for dataset in JSON_CORPORA[name]:
        maps = [taxonomy.maps[route.map] for route in taxonomy.routes if dataset in route.datasets]
        rows = []
        for line in lines:
            row: dict[str, Any] = {"event.original": line.decode().rstrip()}
            for field, value in flat(orjson.loads(line), ""):
                for each in maps:
                    row[each.column(field) or field] = value
            rows.append(row)
        agree(compiled, dataset, table_of(rows))


def flat(node: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(node, dict):
        return [
            pair for key, value in node.items() for pair in flat(value, f"{name}.{key}".strip("."))
        ]
    if isinstance(node, list):
        return [(name, [str(each) for each in node])]
    return [(name, None if node is None else str(node))]


def test_events_made_of_the_rules_own_values(compiled: Compiled) -> None:
    made = fired = 0
    for turn in range(ROUNDS):
        number = seed() + turn
        dice = random.Random(number)
        for dataset, routed in compiled.routed.items():
            chosen = dice.choices(routed, k=min(len(routed), 25 if ROUNDS == 1 else 60))
            rows = [provoked(each, dice) for each in chosen for _ in range(2)]
            plain = table_of([single(row) for row in rows])
            made += len(rows)
            fired += len(set(compiled.match(dataset, plain)[0].tolist()))
            note = f"seed {number}, {dataset}"
            agree(compiled, dataset, plain, note)
            names = sorted({n for row in rows for n in row} - {"event.original"})
            extra = frozenset(names[:: dice.randrange(2, 9)])
            agree(compiled, dataset, table_of(rows, extra), note, times=dice.choice((1, 30)))
    assert made / 4 < fired < made  # neither do all fire, nor hardly any


def test_a_disagreement_is_told_by_the_smallest_rule_and_event() -> None:
    tree = all_of((
        any_of((Leaf("a", "contains", "mimikatz"), Leaf("b", "eq", "x"))),
        negate(any_of((Leaf("c", "eq", "y"), Leaf("d", "null")))),
        Leaf("e", "exists"),
    ))  # fmt: skip
    row = {"a": "mimikatz", "b": "x", "c": "z", "e": "1"}

    def null_never_holds(node: Node, one: pa.Table) -> bool:
        return holds(
            rebuild(node, lambda leaf: negate(all_of(())) if leaf.op == "null" else leaf),
            one.to_pylist()[0],
        )

    small, one = smallest(
        tree, pa.table({name: [value] for name, value in row.items()}), null_never_holds
    )
    assert small == Leaf("d", "null")
    assert one.num_columns == 1
