"""A file through the whole way: spooled as a node of its own, then settled, detected and ticketed.

Where a running server holds the later roles, they do the work and `ingest` waits for them; where none
does, it runs the stages itself, under the same locks. A file that the source has handed over already,
by fingerprint and bytes, is skipped. A line of a W3C log carries its header where it cannot be read without, also
when the header was handed over long before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from collectors.files import InputFile, open_input
from collectors.formats.w3c import Carried
from collectors.handed_over import handed_over
from collectors.spool import Draft, SpoolWriter, remove_finished
from collectors.spool.reader import SpoolReader
from collectors.tail.found import followed
from pipeline.model.clock import to_micros, utc_now
from pipeline.model.errors import ConflictError, FaultsError
from pipeline.model.ids import new_id
from pipeline.model.scope import OPERATOR
from pipeline.serve.installation import Installation
from pipeline.serve.locks import role_lock
from pipeline.settings.places import Additions, products_dir
from pipeline.sources.register import get_source
from pipeline.state.tables.intake import FileRange, Node

BATCH = 5_000
Report = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Ingested:
    """`records` were spooled by this call; `skipped` had been handed over before. Settled counts follow.
    `letters` of them were refused or could not be read; `first_letter` says which was the first and why."""

    node: str
    records: int
    skipped: int
    stored: int = 0
    known: int = 0
    refused: int = 0
    dropped: int = 0
    letters: int = 0
    first_letter: str = ""


def ingest(here: Installation, file: Path, source: str, *, wait: bool, report: Report) -> Ingested:
    """Spool the file's records for the source and, with `wait`, see them through to tickets."""
    product = get_source(here.state, OPERATOR, source, "source.write").product
    carried = Carried() if _is_w3c(here.state.additions, product) else None
    node = f"ingest-{new_id()}"
    with here.state.begin() as session:
        session.add(Node(id=node, kind="ingest", created=utc_now()))
    with open_input(file) as opened:
        opened.fingerprint, done = _handed_over(here, source, file, opened)
        first = 0
        records = skipped = stop = 0
        batch: list[Draft] = []
        with SpoolWriter(here.settings.spool, node) as writer:
            for one in opened:
                body = carried.record(one.body) if carried else one.body
                end = one.offset + (1 if opened.kind == "evtx" else len(one.body))
                stop = max(stop, end + (opened.kind == "lines"))
                if end <= done:  # a last line without its end, which has grown since, is read again
                    skipped += 1
                    continue
                if not batch and not records:
                    first = one.offset
                batch.append(_draft(source, opened, one.offset, body))
                if len(batch) >= BATCH:
                    writer.append(batch)
                    records += len(batch)
                    batch = []
                    report("spooled", records)
            if batch:
                writer.append(batch)
                records += len(batch)
        stop -= opened.unended
        if records:
            _hand_over(here, source, opened.fingerprint, node, first, stop)
        else:
            remove_finished(here.settings.spool, node, 0, abandoned=True)
    result = Ingested(node, records, skipped)
    if wait:
        # What an earlier call was stopped over, or did not wait for, is this file's too.
        for earlier in _nodes_of(here, source, opened.fingerprint) - {node} if skipped else ():
            with SpoolReader(here.settings.spool, earlier) as reader:
                last = max(reader.durable(), here.store.watermark().get(earlier, 0))
            _see_node(here, earlier, last, report)
        result = see_through(here, result, report)
    return result


def _is_w3c(additions: Additions, product: str) -> bool:
    """Of the home's own file of that name, else of the shipped one. One that is gone or faulty is none: its
    lines are read as they are."""
    from pipeline.normalise.spec import read_spec

    folders = [folder for folder in (additions.products, products_dir()) if folder]
    files = (folder / f"{product}.yml" for folder in folders)
    file = next((one for one in files if one.is_file()), None)
    try:
        return file is not None and bool(read_spec(file).format["body"] == "w3c")
    except FaultsError:
        return False


def _draft(source: str, opened: InputFile, offset: int, body: bytes) -> Draft:
    return Draft(source, to_micros(utc_now()), body, opened.identity(offset))


def _handed_over(here: Installation, source: str, file: Path, opened: InputFile) -> tuple[str, int]:
    """The name of this file's content, and the end of the bytes that the source has handed over of it: by an
    earlier `ingest`, or because a collector of this home follows it."""
    inputs = [one for one in here.settings.collect.files if one.source == source]
    kept = [p for one in inputs for p in here.settings.spool.glob(f"*/tail-{one.name}.checkpoint")]
    entry = followed(kept, file) if kept and opened.head and not opened.recoded else None
    own = entry.key.hex() if entry else opened.fingerprint
    with here.state.read() as session:
        name, done = handed_over(session, source, opened.head, own)
    return (own, entry.offset) if entry and entry.offset >= done else (name, done)


def _nodes_of(here: Installation, source: str, fingerprint: str) -> set[str]:
    """The nodes that took the file's bytes."""
    with here.state.read() as session:
        found = session.scalars(
            sa.select(FileRange.node).where(
                FileRange.source == source, FileRange.fingerprint == fingerprint
            )
        )
        return set(found)


def _hand_over(
    here: Installation, source: str, fingerprint: str, node: str, start: int, stop: int
) -> None:
    """After the spool's fsync. A crash before this line sends the file again: its ids are the same."""
    with here.state.begin() as session:
        session.add(
            FileRange(
                source=source,
                fingerprint=fingerprint,
                start=start,
                stop=stop,
                node=node,
                at=utc_now(),
            )
        )


@contextmanager
def _role(here: Installation, role: str) -> Iterator[bool]:
    """Whether we hold the role: False while a server does."""
    with ExitStack() as held:
        try:
            held.enter_context(role_lock(here.settings.run, role))
            ours = True
        except ConflictError:
            ours = False
        yield ours


def see_through(here: Installation, so_far: Ingested, report: Report) -> Ingested:
    """Wait until the node's records are settled, evaluated and ticketed, or do it where no server does."""
    _see_node(here, so_far.node, so_far.records, report)
    with _role(here, "tickets") as ours:
        if ours:
            ticket_all(here)
    return settled_counts(here, so_far)


def _see_node(here: Installation, node: str, last: int, report: Report) -> None:
    """Until the node's records up to `last` are settled and evaluated."""
    from pipeline.detect.running.runs import cursors_of

    while here.store.watermark().get(node, 0) < last:
        with _role(here, "normalise") as ours:
            if ours:
                settle_node(here, node)
        report("settled", here.store.watermark().get(node, 0))
        _pause(ours)
    while True:
        with here.state.read() as session:
            seen = cursors_of(session, "main").get(node, 0)
        report("evaluated", seen)
        if seen >= last:
            break
        with _role(here, "detect") as ours:
            if ours:
                detect_all(here)
        _pause(ours)


def settle_node(here: Installation, node: str) -> bool:
    """Settle all that waits in one node's spool, and let the spool go; whether there was anything."""
    from pipeline.normalise.additions import products_of
    from pipeline.normalise.geo import countries_for
    from pipeline.normalise.guard import Guard
    from pipeline.serve.settling import let_go
    from pipeline.store.intake import settle_once

    products, moved = products_of(here.state.additions), False
    guard = Guard(here.settings.run, careful=True)  # whatever is in the file, we live to tell
    with SpoolReader(here.settings.spool, node) as reader:
        while settle_once(
            reader, here.store, here.state, products, key=here.key, now=utc_now(),
            limit=here.settings.normalise.batch, guard=guard,
            countries=countries_for(here.settings.normalise.countries, here.settings.normalise.networks),
        ):  # fmt: skip
            moved = True
    let_go(here, node)
    return moved


def detect_all(here: Installation) -> int:
    """Evaluate every window that waits; the number of matches. The first failure is raised."""
    import os

    from pipeline.detect.register.rules import sync_shipped
    from pipeline.detect.running.active import ActiveRules
    from pipeline.detect.running.runs import run_once
    from pipeline.detect.running.scheduler import ensure_schedule
    from pipeline.model.errors import ServiceAwayError

    ensure_schedule(here.state, interval=here.settings.detect.interval, now=utc_now())
    sync_shipped(here.state, now=utc_now(), cache=here.settings.cache)
    evaluator = ActiveRules(here.state, here.settings.cache)("main")
    matches = 0
    while (
        result := run_once(here.state, here.store, evaluator, holder=f"cli-{os.getpid()}")
    ) is not None:
        if result.status == "failed":
            raise ServiceAwayError(
                "the detection run failed", where=f"run {result.run}", got=result.error
            )
        matches += result.applied.matches
    return matches


def ticket_all(here: Installation) -> None:
    """Take every changed finding into tickets."""
    from pipeline.serve.policy import ticket_policy
    from pipeline.tickets.grouping import tickets_once

    while tickets_once(here.state, now=utc_now(), policy=ticket_policy(here)) is not None:
        pass


def settled_counts(here: Installation, so_far: Ingested) -> Ingested:
    """With what became of the node's records, as far as they are settled."""
    from pipeline.state.tables.intake import DeadLetterRow, Settlement

    ours = DeadLetterRow.node == so_far.node
    with here.state.read() as session:
        row = session.execute(
            sa.select(
                *(
                    sa.func.sum(c)
                    for c in (
                        Settlement.stored,
                        Settlement.known,
                        Settlement.refused,
                        Settlement.dropped,
                    )
                )
            ).where(Settlement.node == so_far.node)
        ).one()
        letters = session.scalar(sa.select(sa.func.count()).where(ours)) or 0
        first = session.scalar(
            sa.select(DeadLetterRow).where(ours).order_by(DeadLetterRow.sequence).limit(1)
        )
    stored, known, refused, dropped = (int(n or 0) for n in row)
    return Ingested(
        so_far.node, so_far.records, so_far.skipped, stored, known, refused, dropped, letters,
        f"record {so_far.skipped + first.sequence}: {first.message}" if first else "",
    )  # fmt: skip


def _pause(ours: bool) -> None:
    if not ours:
        time.sleep(0.2)
