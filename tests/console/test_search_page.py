"""Search, pivots and one event, within the scope of who asks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import pairwise
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from support.console_client import Site
from support.seed_cast import OWN

from pipeline.console.bars import bars
from pipeline.console.spans import PRESETS, Span, span
from pipeline.model.clock import EPOCH
from pipeline.model.documents import fields, flatten, term
from pipeline.model.errors import UsageError
from pipeline.model.scope import Scope
from pipeline.store.base import TimeRange
from pipeline.store.query import parse

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def test_an_officer_searches_their_own_agency_alone(site: Site) -> None:
    html = site.signed("binh").get("/search?q=event.dataset:nginx.access&range=24h").text
    assert "<b>80</b> sự kiện" in html
    assert set(site.store.scopes) == {Scope.of(OWN)}
    assert "phường Sài Gòn" not in html


def test_a_click_on_a_value_asks_for_exactly_that_value(site: Site) -> None:
    browser = site.signed("an")
    html = browser.get("/search?q=event.dataset:nginx.access&range=24h").text
    link = re.search(r'<a class="pivot" href="([^"]+)"[^>]*>203\.0\.113\.7</a>', html)
    assert link is not None
    query = parse_qs(urlsplit(unescape(link[1])).query)
    assert query == {"q": ['source.ip:"203.0.113.7"'], "range": ["24h"]}
    found = browser.get(unescape(link[1])).text
    assert found.count("203.0.113.7 - -") == int(re.search(r"<b>(\d+)</b> sự kiện", found)[1])  # type: ignore[index]


def test_older_events_are_a_page_further(site: Site) -> None:
    browser = site.signed("an")
    html = browser.get("/search?q=event.dataset:nginx.access&range=24h").text
    older = re.search(r'rel="next" href="([^"]+)"', html)
    assert older is not None
    following = browser.get(unescape(older[1])).text
    events = re.compile(r'href="/events/(\w+)"')
    assert len(set(events.findall(html)) | set(events.findall(following))) == 100


def test_a_query_that_is_none_is_told_and_kept(site: Site) -> None:
    answer = site.signed("an").get("/search?q=user.name:(a")
    assert answer.status_code == 400
    assert "Đây không phải là truy vấn hợp lệ." in answer.text
    assert 'value="user.name:(a"' in answer.text


@pytest.mark.parametrize(
    "query", ["range=9y", "from=tomorrow", "from=2026-11-24T10:00&to=2026-11-24T09:00"]
)
def test_an_odd_time_range_is_told(site: Site, query: str) -> None:
    answer = site.signed("an").get(f"/search?q=x&{query}")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_times_of_a_search_are_the_city_s() -> None:
    given = span("", "2026-11-24T09:00", "2026-11-24T10:30", now=NOW)
    assert given.when == TimeRange(
        datetime(2026, 11, 24, 2, 0, tzinfo=UTC), datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
    )
    assert given.local(NOW) == "2026-11-24T16:00:00"


def test_the_last_hour_holds_what_comes_from_clocks_that_run_ahead() -> None:
    assert span("1h", "", "", now=NOW).when == TimeRange(NOW - timedelta(hours=1), None)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_chart_has_at_most_sixty_odd_bars_within_its_frame(preset: str) -> None:
    chosen = span(preset, "", "", now=NOW)
    low = EPOCH + (chosen.start - EPOCH) // chosen.step * chosen.step
    steps = (chosen.stop - low) // chosen.step + 1
    counts = [(low + chosen.step * place, place + 1) for place in range(steps)]
    made = bars(counts, chosen)
    assert len(made) == steps <= 61
    assert all(bar.x >= 0 and bar.x + bar.width <= 1000.01 for bar in made)
    assert all(one.x + one.width <= other.x + 0.02 for one, other in pairwise(made))
    assert made[-1].height == 100


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        span("", "2026-11-24T10:00", "2026-11-24T10:00", now=NOW)


def test_a_chart_of_nothing_is_nothing() -> None:
    assert bars([], Span("1h", NOW - timedelta(hours=1), NOW, timedelta(minutes=1))) == []


def test_an_event_shows_all_its_fields_and_no_sequence(site: Site) -> None:
    browser = site.signed("an")
    event = re.search(r'href="/events/(\w+)"', browser.get("/tickets/1").text)
    assert event is not None
    html = browser.get(f"/events/{event[1]}").text
    names = re.findall(r'<th scope="row" class="mono">([^<]+)</th>', html)
    assert "host.name" in names
    assert not {"thapcanh.sequence", "thapcanh.node", "event.original"} & set(names)


def test_a_foreign_event_and_a_missing_one_look_the_same(site: Site) -> None:
    foreign = re.search(r'href="/events/(\w+)"', site.signed("an").get("/tickets/3").text)
    assert foreign is not None
    officer = site.signed("binh")
    answers = [officer.get(f"/events/{name}") for name in (foreign[1], "0" * 32, "x")]
    assert [one.status_code for one in answers] == [404, 404, 404]
    bare = {re.sub(r'value="[^"]*"', "", one.text) for one in answers}
    assert len(bare) == 1


def test_flattening_keeps_lists_and_drops_empty_values() -> None:
    document = {"host": {"ip": ["a", "b"], "name": ""}, "tags": [], "event": {"code": 0}}
    assert flatten(document) == {"host.ip": ["a", "b"], "event.code": 0}
    assert fields(document) == [("event.code", [0]), ("host.ip", ["a", "b"])]


def test_a_value_cannot_leave_its_quotes() -> None:
    assert term("user.name", 'a" OR *:* \\') == 'user.name:"a\\" OR *:* \\\\"'


def test_nothing_found_says_which_field_no_event_has(site: Site) -> None:
    html = site.signed("an").get("/search?q=ip:x+AND+event.dataset:nginx.access&range=24h").text
    said = re.findall(r"không sự kiện nào có trường <code>([^<]+)</code>", html)
    assert said == ["ip"]


def test_nothing_found_counts_what_fits_at_other_times(site: Site) -> None:
    site.clock.turn(timedelta(days=3))
    html = site.signed("an").get("/search?q=event.dataset:nginx.access&range=24h").text
    assert 'range=30d">Trong 30 ngày qua: 240 sự kiện</a>' in html


@pytest.mark.parametrize(
    "field",
    ["Logon Type", "a:b", "a(b)", "-a", "a*?", "AND", "a\\b", 'a"b', "a~2^3", "đăng nhập", "a/b[0]{c}", "user.name"],
)  # fmt: skip
def test_a_pivot_asks_for_the_field_however_a_sender_named_it(field: str) -> None:
    from pipeline.model.documents import term
    from pipeline.store.query import parse
    from pipeline.store.query_tree import Keyword

    assert parse(term(field, "x")) == Keyword(field, "x")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("lan~2", "Không hỗ trợ tìm gần đúng."),
        ("a:b:c", "Một trường nằm trong một trường khác."),
        ("thapcanh.extra:a", "Không tìm được trên trường này."),
        ("(a", "Hãy đóng phần còn mở: ngoặc, khoảng hoặc ngoặc kép."),
    ],
)
def test_a_query_that_is_refused_is_explained_in_the_reader_s_language(
    site: Site, query: str, said: str
) -> None:
    answer = site.signed("an").get(f"/search?{urlencode({'q': query})}")
    assert answer.status_code == 400
    assert said in unescape(answer.text)


def test_every_example_of_a_query_on_the_page_can_be_asked(site: Site) -> None:
    html = site.signed("an").get("/search").text
    shown = re.findall(r"<dt><code>([^<]+)</code>", html)
    shown += re.findall(r"""name="q"[^>]*placeholder='([^']+)'""", html)
    assert len(shown) == 5
    for example in shown:
        parse(unescape(example))
