"""People: no default password, one administrator always, and a lock after wrong guesses."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from pipeline.access import beginning, links, log, people, sessions
from pipeline.model.errors import ConflictError, ForbiddenError, UsageError
from pipeline.model.scope import OPERATOR, Actor, Scope
from pipeline.state.state import State
from pipeline.state.tables.access import Person as Row

GOOD = "một hai ba bốn năm"


def add(state: State, now: datetime, person: str = "lan", role: str = "analyst") -> people.Person:
    agencies = ("ward-1",) if role == "officer" else ()
    return people.add(
        state, OPERATOR, person=person, name="Lan", role=role, agencies=agencies, now=now
    )


def test_a_new_person_has_no_password_and_no_password_lets_them_in(
    state: State, now: datetime
) -> None:
    assert add(state, now) == people.Person(
        "lan", "Lan", "analyst", "vi", (), False, None, None, now
    )
    for guess in ("", "lan", "admin", "nobody has this password"):
        assert people.check_password(state, "lan", guess, now=now) is None


def test_the_kept_password_is_argon2id(state: State, now: datetime) -> None:
    add(state, now)
    people.set_password(state, "lan", GOOD, now=now)
    with state.read() as db:
        kept = db.scalars(select(Row.password)).one()
    assert kept.startswith("$argon2id$v=19$")
    assert GOOD not in kept


def test_a_password_fits_however_the_keyboard_composes_it(state: State, now: datetime) -> None:
    import unicodedata

    add(state, now)
    people.set_password(state, "lan", unicodedata.normalize("NFD", GOOD), now=now)
    assert people.check_password(state, "lan", unicodedata.normalize("NFC", GOOD), now=now)


@pytest.mark.parametrize("bad", ["", "short", "a" * 30, "lan-lan-lan-1", "x" * 257])
def test_a_weak_password_is_refused(state: State, now: datetime, bad: str) -> None:
    add(state, now)
    with pytest.raises(UsageError):
        people.set_password(state, "lan", bad, now=now)


def test_after_five_wrong_guesses_even_the_right_one_is_refused_for_a_quarter_hour(
    state: State, now: datetime
) -> None:
    add(state, now)
    people.set_password(state, "lan", GOOD, now=now)
    for _ in range(people.MAX_FAILURES):
        assert people.check_password(state, "lan", "wrong wrong wrong", now=now) is None
    assert people.check_password(state, "lan", GOOD, now=now) is None
    later = now + people.LOCK_TIME
    assert people.check_password(state, "lan", GOOD, now=later - timedelta(seconds=1)) is None
    assert people.check_password(state, "lan", GOOD, now=later) is not None
    entries = log.recent(state, OPERATOR)
    assert (entries[0].what, entries[1].what, entries[1].detail) == (
        "sign_in",
        "sign_in_refused",
        "locked",
    )


def test_a_right_password_clears_earlier_slips(state: State, now: datetime) -> None:
    add(state, now)
    people.set_password(state, "lan", GOOD, now=now)
    for _ in range(3):
        for _ in range(people.MAX_FAILURES - 1):
            people.check_password(state, "lan", "wrong", now=now)
        assert people.check_password(state, "lan", GOOD, now=now) is not None


def test_disabling_ends_sessions_and_links_at_once(state: State, now: datetime) -> None:
    add(state, now)
    cookie = sessions.start(state, "lan", now=now)
    secret = links.issue(state, OPERATOR, "lan", now=now)
    gone = people.disable(state, OPERATOR, "lan", now=now)
    assert gone == people.disable(state, OPERATOR, "lan", now=now + timedelta(hours=1))
    assert sessions.resume(state, cookie, now=now) is None
    assert links.spend(state, secret, now=now) is None


def test_the_last_administrator_cannot_be_disabled(state: State, now: datetime) -> None:
    beginning.begin_installation(state, OPERATOR, now=now)
    with pytest.raises(ConflictError, match="last administrator"):
        people.disable(state, OPERATOR, "admin", now=now)
    add(state, now, "boss", "administrator")
    assert people.disable(state, OPERATOR, "admin", now=now).disabled == now


def test_an_installation_begins_once(state: State, now: datetime) -> None:
    secret = beginning.begin_installation(state, OPERATOR, now=now)
    person = links.spend(state, secret, now=now)
    assert person is not None
    assert person.role == "administrator"
    with pytest.raises(ConflictError, match="administrator already"):
        beginning.begin_installation(state, OPERATOR, now=now)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"person": "Lan Nguyễn"}, "not an id"),
        ({"role": "king"}, "no such role"),
        ({"role": "operator"}, "no such role"),
        ({"role": "system"}, "no such role"),
        ({"role": "officer"}, "belongs to an agency"),
        ({"agencies": ("ward-9",)}, "no such agency"),
        ({"language": "fr"}, "no such language"),
        ({"name": " "}, "needs a name"),
    ],
)
def test_an_odd_person_is_refused_in_words(
    state: State, now: datetime, change: dict[str, object], words: str
) -> None:
    asked = {"person": "lan", "name": "Lan", "role": "analyst", "now": now} | change
    with pytest.raises(UsageError, match=words):
        people.add(state, OPERATOR, **asked)  # type: ignore[arg-type]


def test_only_who_may_write_people_adds_or_disables_them(state: State, now: datetime) -> None:
    add(state, now)
    for role in ("analyst", "officer", "auditor"):
        actor = Actor("person", "x", role, Scope.of("ward-1"))
        with pytest.raises(ForbiddenError):
            people.add(state, actor, person="y", name="y", role="auditor", now=now)
        with pytest.raises(ForbiddenError):
            people.disable(state, actor, "lan", now=now)
        with pytest.raises(ForbiddenError):
            links.issue(state, actor, "lan", now=now)
