"""A believable morning at the centre, for tests of pages and for looking at them.

Two real agencies (`so-tai-chinh`, `phuong-sai-gon`) and a drill's (`dt-phuong-ben-ngoc`), sources in every
state, rules, runs, coverage, and tickets of both, with their events in a `FakeStore`. Names are made up.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from support import seed_detection, seed_sources
from support.fake_store import FakeStore
from support.seed_cast import AGENCIES, COMMANDS, DRILL, FOREIGN, HOSTILE, OWN, PEOPLE, STORIES

from pipeline.access import beginning, people, sessions
from pipeline.model.clock import to_iso, to_micros
from pipeline.model.detections import Level
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow
from pipeline.state.tables.register import Agency
from pipeline.state.tables.rules import RuleRevision, RuleRow
from pipeline.tickets.grouping import tickets_once


def seed(state: State, now: datetime) -> FakeStore:
    """Fill an empty state; the store that belongs to it."""
    documents: list[dict[str, Any]] = []
    beginning.ensure_centre(state, now=now)
    with state.begin() as db:
        for key, vi, en, level, drill in AGENCIES:
            db.add(Agency(id=key, name_vi=vi, name_en=en, level=level, drill=drill, valid_from=now))
    for person, name, role, agencies in PEOPLE:
        people.add(state, OPERATOR, person=person, name=name, role=role, agencies=agencies, now=now)
    seed_sources.sources(state, now)
    seed_detection.runs(state, now)
    seed_detection.lists(state, now)
    seed_sources.unknown(state, now)
    with state.begin() as db:
        for number, story in enumerate(STORIES, 1):
            db.add_all(_story(number, *story, now=now, documents=documents))
    tickets_once(state, now=now - timedelta(minutes=1))
    documents += _noise(now)
    seed_detection.exceptions(state, now)
    seed_sources.drafts(state, now)
    return FakeStore(documents)


def cookie(state: State, person: str, now: datetime) -> str:
    return sessions.start(state, person, now=now)


def _story(
    number: int,
    title: str,
    level: str,
    product: str,
    agency: str,
    field: str,
    entity: str,
    minutes: int,
    count: int,
    *,
    now: datetime,
    documents: list[dict[str, Any]],
) -> list[Any]:
    rule = seed_detection.rule(number)
    text = seed_detection.rule_text(rule, title, level, product)
    revision = seed_detection.revision(text)
    last = now - timedelta(minutes=minutes)
    first = last - timedelta(seconds=37 * (count - 1))
    samples = []
    for place in range(min(count, 20)):
        event = hashlib.blake2b(f"{number} {place}".encode(), digest_size=16).hexdigest()
        time = first + (last - first) * place / max(1, min(count, 20) - 1)
        documents.append(_document(event, time, product, agency, field, entity, place))
        fields = {field: entity, "process.command_line": COMMANDS[number % 3]}
        samples.append({"event": event, "time": to_micros(time), "fields": fields})
    return [
        RuleRow(
            id=rule,
            origin="shipped",
            path=f"{product}/{title.lower().replace(' ', '_')}.yml",
            revision=revision,
            changed=now - timedelta(days=9),
            off_reason="",
        ),
        RuleRevision(
            revision=revision,
            rule=rule,
            title=title,
            level=level,
            status="test",
            text=text,
            added=now - timedelta(days=9),
        ),
        FindingRow(
            id=f"{number:032x}",
            number=number,
            born=number,
            rule=rule,
            revision=revision,
            agency=agency,
            entity=entity,
            entity_field=field,
            level=Level(level).value,
            status="test",
            title=title,
            first=first,
            last=last,
            count=count,
            samples=samples,
            run="r1",
            created=last,
            changed=last,
        ),
    ]


def _document(
    event: str, time: datetime, product: str, agency: str, field: str, entity: str, place: int
) -> dict[str, Any]:
    group, _, name = field.partition(".")
    original = (
        HOSTILE
        if product == "linux_auth"
        else (
            f"<134>{time:%b %d %H:%M:%S} {entity} {product}: "
            f'event={place} user="administrator" cmd="{COMMANDS[place % 3]}"'
        )
    )
    document: dict[str, Any] = {
        "@timestamp": to_iso(time),
        "event": {
            "id": event,
            "dataset": f"{product}.log",
            "original": original,
            "created": to_iso(time + timedelta(seconds=1)),
        },
        "organization": {"id": agency},
        "process": {"command_line": COMMANDS[place % 3]},
        "user": {"name": "administrator"},
        "thapcanh": {"source": f"{agency}-{product}", "node": "collect-1", "sequence": place},
    }
    document.setdefault(group, {})[name] = entity
    return document


def _noise(now: datetime) -> list[dict[str, Any]]:
    made = []
    for place in range(240):
        time = now - timedelta(minutes=6 * place, seconds=(place * 37) % 60)
        event = hashlib.blake2b(f"noise {place}".encode(), digest_size=16).hexdigest()
        agency = (OWN, FOREIGN, DRILL)[place % 3]
        path = ("/dich-vu-cong/tra-cuu", "/robots.txt", "/api/ho-so?id=88121")[place % 3]
        address = f"203.0.113.{place % 50 + 1}"
        made.append(
            {
                "@timestamp": to_iso(time),
                "event": {
                    "id": event,
                    "dataset": "nginx.access",
                    "original": f'{address} - - [{time:%d/%b/%Y:%H:%M:%S} +0000] "GET {path} HTTP/1.1" '
                    f'200 {1000 + place * 13} "-" "Mozilla/5.0 (X11; Linux x86_64)"',
                },
                "organization": {"id": agency},
                "host": {"name": f"web{place % 4:02d}"},
                "source": {"ip": address},
                "url": {"original": path},
                "http": {"response": {"status_code": 200}},
            }
        )
    return made
