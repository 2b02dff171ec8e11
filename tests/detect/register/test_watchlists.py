"""Watch-lists: what analysts keep, and what rules ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.people import AUDITOR, analyst, officer
from support.states import empty_state

from pipeline.detect.register.rules import import_rules, show_rule, version
from pipeline.detect.register.watchlists import (
    canonical,
    change_list,
    drop_list,
    list_lists,
    list_values,
    placeholders,
    read_values,
)
from pipeline.detect.running.active import ActiveRules
from pipeline.model.clock import EPOCH
from pipeline.model.errors import FaultsError, ForbiddenError, NotFoundError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.rules import WatchChange

NOW = EPOCH + timedelta(days=1)
RULE = "a0000000-0000-4000-8000-000000000000"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = empty_state(tmp_path / "state.sqlite")
    yield state
    state.close()


def put(state: State, *add: str, kind: str = "address", **more: object) -> tuple[int, int]:
    return change_list(state, analyst(), "c2", add=add, kind=kind, now=NOW, **more)  # type: ignore[arg-type]


def values(state: State) -> list[str]:
    return [each.value for each in list_values(state, AUDITOR, "c2")]


def test_values_come_and_go_in_the_form_in_which_events_hold_them(state: State) -> None:
    assert put(state, "192.0.2[.]7", " 2001:DB8::1 ", "198.51.100.0/24", "192.0.2.7") == (3, 0)
    assert values(state) == ["192.0.2.7", "198.51.100.0/24", "2001:db8::1"]
    assert put(state, "192.0.2.8", remove=["192.0.2.7", "192.0.2.99"]) == (1, 1)
    assert put(state, "192.0.2.8", "192.0.2.9", replace=True) == (1, 2)
    assert put(state, "192.0.2.9") == (0, 0)
    assert placeholders(state) == {"c2": ("192.0.2.8", "192.0.2.9")}
    (line,) = list_lists(state, AUDITOR)
    assert (line.name, line.kind, line.values) == ("c2", "address", 2)
    with state.read() as session:
        told = [(c.added, c.removed, c.by) for c in session.scalars(sa.select(WatchChange))]
    assert sorted(told) == [
        (["192.0.2.7", "198.51.100.0/24", "2001:db8::1"], [], "person:an"),
        (["192.0.2.8"], ["192.0.2.7"], "person:an"),
        (["192.0.2.9"], ["198.51.100.0/24", "2001:db8::1"], "person:an"),
    ]


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("hash", "D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e"),
        ("domain", "Xấu.Example.", "xn--xu-r5s.example"),
        ("domain", "evil[.]example", "evil.example"),
        ("text", "  a b ", "a b"),
        ("address", "::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_each_kind_has_its_form(kind: str, given: str, kept: str) -> None:
    assert canonical(given, kind) == kept
    assert canonical(kept, kind) == kept


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("hash", "xyz"), ("domain", "https://evil.example/x"), ("domain", "local"), ("text", " "),
        ("address", "10.0.0.1/8"), ("address", "evil.example"), ("text", "a" * 513),
    ],
)  # fmt: skip
def test_what_is_not_of_the_kind_is_refused(kind: str, given: str) -> None:
    with pytest.raises(UsageError):
        canonical(given, kind)


def test_one_wrong_value_changes_nothing_and_all_wrong_ones_are_named(state: State) -> None:
    with pytest.raises(FaultsError) as caught:
        put(state, "192.0.2.7", "nope", "nor.this")
    assert [fault.got for fault in caught.value.faults] == ["nope", "nor.this"]
    assert list_lists(state, AUDITOR) == []


def test_who_may_not_write_does_not_and_a_stranger_does_not_read(state: State) -> None:
    for actor in (AUDITOR, officer("chi", "ward")):
        with pytest.raises(ForbiddenError):
            change_list(state, actor, "c2", add=["192.0.2.1"], kind="address", now=NOW)
    with pytest.raises(ForbiddenError):
        list_lists(state, officer("chi", "ward"))
    with pytest.raises(NotFoundError):
        change_list(state, analyst(), "c2", add=["192.0.2.1"], now=NOW)
    put(state, "192.0.2.1")
    with pytest.raises(UsageError, match="another kind"):
        put(state, "evil.example", kind="domain")
    with pytest.raises(UsageError, match="the name"):
        change_list(state, analyst(), "C2 list", add=["x"], kind="text", now=NOW)


def test_a_pasted_text_is_a_value_a_line() -> None:
    text = "# from the CERT\n192.0.2.7\n\n 198.51.100.1  # seen in ward 4\n"
    assert read_values(text) == ["192.0.2.7", "198.51.100.1"]


def test_a_rule_that_asks_a_list_runs_with_its_values_and_has_them_in_its_revision(
    state: State, tmp_path: Path
) -> None:
    (tmp_path / "r.yml").write_text(
        f"""title: Talks to a known address
id: {RULE}
status: test
level: high
logsource: {{category: firewall}}
detection:
    selection: {{'dst_ip|expand': '%c2%'}}
    condition: selection
""",
        "utf-8",
    )
    import_rules(state, OPERATOR, [tmp_path], origin="ours", now=NOW)
    active = ActiveRules(state)
    empty = active("main")
    assert list(empty.unfit.values()) == ["a placeholder without values: c2"]
    seen = version(state)
    put(state, "192.0.2.7")
    assert version(state) > seen
    one = active("main")
    assert set(one.facts) == {RULE}
    put(state, "192.0.2.8")
    two = active("main")
    assert two.facts[RULE].revision != one.facts[RULE].revision
    assert show_rule(state, AUDITOR, RULE)["revision"] == two.facts[RULE].revision
    drop_list(state, analyst(), "c2", now=NOW)
    assert list(active("main").unfit.values()) == ["a placeholder without values: c2"]
    with pytest.raises(NotFoundError):
        list_values(state, AUDITOR, "c2")
    assert put(state, "evil.example", kind="domain") == (1, 0)
