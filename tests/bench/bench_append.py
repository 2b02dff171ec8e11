"""How fast the lake takes Arrow batches: one core, 168 agencies, by product and twelve products mixed.

    python -m tests.bench.bench_append [--records 20000] [products … | mix]

In: what the normaliser made of a batch of records, as `bench_normalise` has them. Out: events a second of processor
time from the tables to committed Parquet files, the ids of what can be resent looked up. Goals of one core: FortiGate
150,000, Windows (2.4 kB) 60,000; 12 products in equal parts at least half of what they reach alone, weighted by share.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from pipeline.model import events  # noqa: E402
from pipeline.model.memory import keep_memory  # noqa: E402
from pipeline.normalise.context import Context  # noqa: E402
from pipeline.normalise.normaliser import normalise  # noqa: E402
from pipeline.store.base import Commit  # noqa: E402
from pipeline.store.columns import concat  # noqa: E402
from tests.bench.bench_normalise import (  # noqa: E402
    AGENCIES,
    KEY,
    MIX,
    NOW,
    Bench,
    bodies_of,
    installed,
    shared,
)  # fmt: skip

GOALS: Final = {"fortinet_fortigate": 150_000, "windows": 60_000}
ROUNDS: Final = 6


def commit(names: list[str], count: int) -> Commit:
    """One commit of events of these products in equal parts."""
    from pipeline.model.clock import to_micros
    from pipeline.model.records import RawRecord

    parts = [[(name, body) for body in bodies_of(name, count // len(names))] for name in names]
    drafts = [draft for row in zip(*parts, strict=True) for draft in row]
    owners = {f"a{n:03}-{name}": f"a{n:03}" for n in range(AGENCIES) for name in names}
    records: dict[str, list[RawRecord]] = {}
    for number, (name, body) in enumerate(drafts, 1):
        source = f"a{number * 61 % AGENCIES:03}-{name}"
        records.setdefault(name, []).append(
            RawRecord(number, source, to_micros(NOW) + number, body, peer="10.0.0.9")
        )
    tables: dict[str, list[object]] = {}
    context = Context("n1", "", "", KEY, to_micros(NOW), owners=owners)
    for name, some in records.items():
        some.sort(key=lambda record: owners[record.source])  # as the intake gives them
        for dataset, table in normalise(installed()[name], some, context).tables.items():
            tables.setdefault(dataset, []).append(table)
    joined = {dataset: concat(some) for dataset, some in tables.items()}  # type: ignore[arg-type]
    rows = sum(table.num_rows for table in joined.values())
    return Commit(
        "n1", 1, len(drafts), joined, dropped=len(drafts) - rows,
        resendable=frozenset(name for name in joined if name.startswith("windows.")),
    )  # fmt: skip


def later(made: Commit, turn: int) -> Commit:
    """The same events as others: receipts that follow, ids that are new."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    shift = (made.last - made.first + 1) * turn
    dice = np.random.default_rng(turn)
    tables = {}
    for dataset, table in made.tables.items():
        count = table.num_rows
        fresh = [None, pa.py_buffer(dice.bytes(16 * count))]
        ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, fresh)
        columns = dict(zip(table.column_names, table.columns, strict=True))
        columns |= {events.SEQUENCE: pc.add(columns[events.SEQUENCE], shift), events.ID: ids}
        tables[dataset] = pa.table(columns)
    return replace(made, first=made.first + shift, last=made.last + shift, tables=tables)


def run(names: list[str], count: int) -> float:
    """Events a second; printed with the files of a commit."""
    made = commit(names, count)
    rows = sum(table.num_rows for table in made.tables.values())
    best = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), names)
        for turn in range(ROUNDS):  # the best of them: neighbours only ever slow it down
            one = later(made, turn)
            began = time.process_time()
            bench.lake.append(one, now=NOW)
            best = min(best, time.process_time() - began)
        size = bench.size() / (rows * ROUNDS)
    label = names[0] if len(names) == 1 else f"{len(names)} products"
    goal = f"   goal {GOALS[label]:,}" if label in GOALS else ""
    print(
        f"{label:22} {rows / best:9,.0f} events/s appended   {len(made.tables):3} files   {size:5,.0f} B stored"
        f"   {1e6 * best / rows:5.1f} µs an event{goal}",
        flush=True,
    )
    return rows / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=[])
    parser.add_argument("--records", type=int, default=20_000)
    given = parser.parse_args()
    keep_memory()  # as the role does
    import pyarrow as pa

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    if not shared().is_dir():
        print("Windows events need ../shared")
    for name in given.what or [*GOALS, "mix"]:
        if name in {"windows", "mix"} and not shared().is_dir():
            continue
        if name != "mix":
            run([name], given.records)
            continue
        rates = [run([product], given.records) for product in MIX]
        weighted = len(rates) / sum(1 / rate for rate in rates)
        share = run(list(MIX), given.records) / weighted
        print(f"{'':22} {share:9.0%} of the weighted rate alone ({weighted:,.0f}/s)   goal 50%")


if __name__ == "__main__":
    main()
