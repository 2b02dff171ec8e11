"""The queue at size: 100,000 open tickets, pages and their tabs; two hundred claims at once; a flood grouped.

    python -m tests.bench.bench_queue [--tickets 100000] [--url postgresql+psycopg://…]

In: how many tickets, and a state (SQLite in a temporary folder, unless told). Out: the 50th and 95th percentile of
each page as the console makes it, of claims, and findings grouped a minute. Goals: a page p95 <100 ms, a claim p95
<200 ms, 10,000 findings a minute.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.console_client import Site
from support.fake_store import FakeStore
from support.findings import Given, put
from support.seed import seed

from pipeline.model.errors import ConflictError
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.operation import Counter
from pipeline.state.tables.tickets import Ticket
from pipeline.tickets.deeds import Request
from pipeline.tickets.grouping import tickets_once
from pipeline.tickets.life import claim
from pipeline.tickets.policy import Policy

NOW = datetime.now(UTC).replace(microsecond=0)
LEVELS = ("low", "medium", "high", "critical")
PAGES = (
    "/tickets/rows",
    "/tickets",
    "/tickets?owner=none",
    "/tickets?at_least=high&agency=so-tai-chinh",
    "/tickets?alert=breached",
    "/tickets?words=lateral",
    "/tickets?after=47.60000",
)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--tickets", type=int, default=100_000)
    options.add_argument("--url", default="")
    options.add_argument("--rounds", type=int, default=30)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = State.open(given.url or f"sqlite:///{folder}/state.sqlite")
        state.create_tables()
        store = seed(state, NOW)
        fill(state, given.tickets)
        pages(state, store, given.rounds)
        claims(state)
        flood(state)
        state.close()


def fill(state: State, wanted: int) -> None:
    """Open tickets of four severities, eight agencies, some claimed, some late."""
    dice = random.Random(1)
    with state.begin() as session:
        number = session.scalar(sa.select(sa.func.max(Ticket.number))) or 0
    for start in range(0, wanted, 5_000):
        rows = []
        for n in range(start, min(start + 5_000, wanted)):
            rank = dice.choices((1, 2, 3, 4), (20, 60, 17, 3))[0]
            opened = NOW - timedelta(minutes=dice.randrange(60 * 24 * 30))
            due = opened + timedelta(hours=4)
            rows.append(
                {
                    "id": f"b{n:025}", "number": number + n + 1, "kind": "detection",
                    "agency": dice.choice(("so-tai-chinh", "phuong-sai-gon", *(f"p{i}" for i in range(6)))),
                    "drill": False, "rule": f"r{n % 300}", "entity": f"host-{n}", "entity_key": f"{n:032}",
                    "title": f"Lateral movement over SMB {n % 300}" if n % 40 == 0 else f"Rule {n % 300}",
                    "severity": LEVELS[rank - 1], "severity_rank": rank, "severity_by": "",
                    "priority": 20 * rank + dice.randrange(-7, 10), "status": "new", "waiting_for": "",
                    "owner": "person:an" if n % 50 == 0 else "", "tlp": "amber", "signs": [], "checks": {},
                    "reason": "", "duplicate_of": "", "follows": "", "first": opened, "last": opened,
                    "events": 1 + n % 9, "findings": 1, "rules": 1, "apart": False, "opened": opened,
                    "changed": opened, "due": due, "due_what": "claim", "revision": 1,
                    "alert": "breached" if due < NOW else "",
                }
            )  # fmt: skip
        with state.begin() as session:
            session.execute(sa.insert(Ticket), rows)
            session.merge(Counter(name="ticket", value=number + start + len(rows)))


def pages(state: State, store: FakeStore, rounds: int) -> None:
    from support.console_client import Clock

    browser = Site(state, store, Clock(NOW)).signed("an")
    for path in PAGES:
        assert browser.get(path).status_code == 200
        told(path, [timed(lambda path=path: browser.get(path)) for _ in range(rounds)])


def claims(state: State) -> None:
    """Fifty tickets, four people at each."""
    with state.read() as session:
        free = session.scalars(
            sa.select(Ticket.number)
            .where(Ticket.owner == "")
            .order_by(Ticket.number.desc())
            .limit(50)
        ).all()
    names = ("an", "binh", "chi", "dung")
    jobs = [(name, number) for number in free for name in names]
    won: list[int] = []

    def one(job: tuple[str, int]) -> float:
        actor = Actor("person", job[0], "analyst", Scope.everything())

        def attempt() -> None:
            try:
                claim(state, Request(actor=actor, ticket=str(job[1]), revision=1), now=NOW)
                won.append(job[1])
            except ConflictError:
                pass

        return timed(attempt)

    with ThreadPoolExecutor(8) as pool:
        times = list(pool.map(one, jobs))
    assert sorted(won) == sorted(free)
    told("200 claims on 50 tickets, 8 at once", times)


def flood(state: State, wanted: int = 2_000) -> None:
    """Findings of 200 rules at 100 agencies, each on a host of its own."""
    minutes = NOW.timestamp() / 60
    for start in range(0, wanted, 500):
        put(
            state,
            *(
                Given(
                    f"flood-{n}", rule=f"r{n % 200}", agency=f"a{n % 100}", entity=f"pc-{n}",
                    first=minutes, made=minutes,
                )
                for n in range(start, start + 500)
            ),
        )  # fmt: skip
    begun = time.perf_counter()
    while tickets_once(state, now=NOW, policy=Policy()):
        pass
    took = time.perf_counter() - begun
    print(f"{wanted} findings grouped in {took:.1f} s: {60 * wanted / took:,.0f} a minute")


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return 1_000 * (time.perf_counter() - begun)


def told(what: str, times: list[float]) -> None:
    ordered = sorted(times)
    half, most = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
    print(f"{what:<52} p50 {half:6.1f} ms   p95 {most:6.1f} ms")


if __name__ == "__main__":
    main()
