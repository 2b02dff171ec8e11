"""Of a correlation's events the earliest of each rule are kept and shown, however many came before."""

from __future__ import annotations

import random

from pipeline.detect.running.samples import MAX_SAMPLES, kept, places_kept, places_shown


def test_the_login_after_a_hundred_guesses_is_kept_and_shown() -> None:
    rules = [*["guess"] * 100, "login", "login", *["guess"] * 9]
    assert places_kept(rules) == [*range(MAX_SAMPLES), 100]
    assert places_shown(rules, 5) == [0, 1, 2, 3, 100]
    assert places_shown(rules, 1) == [0]


def test_of_a_rule_of_single_events_the_earliest_are_kept_and_shown() -> None:
    assert places_kept([""] * 100) == list(range(MAX_SAMPLES))
    assert places_shown([""] * 100, 5) == [0, 1, 2, 3, 4]
    assert places_shown([], 5) == places_kept([]) == []


def test_what_is_kept_is_a_function_of_the_set_however_it_comes() -> None:
    chance = random.Random(7)
    for _ in range(50):
        rules = chance.choices("abc", weights=(90, 9, 1), k=chance.randrange(80))
        events = [
            {"event": f"{n}", "time": chance.randrange(50), "rule": r} for n, r in enumerate(rules)
        ]
        whole = kept(events)
        chance.shuffle(events)
        cut = chance.randrange(len(events) + 1)
        assert kept([*kept(events[:cut]), *events[cut:]]) == whole
