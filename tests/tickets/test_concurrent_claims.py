"""Two hundred claims on fifty tickets by several processes at once: each ticket has exactly one owner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections import Counter

import sqlalchemy as sa
from support.findings import Given, take

from pipeline.state.state import State
from pipeline.state.tables.tickets import Ticket, TicketHistory

CLAIMS = """
    import json, sys
    from concurrent.futures import ThreadPoolExecutor
    from pipeline.model.clock import utc_now
    from pipeline.model.errors import ConflictError
    from pipeline.model.scope import Actor, Scope
    from pipeline.state.state import State
    from pipeline.tickets.deeds import Request
    from pipeline.tickets.life import claim

    url, name = sys.argv[1:]
    state, me = State.open(url), Actor("person", name, "analyst", Scope.everything())

    def attempt(number):
        try:
            claim(state, Request(actor=me, ticket=str(number), revision=1), now=utc_now())
        except ConflictError:
            return None
        return number

    sys.stdin.read()  # all begin together
    with ThreadPoolExecutor(8) as pool:
        print(json.dumps([n for n in pool.map(attempt, range(1, 51)) if n]))
"""


def test_of_two_hundred_claims_on_fifty_tickets_each_ticket_has_one_winner(state: State) -> None:
    take(state, [Given(f"f{n}", entity=f"pc-{n}", agency=f"ward-{n}") for n in range(50)])
    url = state.engine.url.render_as_string(hide_password=False)
    names = ("an", "binh", "chi", "dung")
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CLAIMS), url, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ),
        )
        for name in names
    ]  # fmt: skip
    for one in racing:
        assert one.stdin is not None
        one.stdin.close()
    won = {}
    for name, one in zip(names, racing, strict=True):
        assert one.stdout is not None
        for number in json.loads(one.stdout.read()):
            assert won.setdefault(number, f"person:{name}") == f"person:{name}"
        assert one.wait(60) == 0
    with state.read() as session:
        owners = {t.number: t.owner for t in session.scalars(sa.select(Ticket))}
        told = Counter(session.scalars(sa.select(TicketHistory.what)))
    assert owners == won
    assert len(won) == 50
    assert told == {"opened": 50, "claimed": 50}
