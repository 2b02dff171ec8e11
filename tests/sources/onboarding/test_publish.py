"""From a draft to a source: once, within one's own agency, and never by taking another's address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.people import AUDITOR, analyst, officer
from support.states import empty_state

from pipeline.access import log
from pipeline.model.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    StaleError,
    UsageError,
)
from pipeline.model.scope import OPERATOR
from pipeline.normalise.product import load_products
from pipeline.settings.values import CollectSettings, Listener
from pipeline.sources.onboarding import drafts
from pipeline.sources.onboarding.doors import doors
from pipeline.sources.onboarding.drafts import Chosen
from pipeline.sources.onboarding.publish import publish, publish_draft
from pipeline.sources.onboarding.samples import Samples
from pipeline.sources.register import add_agency
from pipeline.state.state import State
from pipeline.state.tables.register import (
    Source,
    SourceAddress,
    SourceCertificate,
    SourceDraft,
    SourceKey,
)

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
PRODUCTS = load_products()
LISTENERS = (
    Listener(name="http", kind="http_bulk", port=9700),
    Listener(name="udp", kind="syslog_udp", port=9714),
    Listener(name="relp-tls", kind="relp", port=9715, certificate="c", key="k", client_ca="ca"),
)
DOORS = doors(CollectSettings(listeners=LISTENERS))
BINH = officer("binh", "p1")
BY_KEY = Chosen(product="nginx", source="p1-web", name="Cổng", sender="http", door="http")
BY_ADDRESS = Chosen(
    product="fortinet_fortigate", source="p1-fw", sender="fortigate", door="udp", address="10.1.2.3"
)
SAMPLES = Samples((b"\xffline",))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = empty_state(tmp_path / "state.sqlite")
    for agency in ("p1", "p2"):
        add_agency(made, OPERATOR, agency=agency, name_vi=agency, name_en=agency, now=NOW)
    yield made
    made.close()


def test_a_draft_survives_and_becomes_a_source_with_its_key(state: State) -> None:
    draft = drafts.begin(state, BINH, "p1", SAMPLES, Chosen(product="nginx"), now=NOW)
    drafts.change(
        state,
        BINH,
        draft,
        {"source": "p1-web", "sender": "http", "door": "http"},
        revision=1,
        now=NOW,
    )
    kept = drafts.find(state, BINH, draft)
    assert (kept.samples, kept.revision) == (SAMPLES, 2)
    assert kept.chosen == Chosen(product="nginx", source="p1-web", sender="http", door="http")
    made = publish_draft(state, BINH, draft, 2, DOORS, PRODUCTS, now=NOW)
    with state.read() as session:
        source = session.get_one(Source, "p1-web")
        keys = session.scalars(sa.select(SourceKey.hash)).all()
        left = session.scalars(sa.select(SourceDraft.id)).all()
    assert (source.agency, source.product, source.state, source.revision) == (
        "p1",
        "nginx",
        "published",
        1,
    )
    assert (made.source, len(keys), left) == ("p1-web", 1, [])
    assert made.key.split(":")[1].encode() not in keys[0]
    said = [one.what for one in log.recent(state, OPERATOR)]
    assert {"source_added", "source_published"} <= set(said)
    assert made.key.split(":")[1] not in str(log.recent(state, OPERATOR))


def test_publishing_twice_makes_one_source(state: State) -> None:
    draft = drafts.begin(state, BINH, "p1", SAMPLES, BY_KEY, now=NOW)
    publish_draft(state, BINH, draft, 1, DOORS, PRODUCTS, now=NOW)
    with pytest.raises(NotFoundError):
        publish_draft(state, BINH, draft, 1, DOORS, PRODUCTS, now=NOW)
    with pytest.raises(ConflictError, match="such a source already"):
        publish(state, BINH, "p1", BY_KEY, DOORS, PRODUCTS, now=NOW)


def test_a_failure_leaves_draft_and_nothing_else(state: State) -> None:
    publish(state, OPERATOR, "p2", BY_ADDRESS, DOORS, PRODUCTS, now=NOW)
    chosen = Chosen(
        product="nginx", source="p1-fw2", sender="syslog_device", door="udp", address="10.1.2.3"
    )
    draft = drafts.begin(state, BINH, "p1", SAMPLES, chosen, now=NOW)
    with pytest.raises(ConflictError, match="another source's"):
        publish_draft(state, BINH, draft, 1, DOORS, PRODUCTS, now=NOW)
    assert drafts.find(state, BINH, draft).chosen == chosen
    with state.read() as session:
        assert session.get(Source, "p1-fw2") is None


@pytest.mark.parametrize("address", ["10.1.2.0/24", "10.1.2.3/32"])
def test_no_range_may_hold_or_lie_in_another_agency_s(state: State, address: str) -> None:
    publish(state, OPERATOR, "p2", BY_ADDRESS, DOORS, PRODUCTS, now=NOW)
    mine = Chosen(product="nginx", source="x", sender="syslog_device", door="udp", address=address)
    with pytest.raises(ConflictError) as raised:
        publish(state, BINH, "p1", mine, DOORS, PRODUCTS, now=NOW)
    assert "p2" not in str(raised.value)


@pytest.mark.parametrize(
    "address", ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/23", "2001:db8::/48", "x", ""]
)
def test_an_officer_claims_no_wide_range(state: State, address: str) -> None:
    wide = Chosen(product="nginx", source="x", sender="syslog_device", door="udp", address=address)
    with pytest.raises(UsageError):
        publish(state, BINH, "p1", wide, DOORS, PRODUCTS, now=NOW)


def test_the_address_and_the_certificate_are_what_the_sender_is_known_by(state: State) -> None:
    made = publish(state, BINH, "p1", BY_ADDRESS, DOORS, PRODUCTS, now=NOW)
    by_certificate = Chosen(
        product="linux_auth", source="p1-linux", sender="rsyslog", door="relp-tls", address="san:fw.p1.example"
    )  # fmt: skip
    publish(state, BINH, "p1", by_certificate, DOORS, PRODUCTS, now=NOW)
    with state.read() as session:
        addresses = session.execute(sa.select(SourceAddress.source, SourceAddress.network)).all()
        names = session.scalars(sa.select(SourceCertificate.name)).all()
        keys = session.scalars(sa.select(SourceKey.id)).all()
    assert (made.key, keys) == ("", [])
    assert [tuple(one) for one in addresses] == [("p1-fw", "10.1.2.3/32")]
    assert names == ["san:fw.p1.example"]


def test_nobody_acts_beyond_their_agency_and_an_auditor_not_at_all(state: State) -> None:
    draft = drafts.begin(state, OPERATOR, "p2", SAMPLES, BY_KEY, now=NOW)
    with pytest.raises(NotFoundError):
        drafts.find(state, BINH, draft)
    with pytest.raises(NotFoundError):
        drafts.drop(state, BINH, draft, now=NOW)
    with pytest.raises(NotFoundError):
        publish_draft(state, BINH, draft, 1, DOORS, PRODUCTS, now=NOW)
    with pytest.raises(NotFoundError):
        drafts.begin(state, BINH, "p2", SAMPLES, BY_KEY, now=NOW)
    with pytest.raises(ForbiddenError):
        drafts.of_actor(state, AUDITOR)
    assert drafts.of_actor(state, BINH) == []
    assert [one.id for one in drafts.of_actor(state, analyst())] == [draft]


def test_a_stale_change_is_told_and_too_many_drafts_are_refused(state: State) -> None:
    draft = drafts.begin(state, BINH, "p1", SAMPLES, BY_KEY, now=NOW)
    drafts.change(state, BINH, draft, {"name": "a"}, revision=1, now=NOW)
    with pytest.raises(StaleError):
        drafts.change(state, BINH, draft, {"name": "b"}, revision=1, now=NOW)
    with pytest.raises(UsageError, match="too long"):
        drafts.change(state, BINH, draft, {"name": "b" * 301}, revision=2, now=NOW)
    for _ in range(drafts.MOST - 1):
        drafts.begin(state, BINH, "p1", SAMPLES, BY_KEY, now=NOW)
    with pytest.raises(UsageError, match="too many drafts"):
        drafts.begin(state, BINH, "p1", SAMPLES, BY_KEY, now=NOW)


def test_drafts_that_nobody_touches_go_with_their_samples(state: State) -> None:
    old = drafts.begin(state, BINH, "p1", SAMPLES, BY_KEY, now=NOW)
    fresh = drafts.begin(state, BINH, "p1", SAMPLES, BY_KEY, now=NOW + timedelta(days=2))
    keep = timedelta(days=14)
    assert drafts.expire(state, keep, now=NOW + keep + timedelta(seconds=1)) == 1
    assert [one.id for one in drafts.of_actor(state, BINH)] == [fresh]
    assert old != fresh
