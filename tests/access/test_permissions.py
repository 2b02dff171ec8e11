"""The permission table: default deny, own and foreign agencies, tokens within their person."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.access.permissions import (
    PEOPLE_ROLES,
    TABLE,
    may,
    permissions_of,
    reach,
    require,
    scope_for,
)
from pipeline.model.errors import ForbiddenError, NotFoundError
from pipeline.model.scope import OPERATOR, SYSTEM, Actor, Scope

OFFICER = Actor("person", "lan", "officer", Scope.of("ward-1"))
AUDITOR = Actor("person", "minh", "auditor", Scope.everything())


def test_an_unknown_role_and_an_unknown_permission_are_denied() -> None:
    for role, permission in (("king", "ticket.read"), ("analyst", "ticket.burn"), ("", "")):
        actor = Actor("person", "x", role, Scope.everything())
        assert not may(actor, permission)
        with pytest.raises(ForbiddenError):
            require(actor, permission, None)


def test_an_officer_reads_their_own_agency_and_cannot_tell_a_foreign_one_from_nothing() -> None:
    require(OFFICER, "ticket.read", "ward-1")
    with pytest.raises(NotFoundError, match=r"^nothing such$"):
        require(OFFICER, "ticket.read", "ward-2")
    assert scope_for(OFFICER, "ticket.read") == Scope.of("ward-1")


def test_an_officer_without_agencies_sees_nothing() -> None:
    stray = Actor("person", "lan", "officer", Scope.everything())
    assert scope_for(stray, "ticket.read") == Scope.of()


def test_an_officer_may_not_close_even_what_they_may_read() -> None:
    with pytest.raises(ForbiddenError):
        require(OFFICER, "ticket.close", "ward-1")


def test_an_auditor_writes_nothing() -> None:
    reading = {"access.read", "agency.read", "dead.read", "event.search", "finding.read"}
    reading |= {
        "exception.read",
        "operation.read",
        "person.read",
        "rule.read",
        "run.read",
        "source.read",
    }
    assert permissions_of("auditor") == reading | {
        "asset.read",
        "ticket.read",
        "token.issue",
        "watchlist.read",
    }


def test_an_analyst_held_to_agencies_stays_within_them() -> None:
    held = Actor("person", "an", "analyst", Scope.of("ward-1"))
    assert scope_for(held, "ticket.close") == Scope.of("ward-1")


def test_a_token_has_no_more_than_it_was_given() -> None:
    token = Actor("token", "t", "administrator", Scope.of("ward-1"), frozenset({"ticket.read"}))
    require(token, "ticket.read", "ward-1")
    for permission in set(TABLE) - {"ticket.read"}:
        assert not may(token, permission)
    with pytest.raises(NotFoundError):
        require(token, "ticket.read", "ward-2")


def test_the_operator_may_everything_and_the_pipeline_changes_no_access() -> None:
    assert permissions_of("operator") == frozenset(TABLE)
    for permission in ("person.write", "token.issue", "rule.write", "source.write", "ticket.claim"):
        assert not may(SYSTEM, permission)
    assert scope_for(OPERATOR, "person.write") == Scope.everything()


@given(
    st.sampled_from([*PEOPLE_ROLES, "operator", "system", "king"]),
    st.sampled_from([*TABLE, "x.y"]),
    st.none() | st.frozensets(st.sampled_from(["a", "b", "c"])),
    st.sampled_from(["a", "b", "c"]),
)
def test_nobody_reaches_past_their_scope(
    role: str, permission: str, agencies: frozenset[str] | None, agency: str
) -> None:
    actor = Actor("person", "x", role, Scope(agencies))
    try:
        require(actor, permission, agency)
    except (ForbiddenError, NotFoundError):
        return
    assert actor.scope.allows(agency)
    assert reach(role, permission) == "all" or agencies is not None


def test_every_permission_that_the_code_asks_for_is_in_the_table() -> None:
    asked = re.compile(r"""(?:require|scope_for|may)\(\s*[\w.]+,\s*["']([a-z.]+)["']""")
    folder = Path(pipeline.__file__).parent
    found = {name for file in folder.rglob("*.py") for name in asked.findall(file.read_text())}
    assert "person.write" in found
    assert found - set(TABLE) == set()
