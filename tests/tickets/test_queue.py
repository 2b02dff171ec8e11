"""The queue's pages and one ticket's page, within the reader's reach."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support.detecting import MemoryStore, event, hash_of
from support.findings import Given, group, put, take
from support.people import AUDITOR, analyst, officer

from pipeline.model.clock import EPOCH
from pipeline.model.errors import NotFoundError, UsageError
from pipeline.model.scope import OPERATOR, Actor
from pipeline.state.state import State
from pipeline.state.tables.rules import RuleRevision
from pipeline.tickets.deeds import Request
from pipeline.tickets.life import claim, close
from pipeline.tickets.queue import Filters, count_tickets, get_ticket, list_tickets

NOW = EPOCH + timedelta(days=1)
Flow = Callable[..., MemoryStore]


def numbers(state: State, actor: Actor | None = None, **filters: object) -> list[int]:
    page = list_tickets(state, actor or analyst(), Filters(**filters))  # type: ignore[arg-type]
    assert count_tickets(state, actor or analyst(), Filters(**filters)) == len(page.items)  # type: ignore[arg-type]
    return [line.number for line in page.items]


def test_the_severest_come_first_then_the_newest_and_pages_join_without_a_gap(
    state: State, detect: Flow
) -> None:
    for n in range(1, 8):
        level = "critical" if n in (2, 5) else "medium"
        detect(event(n, host=f"pc-{n}"), level=level, revision=f"v{n}")
    seen, after = [], None
    while True:
        page = list_tickets(state, analyst(), limit=3, after=after)
        seen += [line.number for line in page.items]
        after = page.next
        if after is None:
            break
        detect(event(100 + len(seen), host=f"new-{len(seen)}"), level="critical", revision="vx")
    assert seen == [5, 2, 7, 6, 4, 3, 1]


def test_filters_leave_what_they_say(state: State, detect: Flow) -> None:
    detect(event(1, host="máy-chủ"), event(2, host="pc_2", agency="ward-2"))
    detect(event(3, host="pc-3"), level="critical", revision="v2")
    claim(state, Request(actor=analyst(), ticket="1"), now=NOW)
    close(state, Request(actor=analyst(), ticket="2"), reason="duplicate", note="x", now=NOW)
    assert numbers(state) == [3, 1]
    assert numbers(state, status="") == [3, 2, 1]
    assert numbers(state, status="closed") == [2]
    assert numbers(state, owner="person:an") == [1]
    assert numbers(state, owner="-") == [3]
    assert numbers(state, severity="high", status="") == [2, 1]
    assert numbers(state, at_least="critical") == [3]
    assert numbers(state, agency="ward-2", status="") == [2]
    assert numbers(state, entity="MÁY-CHỦ") == [1]
    assert numbers(state, entity="pc-3") == [3]
    assert numbers(state, words="mimi pc_", status="") == [2]
    assert numbers(state, words="%") == []
    assert numbers(state, rule="r") == [3, 1]
    assert numbers(state, rule="other") == []
    assert numbers(state, drill=True) == []


def test_an_officer_sees_the_own_agency_and_nothing_else(state: State, detect: Flow) -> None:
    store = detect(event(1), event(2, agency="ward-2"))
    chi = officer("chi", "ward-2")
    assert numbers(state, chi) == [2]
    assert numbers(state, chi, agency="ward-1") == []
    assert numbers(state, AUDITOR) == [2, 1]
    assert get_ticket(state, store, chi, "#2").ticket.agency == "ward-2"  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="no such ticket"):
        get_ticket(state, store, chi, "1")  # type: ignore[arg-type]


def test_a_ticket_shows_rule_text_matched_fields_raw_lines_history_and_links(
    state: State, detect: Flow
) -> None:
    with state.begin() as session:
        session.add(
            RuleRevision(
                revision="v1",
                rule="r",
                title="Mimikatz",
                level="high",
                status="test",
                text="title: Mimikatz",
                added=EPOCH,
            )
        )
    store = detect(event(1, time=36_000))
    store = detect(event(2, time=43_000))
    store = detect(event(3, time=39_500))
    view = get_ticket(state, store, analyst(), "1")  # type: ignore[arg-type]
    (finding,) = view.findings
    assert (finding.rule_text, finding.count, finding.entity_field) == (
        "title: Mimikatz",
        3,
        "host.name",
    )
    ids = [hash_of("n", s).hex() for s in (1, 3, 2)]
    assert [s["event"] for s in finding.samples] == ids
    assert finding.samples[0]["fields"] == {"process.name": "mimikatz.exe"}
    assert {i: d["event.original"] for i, d in view.documents.items()} == dict.fromkeys(
        ids, "pc-1 ran mimikatz.exe"
    )
    assert view.history[0]["what"] == "opened"
    assert view.duplicates == (2,)
    assert get_ticket(state, None, analyst(), "2").duplicate_of == 1


@pytest.mark.parametrize("filters", [{"status": "x"}, {"severity": "x"}, {"at_least": "x"}])
def test_an_unknown_filter_value_names_the_known_ones(
    state: State, filters: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match="expected"):
        list_tickets(state, analyst(), Filters(**filters))


def test_a_broken_page_key_and_size_are_refused(state: State) -> None:
    with pytest.raises(UsageError, match="no key of a page"):
        list_tickets(state, analyst(), after="x'; --")
    with pytest.raises(UsageError, match="a page has a size"):
        list_tickets(state, analyst(), limit=0)


def test_words_are_found_whatever_their_case_and_marks(state: State) -> None:
    take(state, [Given("f1", rule="Đăng nhập thất bại", entity="Máy-KẾ-TOÁN")])
    for words in ("dang nhap", "ĐĂNG", "ke-toan", "máy-kế", "thất title"):
        assert len(list_tickets(state, OPERATOR, Filters(words=words)).items) == 1, words
    for words in ("kế_toán", "%", "dang nhap khac"):
        assert list_tickets(state, OPERATOR, Filters(words=words)).items == (), words
    put(state, Given("f1", rule="Đã đổi tên", entity="Máy-KẾ-TOÁN"))
    group(state)
    assert [len(list_tickets(state, OPERATOR, Filters(words=w)).items) for w in ("doi ten", "that bai")] == [1, 0]  # fmt: skip
