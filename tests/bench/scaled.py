"""Real Windows events, scaled: as many as wanted, with values that vary as they do in a city.

In: the corpus (25,865 recorded events) and a count. Out: NDJSON lines, or Parquet files of a lake. A
copy of an event differs from its original as another machine's would: its own command line, file
names, addresses, hashes and record number. Of what a rule reads, at least 65 % of command lines, 75 %
of file names and 10 % of addresses are distinct (`distinct` counts them). The same seed gives the same bytes.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import orjson

COMMANDS: Final = ("CommandLine", "ParentCommandLine", "ProcessCommandLine", "HostApplication")
FILES: Final = ("TargetFilename", "RelativeTargetName", "PipeName", "TargetObject")
ADDRESSES: Final = ("SourceIp", "DestinationIp", "IpAddress", "SourceAddress", "DestAddress")
_TAILS: Final = ("ScriptBlockText", "Payload")  # a trailing comment
_HASHES: Final = ("Hashes",)
COMMIT: Final = 20_000


def lines(corpus: Path, wanted: int, *, seed: int = 1) -> Iterator[bytes]:
    """The corpus over and over; the first round is the corpus as it is."""
    with gzip.open(corpus) as file:
        events = [line.rstrip(b"\n") for line in file]
    yield from islice(events, wanted)
    parsed: list[dict[str, Any]] = [orjson.loads(line) for line in events]
    dice = random.Random(seed)
    left = wanted - len(events)
    for copy in count(1):
        for event in parsed:
            if left <= 0:
                return
            left -= 1
            yield orjson.dumps(_varied(event, copy, dice))


def _varied(event: dict[str, Any], copy: int, dice: random.Random) -> dict[str, Any]:
    made = dict(event)
    inner = made.get("event_data")
    if isinstance(inner, dict):
        made["event_data"] = _changed(dict(inner), dice)
    _changed(made, dice)
    for name in ("RecordNumber", "record_number"):
        if name in made:
            made[name] = int(made[name]) + copy * 1_000_000
    return made


def _changed(values: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    token = f"{dice.getrandbits(40):010x}"
    for name in COMMANDS:
        value = values.get(name)
        if value.__class__ is str and value and dice.random() < 0.85:
            values[name] = f"{value} {token}"
    for name in FILES:
        value = values.get(name)
        if value.__class__ is str and value and dice.random() < 0.9:
            head, slash, tail = value.rpartition("\\")
            values[name] = f"{head}{slash}{token[:6]}{slash}{tail}"
    for name in _TAILS:
        value = values.get(name)
        if value.__class__ is str and value:
            values[name] = f"{value} # {token}"
    for name in _HASHES:
        value = values.get(name)
        if value.__class__ is str and value:
            values[name] = value[:-10] + token.upper()
    if dice.random() < 0.3:
        for name in ADDRESSES:
            value = values.get(name)
            if value.__class__ is str and value.count(".") == 3:
                values[name] = (
                    f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(256)}"
                )
    return values


def distinct(given: Iterable[bytes], names: tuple[str, ...]) -> float:
    """The share of distinct values among all values of these names."""
    total, seen = 0, set[str]()
    for line in given:
        event = orjson.loads(line)
        for values in (event, event.get("event_data") or {}):
            for name in names:
                if values.get(name).__class__ is str and values[name]:
                    total += 1
                    seen.add(values[name])
    return len(seen) / max(total, 1)


def write_lake(folder: Path, given: Iterable[bytes]) -> None:
    """The events as the lake's files, a commit each `COMMIT` records; nothing is done if they stand there."""
    from pipeline.model.clock import EPOCH, to_micros
    from pipeline.model.records import RawRecord
    from pipeline.normalise.context import Context
    from pipeline.normalise.normaliser import normalise
    from pipeline.normalise.product import load_products
    from pipeline.state.state import State
    from pipeline.store.base import Commit
    from pipeline.store.lake.store import Lake

    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "whole").exists():
        return
    product = load_products()["windows"]
    context = Context(
        node="n", agency="ward-1", source="dc", key=bytes(16), ingested=to_micros(EPOCH)
    )
    state = State.at(folder / "state.sqlite")
    state.create_tables()
    lake = Lake(folder / "lake", state)
    numbered = enumerate(given, 1)
    while batch := [RawRecord(n, "dc", 0, line) for n, line in islice(numbered, COMMIT)]:
        done = normalise(product, batch, context)
        first, last = batch[0].sequence, batch[-1].sequence
        lake.append(Commit("n", first, last, done.tables, dropped=done.dropped), now=EPOCH)
    state.close()
    (folder / "whole").touch()
