"""The rule by which a replay is told from new records that happen to be equal."""

from __future__ import annotations

import random

import pytest

from collectors.receivers.replay import KEPT, Match, Tail, Tails
from pipeline.model.records import RawRecord


def tail(text: str, unacknowledged: int = 0) -> Tail:
    made = Tail(1)
    made.add(map(hash, text.encode()))
    made.unacknowledged = unacknowledged
    return made


def replayed(stored: str, sent: str, unacknowledged: int = 0) -> int:
    match = Match([tail(stored, unacknowledged)])
    for letter in sent.encode():
        match.feed(hash(letter))
    found = match.replayed()
    return found[1] if found else 0


@pytest.mark.parametrize(
    ("stored", "sent", "length", "why"),
    [
        ("abcdef", "defgh", 3, "the end of the tail, in order, then new records"),
        ("abcdef", "abcdef", 6, "the whole tail"),
        ("abcdef", "f", 1, "one record"),
        ("abcdef", "ghi", 0, "nothing is known of them"),
        ("abcdef", "cde", 0, "the end is not reached"),
        ("abcdef", "cdx", 0, "it fits no further"),
        ("abcdef", "fed", 1, "only what is in order"),
        ("abcdef", "xef", 0, "only from the session's beginning"),
        (
            "aba",
            "abac",
            3,
            "the longest fit, where a shorter one would leave out records in between",
        ),
        ("xxxxx", "xxxxx", 1, "a line repeated: rather stored twice than lost"),
        ("qxxx", "qxxxy", 4, "a repetition with a beginning of its own"),
        ("abab", "abab", 2, "lines that take turns are repetitions as well"),
        ("xxaxx", "xxaxxy", 5, "equal ends do not make it a repetition"),
    ],
)
def test_how_much_of_a_new_session_is_a_replay(
    stored: str, sent: str, length: int, why: str
) -> None:
    assert replayed(stored, sent) == length, why


def test_a_replay_holds_all_that_was_surely_not_acknowledged() -> None:
    assert replayed("xxxxx", "xxxxx", unacknowledged=4) == 4
    assert replayed("xxxxx", "xx", unacknowledged=4) == 0
    assert replayed("abcdef", "ef", unacknowledged=3) == 0
    assert replayed("abcdef", "cdef", unacknowledged=3) == 4


@pytest.mark.parametrize(
    ("elsewhere", "stored", "sent", "length", "why"),
    [
        ("", "abcdef", "defgh", 3, "the client may not have its answers, whoever has"),
        ("", "x", "x", 1, "said once before: a replay of it"),
        ("x", "x", "x", 0, "said in another session too: a line that repeats"),
        ("", "xxxxx", "xxxxx", 0, "said again and again: rather stored twice than lost"),
        ("", "xabx", "x", 0, "said earlier in the session"),
        ("", "xabx", "bx", 2, "but not what came before it"),
        ("ab", "cab", "cab", 3, "one of its lines was never said elsewhere"),
    ],
)
def test_where_the_answers_were_taken_a_line_that_repeats_is_no_replay(
    elsewhere: str, stored: str, sent: str, length: int, why: str
) -> None:
    told = tail(stored)
    told.told = True
    match = Match([tail(elsewhere), told] if elsewhere else [told])
    for letter in sent.encode():
        match.feed(hash(letter))
    found = match.replayed()
    assert (found[1] if found else 0) == length, why


def test_any_suffix_of_distinct_records_is_recognised_at_its_last_record() -> None:
    chooser = random.Random(7)
    for _ in range(200):
        hashes = [chooser.getrandbits(60) for _ in range(chooser.randrange(1, 3 * KEPT))]
        stored = Tail(1)
        for value in hashes:
            stored.add((value,))
        length = chooser.randrange(1, min(len(hashes), KEPT) + 1)
        match = Match([stored])
        for value in hashes[-length:]:
            assert match.waiting
            match.feed(value)
        assert (match.waiting, match.replayed()) == (False, (stored, length))


def test_the_tail_that_fits_is_found_among_several_and_one_that_grows_is_none() -> None:
    first, second = tail("abc"), tail("xyz")
    match = Match([first, second])
    match.feed(hash(b"y"[0]))
    match.feed(hash(b"z"[0]))
    assert match.replayed() == (second, 2)
    second.add((1,))
    assert match.replayed() is None


def record(body: bytes, session: int, peer: str = "p") -> RawRecord:
    return RawRecord(1, "s", 0, body, peer=peer, session=session)


def test_tails_are_recovered_from_the_spool_by_session_without_those_closed_in_order() -> None:
    tails = Tails()
    tails.recover(
        [
            record(b"a1", 1), record(b"b1", 2), record(b"a2", 1), record(b"udp", 0),
            record(b"c1", 3), record(b"d1", 4, "other"),
        ],
        ended=frozenset({3}),
    )  # fmt: skip
    found = {t.session: list(t.hashes) for t in tails.of("s", "p")}
    assert found == {1: [hash(b"a1"), hash(b"a2")], 2: [hash(b"b1")]}
    assert [t.session for t in tails.of("s", "other")] == [4]
    assert tails.of("other", "p") == []


def test_the_tails_of_a_sender_and_of_all_senders_are_bounded() -> None:
    tails = Tails()
    for number in range(20):
        made = tails.begin("s", "p", number + 1, object())
        made.add((number,))
        tails.end("s", "p", made)
    assert [t.session for t in tails.of("s", "p")] == list(range(13, 21))
    for number in range(2500):
        made = tails.begin("s", f"p{number}", number + 1, object())
        made.add((number,))
        tails.end("s", f"p{number}", made)
    assert tails.of("s", "p") == tails.of("s", "p499") == []
    assert len(tails.of("s", "p500")) == len(tails.of("s", "p2499")) == 1
