"""Notices, their mails, and the tickets of sources that are not well, killed anywhere and begun again: each once.

`KILLS` is how many (10 in CI, 200 by `make faults`); each is a fork of this process.
"""

from __future__ import annotations

import os
import random
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from support.findings import NOW, Given, put
from support.killed import killed_at
from support.people import analyst

from pipeline.access import people
from pipeline.model.clock import EPOCH
from pipeline.model.scope import OPERATOR
from pipeline.serve.mail.notices import NoticePost
from pipeline.settings.values import AlarmMail, HealthSettings
from pipeline.sources.watch import watch_once
from pipeline.state.state import State
from pipeline.state.tables.desk import Notice
from pipeline.state.tables.intake import Node
from pipeline.state.tables.register import Agency, Source, SourceHour, SourceSeen
from pipeline.state.tables.tickets import Ticket, TicketHistory
from pipeline.tickets.grouping import tickets_once
from pipeline.tickets.notices import Wish, notices_once, set_wish

pytestmark = pytest.mark.faults
KILLS = int(os.environ.get("KILLS", "10"))
TOLD = (
    "notices.told", "notices.before_commit", "notices.committed", "notice_mail.claimed",
    "notice_mail.sent", "notice_mail.noted",
)  # fmt: skip
LOOKED = ("health.looked", "health.before_commit", "health.committed")
READERS, TICKETS, SOURCES = ("an", "chi"), 3, 23
MINUTE = timedelta(minutes=1)
LIMITS = HealthSettings(settle_minutes=5)


class Box:
    def __init__(self) -> None:
        self.ids: Counter[str] = Counter()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        head = envelope.content.decode("utf-8", "replace")
        self.ids[head.partition("Message-ID: ")[2].splitlines()[0]] += 1
        return "250 taken"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Box, int]]:
    box = Box()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


@pytest.mark.parametrize("kill", range(KILLS))
def test_of_a_new_critical_ticket_everybody_on_duty_hears_once(
    state: State, server: tuple[Box, int], kill: int
) -> None:
    box, port = server
    box.ids.clear()
    with state.begin() as session:
        session.add(Agency(id="ward-1", name_vi="Phường 1", name_en="Ward 1", valid_from=EPOCH))
    for person in READERS:
        people.add(state, OPERATOR, person=person, name=person, role="analyst", now=NOW)
        set_wish(state, analyst(person), Wish(mail=f"{person}@example.vn"))
    put(state, *(Given(f"f{n}", entity=f"pc-{n}", level="critical") for n in range(TICKETS)))
    mail = AlarmMail(host="127.0.0.1", port=port, sender="tc@example.vn", timeout=5.0)

    def work(of: State, now: datetime = NOW) -> None:
        while tickets_once(of, now=now):
            pass
        while notices_once(of, now=now):
            pass
        NoticePost(of, mail, "https://canh.example.vn").send_all(now)

    point = TOLD[kill % len(TOLD)]
    most = {"notices.before_commit": 1, "notices.committed": 1, "notices.told": TICKETS}
    nth = random.Random(kill).randint(1, most.get(point, TICKETS * len(READERS)))
    assert killed_at(state, point, nth, work)
    for hours in (1, 2):  # a second round has nothing to do
        work(state, NOW + timedelta(hours=hours))
    with state.read() as session:
        heard = Counter((n.person, n.ticket, n.mail) for n in session.scalars(sa.select(Notice)))
        lines = Counter(
            line.ticket
            for line in session.scalars(
                sa.select(TicketHistory).where(TicketHistory.what == "noticed")
            )
        )
        numbers = list(session.scalars(sa.select(Ticket.id)))
    assert heard == {(who, ticket, "sent"): 1 for who in READERS for ticket in numbers}
    assert lines == dict.fromkeys(numbers, 1)
    assert len(box.ids) == len(READERS) * TICKETS
    # killed between sending and noting it, a mail goes out again under its id
    assert box.ids.total() == len(box.ids) + (point == "notice_mail.sent")


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_source_that_is_not_well_has_one_ticket_which_closes_once(
    state: State, kill: int
) -> None:
    names = [f"s{n}" for n in range(SOURCES)]
    with state.begin() as session:
        session.add(Agency(id="ward-1", name_vi="Phường 1", name_en="Ward 1", valid_from=EPOCH))
        session.add(Node(id="n1", kind="collect", created=EPOCH))
        session.flush()
        for name in names:
            session.add(
                Source(
                    id=name, agency="ward-1", product="nginx", name=name, created=EPOCH,
                    state="published",
                )
            )  # fmt: skip
            session.flush()
            session.add(SourceSeen(source=name, node="n1"))
    dice = random.Random(kill)

    def sent(records: int, last: datetime) -> None:
        with state.begin() as session:
            for one in session.scalars(sa.select(SourceSeen)):
                one.last_received, one.last_event = last, last
                one.counters = {"received": records}

    def disturbed(start: int) -> None:
        """Looks that are killed once, then looks until all has settled."""

        def looks(of: State, first: int = start) -> None:
            for minutes in (0, 6, 12):
                watch_once(of, LIMITS, now=NOW + (first + minutes) * MINUTE)

        point = LOOKED[kill % len(LOOKED)]
        most = 3 * SOURCES if point == "health.looked" else 6  # three looks at two parts
        assert killed_at(state, point, dice.randint(1, most), looks)
        looks(state, start + 14)

    sent(1_000, NOW - timedelta(hours=25))
    disturbed(0)
    assert tickets(state) == {(name, "waiting", ""): 1 for name in names}
    sent(1_100, NOW + 30 * MINUTE)
    disturbed(31)
    assert tickets(state) == {(name, "closed", "recovered"): 1 for name in names}
    with state.read() as session:
        whats = Counter(session.scalars(sa.select(TicketHistory.what)))
        counted = session.execute(
            sa.select(SourceHour.source, sa.func.sum(SourceHour.received)).group_by(
                SourceHour.source
            )
        ).all()
    assert whats == {"opened": SOURCES, "closed": SOURCES}
    assert dict(map(tuple, counted)) == dict.fromkeys(names, 100)


def tickets(state: State) -> Counter[tuple[str, str, str]]:
    with state.read() as session:
        return Counter((t.entity, t.status, t.reason) for t in session.scalars(sa.select(Ticket)))
