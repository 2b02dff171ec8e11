"""The proof of scale on one machine: three real nodes, PostgreSQL, two collector nodes, two detect workers.

    make cluster        # or: python -m tests.elasticsearch.cluster [--records 20000]

Lines come into two spools, each normalised and stored by a process of its own, while two workers detect over both. In
the middle a node that holds a primary is killed by SIGKILL, and comes back later. Then: every receipt is settled
once, the cluster holds every event once, and detection counted each of them once. Prints what it saw; ends with 1
when anything was lost or doubled. A partial answer taken for a whole one would be a loss: it moves the cursor on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sqlalchemy as sa
from support import postgres
from support.detecting import PlainEvaluator
from support.elasticsearch import node_module

from collectors.spool import Draft, SpoolReader, SpoolWriter
from pipeline.detect.running.findings import Hit
from pipeline.detect.running.runs import Limits, run_once
from pipeline.detect.running.scheduler import lag
from pipeline.model import events
from pipeline.model.clock import to_micros, utc_now
from pipeline.model.detections import Match, Window
from pipeline.model.errors import ConflictError, ServiceAwayError
from pipeline.model.scope import Scope
from pipeline.normalise.product import load_products
from pipeline.settings.values import ElasticsearchSettings
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.intake import Settlement
from pipeline.state.tables.register import Agency, Source
from pipeline.store.elasticsearch.store import ElasticsearchStore
from pipeline.store.intake import settle_once

COLLECTORS = ("n1", "n2")
WORKERS = ("w1", "w2")
BATCH = 500
NODE = node_module()


class EveryTenth(PlainEvaluator):
    """Hits each line that says `mimikatz`; the entity is the collector's node."""

    def __init__(self) -> None:
        super().__init__(quiet=86_400_000_000)
        self.columns = {"generic.log": frozenset({events.ORIGINAL})}

    def evaluate(self, dataset: str, table: Any) -> Sequence[Hit]:
        return [
            Hit(
                Match(
                    "r", self.facts["r"].revision, row[events.ID].hex(), row[events.AGENCY], row[events.NODE],
                    to_micros(row[events.TIME]), row[events.NODE], row[events.SEQUENCE],
                ),
                events.NODE, {}, None,
            )
            for row in table.to_pylist()
            if "mimikatz" in row[events.ORIGINAL]
        ]  # fmt: skip


def opened(given: dict[str, Any]) -> tuple[State, ElasticsearchStore]:
    state = State.open(given["state"])
    hosts = ElasticsearchSettings(hosts=tuple(given["hosts"]), timeout=10.0, patience=2.0)
    return state, ElasticsearchStore(hosts, state)


def collect(node: str, given: dict[str, Any]) -> None:
    """Spool the lines, settle them, until all are settled."""
    state, store = opened(given)
    folder = Path(given["folder"]) / "spool"
    wanted, products, troubles = given["records"], load_products(), 0
    with SpoolWriter(folder, node) as writer:
        sent = 0
        while store.watermark().get(node, 0) < wanted:
            if sent < wanted:
                count = min(BATCH, wanted - sent)
                lines = (
                    f"{node} line {n} {'mimikatz' if n % 10 == 0 else 'nothing'}".encode()
                    for n in range(sent, sent + count)
                )
                writer.append([Draft("s", to_micros(utc_now()), line) for line in lines])
                sent += count
            try:
                reader = SpoolReader(folder, node)
                settle_once(
                    reader, store, state, products, key=b"k" * 32, now=utc_now(), limit=BATCH
                )
            except ServiceAwayError:
                troubles += 1
                time.sleep(0.2)
    say(node, f"settled {store.watermark()[node]:,}; put off {troubles} times")


def detect(holder: str, given: dict[str, Any]) -> None:
    """Runs until everything is evaluated."""
    state, store = opened(given)
    runs = troubles = 0
    total = given["records"] * len(COLLECTORS)
    while sum(store.watermark().values()) < total or lag(state, store):
        try:
            found = run_once(
                state, store, EveryTenth(), holder=holder, limits=Limits(window=2_000, lease=5.0)
            )
            runs += found is not None
            troubles += found is not None and found.status != "done"
            time.sleep(0.1)
        except (ServiceAwayError, ConflictError):
            troubles += 1
            time.sleep(0.2)
    say(holder, f"{runs} runs, {troubles} of them failed and were done again")


def say(who: str, what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {who:<10} {what}", flush=True)


def main() -> int:
    reader = argparse.ArgumentParser()
    reader.add_argument("--records", type=int, default=20_000, help="lines of each collector")
    reader.add_argument("--role", nargs=2)
    reader.add_argument("--given")
    options = reader.parse_args()
    if options.role:
        role, name = options.role
        (collect if role == "collect" else detect)(name, json.loads(options.given))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="thapcanh-cluster-"))
    database = postgres.temporary()
    nodes: list[Any] = []
    try:
        url = database.start()
        nodes += three(folder)
        return proof(folder, url, nodes, options.records)
    finally:
        for node in nodes:
            node.kill()
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)


def settings_of(ports: Sequence[int], number: int) -> dict[str, str]:
    return {
        "node.name": f"es-{number}", "cluster.name": "proof", "transport.port": str(ports[number]),
        "discovery.seed_hosts": ",".join(f"127.0.0.1:{port}" for port in ports),
        "cluster.initial_master_nodes": "es-0,es-1,es-2",
    }  # fmt: skip


def three(folder: Path) -> list[Any]:
    """A cluster of three, 512 MB of heap each."""
    ports = [NODE._free_port() for _ in range(3)]
    (folder / "ports.json").write_text(json.dumps(ports))

    def start(number: int) -> Any:
        return NODE.start(folder / f"es-{number}", heap="512m", settings=settings_of(ports, number))

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(start, range(3)))
    say("cluster", "three nodes are up")
    return found


def proof(folder: Path, url: str, nodes: list[Any], records: int) -> int:
    state = State.open(url)
    state.create_tables()
    now = utc_now()
    with state.begin() as session:
        session.add(Agency(id="p1", name_vi="P1", name_en="P1", valid_from=now))
        session.flush()
        session.add(Source(id="s", agency="p1", product="generic", name="s", created=now))
    hosts = [node.url for node in nodes]
    given = {"state": url, "hosts": hosts, "folder": str(folder), "records": records}
    words = [
        sys.executable,
        "-m",
        "tests.elasticsearch.cluster",
        "--given",
        json.dumps(given),
        "--role",
    ]
    begun = time.monotonic()
    workers = [subprocess.Popen([*words, "collect", name]) for name in COLLECTORS]
    workers += [subprocess.Popen([*words, "detect", name]) for name in WORKERS]
    _, store = opened(given)
    total = records * len(COLLECTORS)
    try:
        _wait(store, total // 4)
        victim = primary(store)
        nodes[victim].kill()
        say(
            "cluster",
            f"es-{victim}, which holds a primary, is killed at {sum(store.watermark().values()):,} of {total:,}",
        )
        _wait(store, total * 5 // 8)
        port = int(hosts[victim].rpartition(":")[2])
        ports = json.loads((folder / "ports.json").read_text())
        nodes[victim] = NODE.start(
            nodes[victim].home, heap="512m", port=port, settings=settings_of(ports, victim)
        )
        say("cluster", f"es-{victim} is back at {sum(store.watermark().values()):,}")
        for worker in workers:
            worker.wait(900)
    finally:
        for worker in workers:
            worker.kill()
    say("cluster", f"{total:,} records in {time.monotonic() - begun:.0f} s")
    return judged(state, store, records)


def _wait(store: ElasticsearchStore, upto: int) -> None:
    while sum(store.watermark().values()) < upto:
        time.sleep(0.1)


def primary(store: ElasticsearchStore) -> int:
    """The number of a node that holds a primary of ours."""
    table = store.client.cluster.state(metric=["routing_table", "nodes"]).body
    for index in table["routing_table"]["indices"].values():
        for copies in index["shards"].values():
            for copy in copies:
                if copy["primary"] and copy["node"]:
                    return int(table["nodes"][copy["node"]]["name"].rpartition("-")[2])
    raise RuntimeError("no primary")


def judged(state: State, store: ElasticsearchStore, records: int) -> int:
    """Every receipt settled once, every event there once, every one evaluated once."""
    store.client.cluster.health(wait_for_status="yellow", timeout="60s")
    with state.read() as session:
        settled = {
            node: (int(stored), int(other))
            for node, stored, other in session.execute(
                sa.select(
                    Settlement.node, sa.func.sum(Settlement.stored),
                    sa.func.sum(Settlement.known + Settlement.refused + Settlement.dropped),
                ).group_by(Settlement.node)
            )
        }  # fmt: skip
        counted = int(
            session.scalar(
                sa.select(sa.func.sum(FindingRow.count)).where(FindingRow.merged_into == "")
            )
            or 0
        )
    window = Window(dict.fromkeys(COLLECTORS, (0, records)))
    seen: Counter[tuple[str, int]] = Counter()
    for _, table in store.scan(
        window, scope=Scope.everything(), columns={"generic.log": frozenset()}
    ):
        seen.update(
            zip(
                table.column(events.NODE).to_pylist(),
                table.column(events.SEQUENCE).to_pylist(),
                strict=True,
            )
        )
    lost = records * len(COLLECTORS) - len(seen)
    doubled = sum(seen.values()) - len(seen)
    say(
        "judge",
        f"settled (stored, other): {settled}; scanned {sum(seen.values()):,}, lost {lost}, doubled {doubled}",
    )
    say("judge", f"matches in findings {counted:,} of {records // 10 * len(COLLECTORS):,}")
    fine = (
        settled == dict.fromkeys(COLLECTORS, (records, 0))
        and (lost, doubled) == (0, 0)
        and counted == records // 10 * len(COLLECTORS)
    )
    say("judge", "nothing is lost or doubled" if fine else "WRONG")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
