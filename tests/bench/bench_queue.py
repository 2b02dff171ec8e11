"""The queue at size: 100,000 open tickets, pages and their tabs; two hundred claims by HTTP; a flood grouped.

    python -m tests.bench.bench_queue [--tickets 100000] [--url postgresql+psycopg://…]

In: how many tickets, and a state (SQLite in a temporary folder, unless told). Out: the 50th and 95th percentile of
each page as the console makes it, and the processor time that this process took for one; the same of claims, done by
the use case and sent to a console of its own process; and findings grouped a minute. Goals: a page p95 <100 ms, a
claim p95 <200 ms, 10,000 findings a minute. On a machine that does other work, judge the processor time.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import sqlalchemy as sa
import uvicorn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.console_client import Site
from support.fake_store import FakeStore
from support.findings import Given, put
from support.seed import seed

from pipeline.access import tokens
from pipeline.console.site import create_site
from pipeline.model.errors import ConflictError
from pipeline.model.scope import Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.access import Person
from pipeline.state.tables.operation import Counter as CounterRow
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket, sought_text
from pipeline.tickets.attachments import Shelf
from pipeline.tickets.clocks.clocks import follow
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
    "/tickets?words=nowhere",
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
        settle(state)
        pages(state, store, given.rounds)
        claims(state)
        for at_once in (16, 200):
            http_claims(state, at_once)
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
        for row in rows:
            row["sought"] = sought_text(str(row["title"]), str(row["entity"]))
        with state.begin() as session:
            session.execute(sa.insert(Ticket), rows)
            session.merge(CounterRow(name="ticket", value=number + start + len(rows)))


def settle(state: State) -> None:
    """What a database does by itself after so many new rows."""
    with state.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        words = "VACUUM ANALYZE" if state.engine.dialect.name == "postgresql" else "PRAGMA optimize"
        connection.exec_driver_sql(words)


def pages(state: State, store: FakeStore, rounds: int) -> None:
    from support.console_client import Clock

    browser = Site(state, store, Clock(NOW)).signed("an")
    for path in PAGES:
        assert browser.get(path).status_code == 200
        begun = time.process_time()
        times = [timed(lambda path=path: browser.get(path)) for _ in range(rounds)]
        told(path, times, (time.process_time() - begun) / rounds)


def claims(state: State) -> None:
    """Fifty tickets, four people at each."""
    free = free_tickets(state)
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


def http_claims(state: State, at_once: int) -> None:
    """The same sent to a console in a process of its own: four people, each with a token, so many at once."""
    with state.begin() as session:
        known = set(session.scalars(sa.select(Person.id)))
        names = [f"bench-{n}" for n in range(4)]
        session.add_all(
            Person(id=name, name=name, role="analyst", created=NOW)
            for name in names
            if name not in known
        )
    free = free_tickets(state)
    keys = [issue(state, name) for name in names]
    jobs = [(token, number) for number in free for token in keys]
    with served(state) as (address, console):
        answered(address, [request("GET", "/me", keys[0])], 1)
        before = processor_of(console)
        found = answered(
            address,
            [
                request(
                    "POST", f"/tickets/{number}/claim", token,
                    f'If-Match: "1"\r\nIdempotency-Key: b{number}\r\n',
                )
                for token, number in jobs
            ],
            at_once,
        )  # fmt: skip
        spent = processor_of(console) - before
    codes = Counter((job[1], code) for job, (code, _) in zip(jobs, found, strict=True))
    assert codes == Counter({(n, s): c for n in free for s, c in ((200, 1), (412, 3))}), codes
    times = [took for _, took in found]
    told(f"200 HTTP claims on 50 tickets, {at_once} at once", times, spent / len(jobs))


def free_tickets(state: State) -> list[int]:
    """Fifty that nobody has, with the clocks that a ticket has from its opening."""
    with state.begin() as session:
        free = session.scalars(
            sa.select(Ticket).where(Ticket.owner == "").order_by(Ticket.number.desc()).limit(50)
        ).all()
        for ticket in free:
            follow(session, ticket, now=NOW)
        return [ticket.number for ticket in free]


def answered(
    address: tuple[str, int], requests: list[bytes], at_once: int
) -> list[tuple[int, float]]:
    """Send them over so many connections that stay, in one thread: clients of one process each would spend more than
    the server. Out: each one's code, and the milliseconds from its sending to its last byte."""
    found = [(0, 0.0)] * len(requests)
    left = iter(range(len(requests)))
    with selectors.DefaultSelector() as waiting:
        lines = [socket.create_connection(address, timeout=60) for _ in range(at_once)]

        def send(line: socket.socket) -> None:
            which = next(left, None)
            if which is None:
                waiting.unregister(line)
                line.close()
            else:
                waiting.modify(
                    line, selectors.EVENT_READ, (which, time.perf_counter(), bytearray())
                )
                line.sendall(requests[which])

        for line in lines:
            waiting.register(line, selectors.EVENT_READ)
        for line in lines:
            send(line)
        while waiting.get_map():
            for key, _ in waiting.select():
                which, begun, got = key.data
                line = key.fileobj
                assert isinstance(line, socket.socket)
                part = line.recv(65_536)
                assert part, "the console hung up"
                got += part
                head, ended, body = bytes(got).partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head) if ended else None
                if length and len(body) >= int(length[1]):
                    took = 1_000 * (time.perf_counter() - begun)
                    found[which] = (int(head.split(None, 2)[1]), took)
                    send(line)
    return found


def request(method: str, path: str, token: str, more: str = "") -> bytes:
    return (
        f"{method} /api/v1{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n{more}"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def processor_of(process: int) -> float:
    """Seconds that a process has spent."""
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def issue(state: State, person: str) -> str:
    actor = Actor("person", person, "analyst", Scope.everything())
    return tokens.issue(
        state, actor, person=person, name="bench", permissions=["ticket.read", "ticket.claim"],
        expires=NOW + timedelta(days=1), now=NOW,
    )  # fmt: skip


@contextmanager
def served(state: State) -> Iterator[tuple[tuple[str, int], int]]:
    """The console on a free port, in a child of this process: where it listens, and the child."""
    url = state.engine.url.render_as_string(hide_password=False)
    state.engine.dispose()  # no connection of ours goes with the child
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        child = os.fork()
        if not child:
            site = create_site(
                State.open(url), FakeStore([]), shelf=Shelf(folder=Path("none")), per_minute=10**9
            )
            site.api()
            config = uvicorn.Config(site, log_level="error", lifespan="off", access_log=False)
            uvicorn.Server(config).run(sockets=[listener])
            os._exit(0)
        try:
            yield listener.getsockname(), child
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def flood(state: State, wanted: int = 2_000) -> None:
    """Findings of 200 rules at 100 agencies, each on a host of its own."""
    minutes = NOW.timestamp() / 60
    with state.begin() as session:
        session.add_all(
            Agency(id=f"a{n}", name_vi=f"Phường {n}", name_en=f"Ward {n}", valid_from=NOW)
            for n in range(100)
        )
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
    begun, busy = time.perf_counter(), time.process_time()
    while tickets_once(state, now=NOW, policy=Policy()):
        pass
    took, busy = time.perf_counter() - begun, time.process_time() - busy
    rate = 60 * wanted / took
    print(
        f"{wanted} findings grouped in {took:.1f} s: {rate:,.0f} a minute   processor {busy:.1f} s"
    )


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return 1_000 * (time.perf_counter() - begun)


def told(what: str, times: list[float], cpu: float | None = None) -> None:
    ordered = sorted(times)
    half, most = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
    took = "" if cpu is None else f"   processor {1_000 * cpu:5.1f} ms"
    print(f"{what:<52} p50 {half:6.1f} ms   p95 {most:6.1f} ms{took}")


if __name__ == "__main__":
    main()
