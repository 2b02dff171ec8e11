"""A home with one agency, one source of Windows events and one rule that every `line` fires."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from support.cli_words import EVENT, RULE

from collectors.spool import Draft, SpoolWriter
from pipeline.detect.register.rules import import_rules
from pipeline.model.clock import to_micros, utc_now
from pipeline.model.scope import OPERATOR
from pipeline.serve.ingest import detect_all, settle_node, ticket_all
from pipeline.serve.installation import Installation, open_home
from pipeline.sources.register import add_agency, add_source
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.tickets import Ticket

NODE = "collect-1"


def small_home(home: Path) -> Installation:
    here = open_home(home)
    add_agency(here.state, OPERATOR, agency="p1", name_vi="P1", name_en="P1", now=utc_now())
    add_source(
        here.state, OPERATOR, source="p1-win", agency="p1", product="windows",
        known_products=("windows",), with_key=False, now=utc_now(),
    )  # fmt: skip
    rule = home / "rehearsal" / "rule.yml"
    rule.parent.mkdir()
    rule.write_bytes(RULE)
    import_rules(here.state, OPERATOR, [rule], origin="test", now=utc_now())
    return here


def line(number: int, received: datetime | None = None, source: str = "p1-win") -> Draft:
    body = json.dumps(EVENT | {"Number": number}).encode()
    return Draft(source, to_micros(received or utc_now()), body)


def spool(
    here: Installation, *numbers: int, received: datetime | None = None, source: str = "p1-win"
) -> None:
    with SpoolWriter(here.settings.spool, NODE) as writer:
        writer.append([line(number, received, source) for number in numbers])


def another_agency(here: Installation, agency: str, *, level: int = 0, drill: bool = False) -> None:
    """With a source `AGENCY-win`."""
    add_agency(
        here.state, OPERATOR, agency=agency, name_vi=agency, name_en=agency, level=level,
        drill=drill, now=utc_now(),
    )  # fmt: skip
    add_source(
        here.state, OPERATOR, source=f"{agency}-win", agency=agency, product="windows",
        known_products=("windows",), with_key=False, now=utc_now(),
    )  # fmt: skip


def work_off(here: Installation) -> None:
    """Settle, detect and ticket all that waits."""
    settle_node(here, NODE)
    detect_all(here)
    ticket_all(here)


def numbers_stored(here: Installation) -> list[int]:
    """The numbers of all events in the store, in the order of their sequences."""
    from pipeline.model.detections import Window
    from pipeline.model.scope import Scope

    window = Window({node: (0, last) for node, last in here.store.watermark().items()})
    return [
        json.loads(text.as_py())["Number"]
        for _, table in here.store.scan(window, scope=Scope.everything())
        for text in table.column("event.original")
    ]


def outcome(here: Installation) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """The stored numbers, each finding's count, each ticket's number and events."""
    with here.state.read() as session:
        findings = list(session.scalars(sa.select(FindingRow.count)))
        tickets = [(t.number, t.events) for t in session.scalars(sa.select(Ticket))]
    return numbers_stored(here), findings, tickets
