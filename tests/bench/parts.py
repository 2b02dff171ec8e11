"""What `bench_match.py` measures, each part in a process of its own: CPU seconds, so that neighbours count little.

    python -m tests.bench.parts parquet '{"rules": "windows", "folder": "build/bench", "events": 1000000}'

prints one JSON object. Figures of speed are events in a second of CPU, which is what one core does.
"""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from pipeline.detect.matching.compile import Compiled, compile_rules
from pipeline.detect.rulebook.rules import Rule, load_rules
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model.detections import Window
from pipeline.model.memory import keep_memory
from pipeline.model.scope import Scope
from pipeline.settings.places import config_dir
from pipeline.state.state import State
from pipeline.store.lake.store import Lake

CPU: Final = time.process_time
ALL: Final = ("rules", "rules-emerging-threats", "rules-threat-hunting")
WINDOW: Final = 200_000


def rule_paths(folder: Path, which: str) -> list[Path]:
    """`windows` is SigmaHQ's rules/windows, `all` every folder (of which Windows rules are kept)."""
    sigma = folder / "sigma"
    return [sigma / "rules" / "windows"] if which == "windows" else [sigma / name for name in ALL]


def chosen(folder: Path, which: str, count: int = 0) -> list[Rule]:
    """Windows rules; of `count` the first is one that looks for words anywhere."""
    book = load_rules(rule_paths(folder, which), cache=folder / "cache")
    rules = [rule for rule in book.rules if rule.logsource.product == "windows"]
    if count:
        word = next(rule for rule in rules if rule.title == "Mimikatz Use")
        rules = [
            word,
            *random.Random(1).sample([rule for rule in rules if rule != word], count - 1),
        ]
    return rules


def compiled_set(folder: Path, which: str, count: int = 0) -> Compiled:
    return compile_rules(chosen(folder, which, count), Taxonomy.load(config_dir() / "taxonomy"))


def windows(
    folder: Path, compiled: Compiled, upto: int, size: int, first: int = 0
) -> Iterator[tuple[int, int]]:
    """Scan and match window by window; gives (events, matches) after each."""
    state = State.at(folder / "lake" / "state.sqlite")
    lake = Lake(folder / "lake" / "lake", state)
    for after in range(first, upto, size):
        rows = matches = 0
        window = Window({"n": (after, min(after + size, upto))})
        for dataset, table in lake.scan(window, scope=Scope.everything(), columns=compiled.columns):
            rows += table.num_rows
            matches += len(compiled.match(dataset, table)[0])
        yield rows, matches
    state.close()


def load(folder: Path, rules: str, **_: Any) -> dict[str, Any]:
    """YAML to a compiled set, and the cache filled for the others."""
    begun = CPU()
    compile_rules(
        load_rules(rule_paths(folder, rules)).rules, Taxonomy.load(config_dir() / "taxonomy")
    )
    spent = CPU() - begun
    load_rules(rule_paths(folder, rules), cache=folder / "cache")
    return {"s": spent}


def cached(folder: Path, rules: str, **_: Any) -> dict[str, Any]:
    """The cache to a compiled set, in a new process."""
    begun = CPU()
    compiled = compiled_set(folder, rules)
    return {"s": CPU() - begun, "rules": len(compiled.rules)}


def parquet(folder: Path, rules: str, events: int, count: int = 0, **_: Any) -> dict[str, Any]:
    """The whole lake: read, matched, plans made on the way."""
    compiled = compiled_set(folder, rules, count)
    begun, rows, matches = CPU(), 0, 0
    for each in windows(folder, compiled, events, WINDOW):
        rows, matches = rows + each[0], matches + each[1]
    spent = CPU() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "events/s": rows / spent,
        "us": spent / rows * 1e6,
        "matches": matches,
        "rules": len(compiled.rules),
        "MiB": peak,
    }


def latency(folder: Path, rules: str, events: int, **_: Any) -> dict[str, Any]:
    """Windows of 10,000 and of 1,000 events in a warm process, the median of seven."""
    compiled = compiled_set(folder, rules)
    list(windows(folder, compiled, min(events, 60_000), 20_000))
    found = {}
    for size in (10_000, 1_000):
        times = []
        for turn in range(7):
            begun = CPU()
            list(windows(folder, compiled, 20_000 + turn * size + size, size, 20_000 + turn * size))
            times.append(CPU() - begun)
        found[f"{size} s"] = sorted(times)[3]
    return found


def ndjson(folder: Path, rules: str, events: int, **_: Any) -> dict[str, Any]:
    """`match` on a file of lines after start-up: everything from the open file to the matches in order."""
    from pipeline.cli.files import MATCHED, _Batches
    from pipeline.detect.matching.match_file import matches
    from pipeline.normalise.product import load_products

    keep_memory()
    compiled = compiled_set(folder, rules)
    product = load_products()["windows"]
    columns = frozenset[str]().union(*(compiled.columns.get(name, ()) for name in product.datasets))
    source = _Batches(folder / "events.ndjson", product, size=MATCHED, columns=columns)
    marks: list[tuple[int, float]] = []

    class Bar:
        def update(self, _count: int) -> None:
            marks.append((source.read, CPU()))

    found = sum(1 for _ in matches(compiled, source.tables(Bar())))
    warm = len(marks) // 3
    rows, spent = marks[-1][0] - marks[warm][0], marks[-1][1] - marks[warm][1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"events/s": rows / spent, "us": spent / rows * 1e6, "matches": found, "MiB": peak}


def reference(folder: Path, rules: str, **_: Any) -> dict[str, Any]:
    """The slow evaluator, rule by rule, on a few hundred of the same events."""
    compiled = compiled_set(folder, rules)
    state = State.at(folder / "lake" / "state.sqlite")
    lake = Lake(folder / "lake" / "lake", state)
    rows, spent = 0, 0.0
    for dataset, table in lake.scan(
        Window({"n": (0, 20_000)}), scope=Scope.everything(), columns=compiled.columns
    ):
        picked = table.take(list(range(0, table.num_rows, 100))).to_pylist()
        begun = CPU()
        for row in picked:
            compiled.reference(dataset, row)
        spent, rows = spent + CPU() - begun, rows + len(picked)
    state.close()
    return {"events/s": rows / spent, "events": rows}


def sqlite(folder: Path, rules: str, events: int, share: int = 12, **_: Any) -> dict[str, Any]:
    """One SQL query a rule over one table of all columns; every twelfth rule is run and the time scaled up."""
    try:
        from sigma.backends.sqlite import sqliteBackend
    except ImportError:
        return {"missing": "pip install 'pysigma-backend-sqlite<2'"}
    from sigma.collection import SigmaCollection
    from sigma.exceptions import SigmaError
    from sigma.processing.pipeline import ProcessingPipeline

    from pipeline.detect.rulebook.export import export_pipeline

    upto = min(events, 100_000)
    compiled = compiled_set(folder, rules)
    pipeline = ProcessingPipeline.from_yaml(
        export_pipeline(Taxonomy.load(config_dir() / "taxonomy"))
    )
    backend = sqliteBackend(processing_pipeline=pipeline)
    queries = []
    for rule in compiled.rules[::share]:
        try:
            queries += backend.convert(SigmaCollection.from_yaml(rule.text))
        except (SigmaError, NotImplementedError):
            continue
    asked = {name for columns in compiled.columns.values() for name in columns} | {"event.dataset"}
    names = list({name.lower(): name for name in sorted(asked)}.values())  # SQLite folds them
    base = sqlite3.connect(":memory:")
    base.create_function("REGEXP", 2, _regexp)
    base.execute(
        "CREATE TABLE logs (" + ", ".join(f'"{name}" TEXT COLLATE NOCASE' for name in names) + ")"
    )
    state = State.at(folder / "lake" / "state.sqlite")
    lake = Lake(folder / "lake" / "lake", state)
    rows = 0
    for _dataset, table in lake.scan(
        Window({"n": (0, upto)}), scope=Scope.everything(), columns=compiled.columns
    ):
        have = [name for name in names if name in table.column_names]
        quoted = ", ".join(f'"{name}"' for name in have)
        columns = [
            [None if v is None else str(v) for v in table.column(name).to_pylist()] for name in have
        ]
        base.executemany(
            f"INSERT INTO logs ({quoted}) VALUES ({', '.join('?' * len(have))})",
            zip(*columns, strict=True),
        )
        rows += table.num_rows
    state.close()
    begun, failed = CPU(), 0
    for query in queries:
        try:
            base.execute(query.replace("<TABLE_NAME>", "logs")).fetchall()
        except sqlite3.Error:
            failed += 1
    spent = (CPU() - begun) * len(compiled.rules) / max(len(queries) - failed, 1)
    return {"events/s": rows / spent, "rules run": len(queries), "failed": failed, "events": rows}


def _regexp(pattern: str, text: str | None) -> bool:
    import re

    return text is not None and re.search(pattern, text) is not None


PARTS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    each.__name__: each for each in (load, cached, parquet, latency, ndjson, reference, sqlite)
}


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    print(json.dumps(PARTS[sys.argv[1]](Path(given.pop("folder")), **given)))
