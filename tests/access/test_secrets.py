"""Links, sessions and tokens: random, hashed in the state, and dead when they should be."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import inspect, text

from pipeline.access import links, people, sessions, tokens
from pipeline.access.permissions import may, scope_for
from pipeline.model.errors import ForbiddenError, UsageError
from pipeline.model.scope import OPERATOR, Actor, Scope
from pipeline.state.state import State

HOUR = timedelta(hours=1)


@pytest.fixture
def lan(state: State, now: datetime) -> people.Person:
    return people.add(
        state,
        OPERATOR,
        person="lan",
        name="Lan",
        role="officer",
        agencies=("ward-1", "ward-2"),
        now=now,
    )


def test_a_link_lets_in_once(state: State, now: datetime, lan: people.Person) -> None:
    secret = links.issue(state, OPERATOR, "lan", now=now)
    assert links.spend(state, secret, now=now) == lan
    assert links.spend(state, secret, now=now) is None


def test_a_link_is_spent_once_however_many_try_together(
    state: State, now: datetime, lan: people.Person
) -> None:
    secret = links.issue(state, OPERATOR, "lan", now=now)
    got: list[people.Person | None] = []
    start = threading.Barrier(8)

    def go() -> None:
        start.wait()
        got.append(links.spend(state, secret, now=now))

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one for one in got if one] == [lan]
    assert len(got) == 8


def test_a_link_dies_after_a_day_or_with_the_next_one(
    state: State, now: datetime, lan: people.Person
) -> None:
    old = links.issue(state, OPERATOR, "lan", now=now)
    new = links.issue(state, OPERATOR, "lan", now=now)
    assert links.spend(state, old, now=now) is None
    assert links.spend(state, new, now=now + links.LIFETIME) is None
    assert links.spend(state, "x", now=now) is None


def test_a_session_slides_for_eight_hours_and_ends_after_a_day(
    state: State, now: datetime, lan: people.Person
) -> None:
    cookie = sessions.start(state, "lan", now=now)
    assert sessions.resume(state, cookie, now=now + 8 * HOUR) is None
    for hours in (7, 14, 21):
        signed = sessions.resume(state, cookie, now=now + hours * HOUR)
        assert signed is not None
        assert signed.actor == lan.actor()
    assert sessions.resume(state, cookie, now=now + 24 * HOUR) is None


def test_what_a_page_does_by_itself_keeps_no_session_alive(
    state: State, now: datetime, lan: people.Person
) -> None:
    cookie = sessions.start(state, "lan", now=now)
    for hours in range(1, 8):
        assert sessions.resume(state, cookie, now=now + hours * HOUR, touch=False) is not None
    assert sessions.resume(state, cookie, now=now + 8 * HOUR, touch=False) is None


def test_signing_out_ends_this_session_and_a_new_password_the_others(
    state: State, now: datetime, lan: people.Person
) -> None:
    mine, other, third = (sessions.start(state, "lan", now=now) for _ in range(3))
    signed = sessions.resume(state, mine, now=now)
    assert signed is not None
    people.set_password(state, "lan", "một hai ba bốn năm", keep_session=signed.session, now=now)
    assert sessions.resume(state, other, now=now) is None
    assert sessions.resume(state, third, now=now) is None
    assert sessions.resume(state, mine, now=now) is not None
    sessions.end(state, signed, now=now)
    assert sessions.resume(state, mine, now=now) is None


def issue(state: State, now: datetime, **change: object) -> str:
    asked: dict[str, object] = {"person": "lan", "name": "ci", "permissions": ["ticket.read"]}
    asked |= {"agencies": ["ward-1"], "expires": now + 24 * HOUR, "now": now} | change
    return tokens.issue(state, OPERATOR, **asked)  # type: ignore[arg-type]


def test_a_token_acts_for_its_person_within_what_it_was_given(
    state: State, now: datetime, lan: people.Person
) -> None:
    actor = tokens.resolve(state, issue(state, now), now=now)
    assert actor is not None
    assert (actor.kind, actor.role) == ("token", "officer")
    assert scope_for(actor, "ticket.read") == Scope.of("ward-1")
    assert not may(actor, "ticket.comment")


def test_a_token_never_has_more_than_its_person(
    state: State, now: datetime, lan: people.Person
) -> None:
    with pytest.raises(ForbiddenError, match="no more than its person"):
        issue(state, now, permissions=["ticket.read", "ticket.close"])
    with pytest.raises(ForbiddenError, match="sees no more"):
        issue(state, now, agencies=["ward-3"])
    with pytest.raises(UsageError, match="up to a year"):
        issue(state, now, expires=now + timedelta(days=400))
    text = issue(state, now, agencies=["ward-1", "ward-2"])
    with state.begin() as db:
        db.connection().exec_driver_sql("DELETE FROM person_agency WHERE agency = 'ward-2'")
    narrowed = tokens.resolve(state, text, now=now)
    assert narrowed is not None
    assert narrowed.scope == Scope.of("ward-1")


def test_a_token_whose_agencies_are_all_taken_away_sees_nothing(
    state: State, now: datetime, lan: people.Person
) -> None:
    token = issue(state, now)
    with state.begin() as db:
        db.connection().exec_driver_sql("DELETE FROM person_agency WHERE agency = 'ward-1'")
    narrowed = tokens.resolve(state, token, now=now)
    assert narrowed is not None
    assert narrowed.scope == Scope.of()


def test_a_revoked_expired_or_forged_token_is_nobody(
    state: State, now: datetime, lan: people.Person
) -> None:
    token = issue(state, now)
    assert tokens.resolve(state, token, now=now + 24 * HOUR) is None
    assert tokens.resolve(state, token[:-1] + ("A" if token[-1] != "A" else "B"), now=now) is None
    assert tokens.resolve(state, "", now=now) is None
    tokens.revoke(state, OPERATOR, token.split("_")[1], now=now)
    assert tokens.resolve(state, token, now=now) is None


def test_a_token_issues_no_tokens(state: State, now: datetime, lan: people.Person) -> None:
    actor = tokens.resolve(state, issue(state, now, permissions=["token.issue"]), now=now)
    assert actor is not None
    with pytest.raises(ForbiddenError):
        tokens.issue(
            state,
            actor,
            person="lan",
            name="",
            permissions=["ticket.read"],
            expires=now + HOUR,
            now=now,
        )


def test_the_state_holds_no_secret_in_clear(
    state: State, now: datetime, lan: people.Person
) -> None:
    token = issue(state, now)
    known = [
        links.issue(state, OPERATOR, "lan", now=now),
        sessions.start(state, "lan", now=now),
        token,
        token.split("_", 2)[2],
    ]
    with state.read() as db:
        names = inspect(state.engine).get_table_names()
        everything = "\n".join(
            str(row) for name in names for row in db.execute(text(f'SELECT * FROM "{name}"'))
        )
    assert "lan" in everything
    assert [secret for secret in known if secret in everything] == []


def test_whoever_is_held_to_some_agencies_issues_nobody_a_token_for_more(
    state: State, now: datetime, lan: people.Person
) -> None:
    held = people.actor("held", "administrator", ["ward-1"])
    with pytest.raises(ForbiddenError, match="no more than who issues it"):
        issue_by(state, held, now)
    assert issue_by(state, held, now, agencies=["ward-1"]).startswith("tct_")
    assert Scope.everything().covers(Scope.everything())
    assert not Scope.of("ward-1").covers(Scope.everything())


def issue_by(state: State, by: Actor, now: datetime, agencies: Sequence[str] = ()) -> str:
    return tokens.issue(
        state, by, person="lan", name="n", permissions=["ticket.read"], agencies=agencies,
        expires=now + HOUR, now=now,
    )  # fmt: skip
