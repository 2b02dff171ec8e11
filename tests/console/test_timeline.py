"""The entity's events of every source around a ticket: within its agency, a page at a time."""

from __future__ import annotations

import pytest
from support.console_client import Site

from pipeline.tickets.timeline import query_of


def test_the_timeline_shows_the_entity_s_events_of_the_ticket_s_agency_alone(site: Site) -> None:
    html = site.signed("an").get("/tickets/5/timeline").text
    assert "thuộc phiếu" in html
    assert "<script>" not in html
    assert {scope.agencies for scope in site.store.scopes} == {frozenset({"so-tai-chinh"})}
    assert site.signed("binh").get("/tickets/3/timeline").status_code == 404
    assert site.signed("binh").get("/tickets/5/timeline").status_code == 200


def test_without_the_store_the_page_says_so(site: Site) -> None:
    site.store.away = True
    assert site.signed("an").get("/tickets/5/timeline").status_code == 503


@pytest.mark.parametrize(
    ("entity", "fields", "query"),
    [
        ("", ["host.name"], ""),
        (
            "203.0.113.9", ["source.ip"],
            ('related.ip:"203.0.113.9" OR source.ip:"203.0.113.9" OR destination.ip:"203.0.113.9"'
            ' OR host.ip:"203.0.113.9"'),
        ),
        (
            'a"b', ["process.name"],
            ('host.name:"a\\"b" OR related.hosts:"a\\"b" OR user.name:"a\\"b" OR related.user:"a\\"b"'
            ' OR process.name:"a\\"b"'),
        ),
    ],
)  # fmt: skip
def test_an_entity_is_looked_for_wherever_a_source_may_put_it(
    entity: str, fields: list[str], query: str
) -> None:
    assert query_of(entity, fields) == query
