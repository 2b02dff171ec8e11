"""Dead letters once more: each record into the spool as a new receipt, and through the whole way.

In: open letters by cause, source, agency, or a single one. Out: a `Replayed`. The receipt is a new one, of
a node of its own, under the old `event.created`, so that detection sees the event; where an event carries
the record, the new one replaces it, and the store lets no event have two successors (`store.superseding`).
A record that was refused has no event: it comes again under its first receipt, so that its id is what it
would have been. A crash at any place leaves letters open that are replayed already; replaying them again
stores nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from collectors.spool import Draft, SpoolWriter
from pipeline.access import log
from pipeline.access.permissions import scope_for
from pipeline.model.clock import to_micros, utc_now
from pipeline.model.errors import UsageError
from pipeline.model.ids import new_id, receipt_identity
from pipeline.model.scope import Actor
from pipeline.normalise.additions import products_of
from pipeline.normalise.layout import as_laid_out
from pipeline.normalise.product import Product
from pipeline.serve.ingest import Ingested, Report, see_through
from pipeline.serve.installation import Installation
from pipeline.sources.dead_letters import Filters, LetterView, letters_with_events
from pipeline.state.tables.intake import DeadLetterRow, Node
from pipeline.state.tables.register import Source

BATCH: Final = 500
TOLD: Final = 100


@dataclass(frozen=True, slots=True)
class Replayed:
    """`records` were spooled; `unchanged` would have come out as before; `impossible` could not be, `why`
    says it of the first hundred. `failed` came out unreadable again: each has a new letter."""

    node: str
    records: int
    unchanged: int
    impossible: int = 0
    why: tuple[str, ...] = ()
    stored: int = 0
    known: int = 0
    refused: int = 0
    dropped: int = 0
    failed: int = 0


@dataclass
class _Chosen:
    drafts: list[Draft] = field(default_factory=list)
    bodies: list[int] = field(default_factory=list)  # letters that no event stands for
    events: set[str] = field(default_factory=set)
    records: int = 0
    unchanged: int = 0
    impossible: int = 0
    why: list[str] = field(default_factory=list)


def replay(
    here: Installation,
    actor: Actor,
    filters: Filters,
    *,
    letter: int | None = None,
    force: bool = False,
    wait: bool = True,
    report: Report,
) -> Replayed:
    """Spool the letters' records and, with `wait`, see them through. `force` replays those too whose
    product reads as it did: for a source whose encoding or zone was mended."""
    scope_for(actor, "dead.replay")
    products = products_of(here.state.additions)
    with here.state.read() as session:
        sources = {row.id: row for row in session.scalars(sa.select(Source))}
    node = f"replay-{new_id()}"
    chosen = _Chosen()
    batches = letters_with_events(
        here.state, here.store, actor, filters, letter=letter, batch=BATCH
    )
    with ExitStack() as opened:
        writer: SpoolWriter | None = None
        for views in batches:
            _choose(chosen, views, sources, products, force=force)
            if not chosen.drafts:
                report("unchanged", chosen.unchanged)
                continue
            writer = writer or opened.enter_context(_writer(here, node))
            writer.append(chosen.drafts)
            _note(here, actor, node, chosen)
            report("spooled", chosen.records)
    done = Ingested(node if chosen.records else "", chosen.records, 0)
    if wait and chosen.records:
        done = see_through(here, done, report)
    return Replayed(
        done.node, chosen.records, chosen.unchanged, chosen.impossible, tuple(chosen.why),
        done.stored, done.known, done.refused, done.dropped, letters_again(here, node),
    )  # fmt: skip


def _writer(here: Installation, node: str) -> SpoolWriter:
    with here.state.begin() as session:
        session.add(Node(id=node, kind="replay", created=utc_now()))
    return SpoolWriter(here.settings.spool, node)


def _choose(
    chosen: _Chosen,
    views: Sequence[LetterView],
    sources: Mapping[str, Source],
    products: Mapping[str, Product],
    *,
    force: bool,
) -> None:
    chosen.drafts, chosen.bodies = [], []
    for view in views:
        if view.line.event and view.line.event in chosen.events:
            continue  # another letter of the same event
        try:
            draft = _draft(view, sources, products, force=force)
        except UsageError as error:
            chosen.impossible += 1
            if len(chosen.why) < TOLD:
                chosen.why.append(f"{view.line.id}: {error}")
            continue
        if draft is None:
            chosen.unchanged += 1
            continue
        chosen.drafts.append(draft)
        chosen.records += 1
        if view.line.event:
            chosen.events.add(view.line.event)
        else:
            chosen.bodies.append(view.line.id)


def _draft(
    view: LetterView,
    sources: Mapping[str, Source],
    products: Mapping[str, Product],
    *,
    force: bool,
) -> Draft | None:
    """The record as it came; None where nothing has changed since."""
    line = view.line
    source = sources.get(line.source)
    if source is None:
        raise UsageError("the source is not in the register", got=line.source or "none")
    product = products.get(source.product)
    if product is None:
        raise UsageError("there is no such product", got=source.product)
    product = as_laid_out(product, str(source.options.get("layout", "")))
    received = to_micros(line.received)
    if not line.event:
        if view.body is None:
            raise UsageError("the disk lost its bytes", got=line.cause)
        # Its first receipt, so that its id is what it would have been.
        identity = receipt_identity(view.node, view.sequence)
        return Draft(source.id, received, view.body, identity)
    if view.document is None:
        raise UsageError("its event is no longer in the store", got=line.event)
    ours = view.document.get("thapcanh", {})
    if ours.get("mapping") == product.revision and not force:
        return None
    kept = ours.get("original_bytes")  # documents carry bytes as latin-1
    encoding = source.encoding or "utf-8"
    try:
        body = kept.encode("latin-1") if kept else view.text.encode(encoding)
    except (UnicodeEncodeError, LookupError) as error:
        raise UsageError(f"its text is not {encoding}", got=line.event) from error
    return Draft(source.id, received, body, peer=str(ours.get("peer", "")), replaces=line.event)


def _note(here: Installation, actor: Actor, node: str, chosen: _Chosen) -> None:
    """After the fsync. Letters of events are marked with the event's successor, by the store."""
    with here.state.begin() as session:
        if chosen.bodies:
            session.execute(
                sa.update(DeadLetterRow)
                .where(DeadLetterRow.id.in_(chosen.bodies), DeadLetterRow.state == "open")
                .values(state="replayed")
            )
        told = f"{len(chosen.drafts)} letters as {node}"
        log.record(session, actor.name, "letters_replayed", told, now=utc_now())


def letters_again(here: Installation, node: str) -> int:
    """Records of the replay that could not be read this time either."""
    row = DeadLetterRow
    query = sa.select(sa.func.count(sa.distinct(row.sequence))).where(
        row.node == node, row.cause == "parse_failure"
    )
    with here.state.read() as session:
        return session.scalar(query) or 0
