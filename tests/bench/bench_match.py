"""How fast the matcher is, as one table: `make bench`, or with other sizes

    python tests/bench/bench_match.py --events 200000 --folder build/bench

Needs ../shared (the corpora). The first run scales the corpus and writes the lake (about a minute for a
million events); later ones find both in the folder. Every figure comes of a process of its own; speeds are
events in a second of CPU on one core, ratios are of this very run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
GOALS: Final = {
    "rules/windows from Parquet": 80_000, "all Windows rules from Parquet": 70_000, "all Windows rules from NDJSON": 35_000,
}  # fmt: skip


def main() -> None:
    reader = argparse.ArgumentParser(description="Speed of the matcher")
    reader.add_argument("--events", type=int, default=1_000_000)
    reader.add_argument("--folder", type=Path, default=ROOT / "build" / "bench")
    given = reader.parse_args()
    folder = given.folder / str(given.events)
    prepare(folder, given.events)
    same = {"folder": str(folder), "events": given.events}
    rows: list[tuple[str, str, str]] = []

    def speed(name: str, part: str, **more: Any) -> dict[str, Any]:
        found = run(part, **same, **more)
        if "missing" in found:
            rows.append((name, "-", found["missing"]))
            return found
        goal = f"goal {GOALS[name]:,}" if name in GOALS else ""
        memory = f"{found['MiB']:,.0f} MiB" if "MiB" in found else ""
        rows.append(
            (name, f"{found['events/s']:,.0f} events/s", "  ".join(filter(None, (goal, memory))))
        )
        return found

    rows.append(("load, cold", f"{run('load', **same, rules='all')['s']:.2f} s", "goal 4 s"))
    rows.append(
        ("load, from the cache", f"{run('cached', **same, rules='all')['s']:.2f} s", "goal 0.3 s")
    )
    speed("rules/windows from Parquet", "parquet", rules="windows")
    every = speed("all Windows rules from Parquet", "parquet", rules="all")
    if "MiB" in every:
        rows.append(
            ("peak memory, all Windows rules", f"{every['MiB']:,.0f} MiB", "goal 1,536 MiB")
        )
    hundred = speed("100 rules from Parquet", "parquet", rules="all", count=100)
    rows.append(
        (
            f"cost from 100 to {every['rules']:,} rules",
            f"x {every['us'] / hundred['us']:.1f}",
            "goal 5",
        )
    )
    waits = run("latency", **same, rules="all")
    rows.append(("a window of 10,000 events", f"{waits['10000 s']:.3f} s", "goal 0.4 s"))
    rows.append(("a window of 1,000 events", f"{waits['1000 s']:.3f} s", "goal 0.1 s"))
    speed("all Windows rules from NDJSON", "ndjson", rules="all")
    slow = speed("the reference, all Windows rules", "reference", rules="all")
    rows.append(
        ("the matcher to the reference", f"x {every['events/s'] / slow['events/s']:,.0f}", "")
    )
    query = speed("SQLite, a query a rule", "sqlite", rules="all")
    if "events/s" in query:
        rows.append(
            ("the matcher to SQLite", f"x {every['events/s'] / query['events/s']:,.0f}", "goal 40")
        )
    rows.append(("two workers to one (wall clock)", f"x {workers(same):.2f}", "goal 1.7"))
    wide = max(len(name) for name, _, _ in rows)
    for name, figure, note in rows:
        print(f"{name:<{wide}}  {figure:>18}  {note}")


def prepare(folder: Path, events: int) -> None:
    """Rules unpacked, lines scaled, lake written; what stands there already is kept."""
    sys.path[:0] = [str(ROOT), str(HERE)]
    from scaled import lines, write_lake

    shared = Path(os.environ.get("THAPCANH_SHARED", ROOT.parent / "shared")) / "corpora"
    if not shared.is_dir():
        sys.exit(
            "needs ../shared: put the real data beside the checkout, or set THAPCANH_SHARED to it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "sigma").exists():
        with tarfile.open(shared / "sigma-rules.tar.xz") as archive:
            archive.extractall(folder / "sigma", filter="data")
    corpus, text = shared / "windows-events.ndjson.gz", folder / "events.ndjson"
    if not text.exists():
        draft = folder / "events.part"
        with draft.open("wb") as file:
            file.writelines(line + b"\n" for line in lines(corpus, min(events, 200_000)))
        draft.replace(text)
    write_lake(folder / "lake", lines(corpus, events))


def run(part: str, **given: Any) -> dict[str, Any]:
    """One part in a process of its own."""
    done = start(part, given).communicate()[0]
    found: dict[str, Any] = json.loads(done)
    print(f"  {part} {given.get('rules', '')} {given.get('count', '')}: {found}", file=sys.stderr)
    return found


def start(part: str, given: dict[str, Any]) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "parts.py"), part, json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


def workers(same: dict[str, Any]) -> float:
    """How much more two processes do together than one alone, of the same work each."""
    begun = time.monotonic()
    start("parquet", {**same, "rules": "all"}).communicate()
    one = time.monotonic() - begun
    begun = time.monotonic()
    for process in [start("parquet", {**same, "rules": "all"}) for _ in range(2)]:
        process.communicate()
    return 2 * one / (time.monotonic() - begun)


if __name__ == "__main__":
    main()
