"""Who sent it: keys in every form that shippers use, addresses, and the register behind them."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from support.states import empty_state

from collectors.receivers import keys, registered
from collectors.receivers.counters import Knock, Knocks
from collectors.receivers.directory import AddressBook, SourceIdentity
from collectors.receivers.registered import RegisteredDirectory, RegisterReport
from pipeline.model.clock import utc_now
from pipeline.model.errors import ConflictError, NotFoundError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.sources.knocks import (
    admit_as_new,
    admit_knock,
    ignore_knock,
    list_knocks,
)
from pipeline.sources.senders import (
    add_certificate,
    means_of,
    new_source_key,
    revoke_certificate,
    revoke_source_key,
)
from pipeline.state.state import State
from pipeline.state.tables import register

A = SourceIdentity("a", "q1", "nginx", weak=True)
B = SourceIdentity("b", "q2", "nginx", weak=True)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (f"ApiKey {encoded('id:secret')}", ("id", "secret")),
        (f"apikey  {encoded('id:se:cret')} ", ("id", "se:cret")),
        (f"Bearer {encoded('id:secret')}", ("id", "secret")),
        ("Bearer id:secret", ("id", "secret")),
        (f"Basic {encoded('id:secret')}", ("id", "secret")),
        ("ApiKey id:secret", None),
        ("ApiKey !!!", None),
        ("Digest x", None),
        (f"Basic {encoded('no colon')}", None),
        (f"Basic {encoded(':x')}", None),
        ("", None),
    ],
)
def test_a_key_is_found_in_the_forms_that_shippers_send(
    header: str, key: tuple[str, str] | None
) -> None:
    assert keys.from_header(header) == key


def test_a_new_key_is_random_and_only_its_hash_matches_it() -> None:
    key_id, secret, kept = keys.new_key()
    assert keys.matches(secret, kept)
    assert not keys.matches(secret + "x", kept)
    assert not keys.matches("", b"")
    assert secret.encode() not in kept
    assert keys.new_key()[0] != key_id


def test_the_narrowest_range_of_the_listener_wins() -> None:
    book = AddressBook(
        [("udp", "10.0.0.0/8", A), ("udp", "10.1.0.0/16", B), ("tcp", "2001:db8::/32", B)]
    )
    assert [book.find("udp", a) for a in ("10.1.2.3", "10.2.0.1", "192.168.0.1", "::ffff:10.1.0.1")] == [
        B, A, None, B,
    ]  # fmt: skip
    assert [book.find("tcp", a) for a in ("10.1.2.3", "2001:db8::7", "fe80::1%eth0", "x")] == [
        None, B, None, None,
    ]  # fmt: skip


def test_knocks_are_counted_per_address_and_bounded() -> None:
    knocks = Knocks(capacity=2)
    for moment, address in enumerate(["1", "2", "1", "3"], 10):
        knocks.add("udp", address, moment)
    assert knocks.take() == [Knock("udp", "1", 10, 12, 2), Knock("udp", "3", 13, 13, 1)]
    assert knocks.take() == []


@pytest.fixture
def state(tmp_path: Path) -> State:
    opened = empty_state(tmp_path / "state.sqlite")
    now = utc_now()
    with opened.begin() as session:
        session.add(
            register.Agency(
                id="q1", name_vi="Quận 1", name_en="District 1", valid_from=now, valid_to=None
            )
        )
        session.flush()
        for name in ("web", "fw"):
            session.add(
                register.Source(id=name, agency="q1", product="nginx", name=name, created=now)
            )
        session.flush()
        session.add(
            register.SourceKey(
                id="k1",
                source="web",
                hash=keys.hashed("s"),
                created=now,
                expires=None,
                revoked=None,
            )
        )
        session.add(register.SourceAddress(source="fw", listener="udp", network="127.0.0.11/32"))
    return opened


def test_the_register_gives_identities_and_takes_them_away(state: State) -> None:
    directory = RegisteredDirectory(state)
    web = SourceIdentity("web", "q1", "nginx")
    assert directory.by_key("k1", "s") == web
    assert directory.by_key("k1", "wrong") is None
    assert directory.by_key("k2", "s") is None
    assert directory.by_address("udp", "127.0.0.11") == SourceIdentity(
        "fw", "q1", "nginx", weak=True
    )
    assert directory.by_address("tcp", "127.0.0.11") is None
    with state.begin() as session:
        session.get_one(register.SourceKey, "k1").revoked = utc_now()
        session.get_one(register.Source, "fw").state = "paused"
    assert directory.by_key("k1", "s") == web
    directory.refresh()
    assert directory.by_key("k1", "s") is None
    assert directory.by_address("udp", "127.0.0.11") is None


def test_a_key_ends_with_its_expiry_without_a_look_at_the_register(state: State) -> None:
    with state.begin() as session:
        session.get_one(register.SourceKey, "k1").expires = utc_now() - timedelta(seconds=1)
    assert RegisteredDirectory(state).by_key("k1", "s") is None


def test_an_agency_that_has_ended_sends_nothing_more(state: State) -> None:
    with state.begin() as session:
        session.get_one(register.Agency, "q1").valid_to = utc_now()
    assert RegisteredDirectory(state).by_key("k1", "s") is None


def test_counters_in_the_register_grow_across_restarts_of_the_collector(state: State) -> None:
    entry = {
        "receiver": "udp", "source": "fw", "received": 5, "bytes": 50, "spooled": 4, "acknowledged": 0,
        "repeated": 0, "connections": 0, "last_received": 1_700_000_000_000_000,
        "dropped": {"empty": 1}, "notes": {},
    }  # fmt: skip
    report = RegisterReport(state, "n1")
    report.save([entry, {**entry, "source": ""}], [Knock("udp", "9.9.9.9", 1, 2, 3)])
    report.save([{**entry, "received": 7}], [Knock("udp", "9.9.9.9", 3, 4, 1)])
    RegisterReport(state, "n1").save([entry], [])
    with state.read() as session:
        (seen,) = session.query(register.SourceSeen).all()
        (knock,) = session.query(register.Knock).all()
    assert (seen.source, seen.node) == ("fw", "n1")
    assert seen.counters["received"] == 12
    assert seen.counters["dropped.empty"] == 2
    assert (knock.address, knock.count) == ("9.9.9.9", 4)


def test_certificates_of_the_register_know_a_source_until_they_are_revoked(state: State) -> None:
    now, first, second = utc_now(), "sha256:" + "ab" * 32, "san:fw.q1.vn"
    fw = SourceIdentity("fw", "q1", "nginx")
    for name in (first.upper().replace("SHA256", "sha256"), second):
        add_certificate(state, OPERATOR, "fw", name, now=now)
    with pytest.raises(ConflictError):
        add_certificate(state, OPERATOR, "web", second, now=now)
    directory = RegisteredDirectory(state)
    assert [directory.by_certificate(names) for names in ([first], [second], ["san:x", second], ["san:x"], [])] == [
        fw, fw, fw, None, None,
    ]  # fmt: skip
    revoke_certificate(state, OPERATOR, first, now=now)
    directory.refresh()
    assert directory.by_certificate([first, second]) is None  # its name does not bring it back
    assert directory.by_certificate([second]) == fw
    add_certificate(state, OPERATOR, "fw", first, now=now)
    directory.refresh()
    assert directory.by_certificate([first, second]) == fw


def test_a_knock_is_admitted_by_its_address_or_its_certificate(state: State) -> None:
    fingerprint = "sha256:" + "cd" * 32
    RegisterReport(state, "n1").save(
        [],
        [
            Knock("udp", "9.9.9.9", 1, 2, 3, 900),
            Knock("tls", fingerprint, 1, 3, 1, known_by="certificate"),
        ],
    )
    newest, other = list_knocks(state, OPERATOR)
    assert (newest.address, other.address, other.count, other.size) == (
        fingerprint,
        "9.9.9.9",
        3,
        900,
    )
    assert admit_knock(state, OPERATOR, other.id, "fw", now=utc_now()).known_by == "udp=9.9.9.9/32"
    assert admit_knock(state, OPERATOR, newest.id, "web", now=utc_now()).known_by == fingerprint
    assert list_knocks(state, OPERATOR) == []
    directory = RegisteredDirectory(state)
    assert directory.by_address("udp", "9.9.9.9") == SourceIdentity("fw", "q1", "nginx", weak=True)
    assert directory.by_certificate([fingerprint]) == SourceIdentity("web", "q1", "nginx")
    with pytest.raises(NotFoundError):
        admit_knock(state, OPERATOR, other.id, "fw", now=utc_now())


def test_an_address_that_another_source_has_is_not_admitted_twice(state: State) -> None:
    for source in ("fw", "web"):  # the collector may report what was admitted a moment ago
        RegisterReport(state, "n1").save([], [Knock("udp", "9.9.9.9", 1, 2, 3)])
        (knock,) = list_knocks(state, OPERATOR)
        if source == "fw":
            admit_knock(state, OPERATOR, knock.id, source, now=utc_now())
    with pytest.raises(ConflictError, match="another source's"):
        admit_knock(state, OPERATOR, knock.id, "web", now=utc_now())
    assert admit_knock(state, OPERATOR, knock.id, "fw", now=utc_now()).known_by == "udp=9.9.9.9/32"
    assert list_knocks(state, OPERATOR) == []


def test_old_and_new_key_hold_together_until_the_old_one_is_revoked(state: State) -> None:
    key_id, _, secret = new_source_key(state, OPERATOR, "web", now=utc_now()).partition(":")
    directory = RegisteredDirectory(state)
    web = SourceIdentity("web", "q1", "nginx")
    assert [directory.by_key("k1", "s"), directory.by_key(key_id, secret)] == [web, web]
    revoke_source_key(state, OPERATOR, "k1", now=utc_now())
    directory.refresh()
    assert [directory.by_key("k1", "s"), directory.by_key(key_id, secret)] == [None, web]
    with state.read() as session:
        kept = session.get_one(register.SourceKey, key_id)
        assert (kept.hash, secret.encode() in kept.hash) == (keys.hashed(secret), False)


def test_a_knock_becomes_a_new_source_of_an_agency_by_what_it_is_known_by(state: State) -> None:
    given = [
        Knock("udp", "9.9.9.9", 1, 2, 3),
        Knock("tls", "sha256:" + "cd" * 32, 1, 3, 1, known_by="certificate"),
        Knock("http", "9.9.9.8", 1, 4, 1, 512, "key"),
        Knock("logs", "new-files", 1, 5, 1, known_by="settings"),
    ]
    RegisterReport(state, "n1").save([], given)
    made = [
        admit_as_new(
            state, OPERATOR, one.id, source=f"new-{one.listener.replace('logs', 'files')}", agency="q1",
            product="nginx", known_products=["nginx"], name="Mới", now=utc_now(),
        )
        for one in reversed(list_knocks(state, OPERATOR))
    ]  # fmt: skip
    assert [(one.source, one.known_by) for one in made if not one.key] == [
        ("new-udp", "udp=9.9.9.9/32"),
        ("new-tls", "sha256:" + "cd" * 32),
        ("new-files", "new-files"),
    ]
    (http,) = [one for one in made if one.key]
    directory = RegisteredDirectory(state)
    found = [
        directory.by_address("udp", "9.9.9.9"),
        directory.by_certificate([given[1].address]),
        directory.by_key(*http.key.split(":")),
        directory.by_source("new-files"),
    ]
    assert [one and one.source for one in found] == ["new-udp", "new-tls", "new-http", "new-files"]
    assert directory.by_address("http", "9.9.9.8") is None
    assert list_knocks(state, OPERATOR) == []


def test_a_knock_that_cannot_be_admitted_registers_nothing(state: State) -> None:
    RegisterReport(state, "n1").save([], [Knock("udp", "9.9.9.9", 1, 2, 3)])
    (knock,) = list_knocks(state, OPERATOR)
    admit_knock(state, OPERATOR, knock.id, "fw", now=utc_now())
    RegisterReport(state, "n1").save(
        [],
        [
            Knock("udp", "9.9.9.9", 1, 2, 3),
            Knock("logs", "files", 1, 3, 1, known_by="settings"),
        ],
    )
    for knock in list_knocks(state, OPERATOR):
        with pytest.raises((ConflictError, UsageError)):
            admit_as_new(
                state, OPERATOR, knock.id, source="other", agency="q1", product="nginx",
                known_products=["nginx"], now=utc_now(),
            )  # fmt: skip
    assert RegisteredDirectory(state).by_source("other") is None
    assert len(list_knocks(state, OPERATOR)) == 2


def test_who_is_ignored_is_counted_and_not_listed(state: State) -> None:
    report = RegisterReport(state, "n1")
    report.save([], [Knock("udp", "9.9.9.9", 1, 2, 3)])
    (knock,) = list_knocks(state, OPERATOR)
    ignore_knock(state, OPERATOR, knock.id, now=utc_now())
    report.save([], [Knock("udp", "9.9.9.9", 3, 4, 1)])
    assert list_knocks(state, OPERATOR) == []
    (ignored,) = list_knocks(state, OPERATOR, ignored=True)
    assert ignored.count == 4
    ignore_knock(state, OPERATOR, knock.id, ignore=False, now=utc_now())
    assert [one.id for one in list_knocks(state, OPERATOR)] == [knock.id]


def test_forged_addresses_do_not_fill_the_register(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registered, "KNOCKS_KEPT", 5)
    report = RegisterReport(state, "n1")
    report.save([], [Knock("udp", "9.9.9.9", 1, 1, 1)])
    (kept,) = list_knocks(state, OPERATOR)
    ignore_knock(state, OPERATOR, kept.id, now=utc_now())
    report.save([], [Knock("udp", f"10.0.0.{n}", n, n, 1) for n in range(2, 250)])
    assert [one.address for one in list_knocks(state, OPERATOR, ignored=True)] == [
        *(f"10.0.0.{n}" for n in range(249, 244, -1)), "9.9.9.9",
    ]  # fmt: skip


def test_a_key_ends_by_itself_and_the_old_ones_after_the_overlap(state: State) -> None:
    now = utc_now()
    directory = RegisteredDirectory(state)
    assert directory.by_key("k1", "s") is not None
    short = new_source_key(
        state, OPERATOR, "web", life=timedelta(days=1), now=now - timedelta(days=1)
    )
    new = new_source_key(state, OPERATOR, "web", overlap=timedelta(days=7), now=now)
    states = {one.id: one.state for one in means_of(state, OPERATOR, "web", now=now).keys}
    assert states == {
        "k1": "valid",
        short.partition(":")[0]: "expired",
        new.partition(":")[0]: "valid",
    }
    later = now + timedelta(days=8)
    states = {one.id: one.state for one in means_of(state, OPERATOR, "web", now=later).keys}
    assert states["k1"] == "expired"
    new_source_key(state, OPERATOR, "web", overlap=timedelta(), now=now)  # the old ones end at once
    directory.refresh()
    assert [directory.by_key(*key.split(":")) for key in ("k1:s", short, new)] == [None] * 3
    for life in (timedelta(), timedelta(days=9999)):
        with pytest.raises(UsageError):
            new_source_key(state, OPERATOR, "web", life=life, now=now)
