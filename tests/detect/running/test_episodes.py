"""The partition of matches into episodes against a brute-force oracle, and who survives a join."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.detect.running.episodes import Change, Held, birth_id, unite
from pipeline.model.detections import Match

QUIET = 10


def match(time: int, event: str = "") -> Match:
    return Match("r", "v1", event or f"e{time}", "ward", "pc-1", time, "n", time)


class Book:
    """Findings kept in memory the way the state keeps them."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.events: dict[str, str] = {}  # event -> finding
        self.times: dict[str, int] = {}
        self.merged: dict[str, str] = {}
        self.births = 0

    def take(self, batch: list[Match]) -> list[Change]:
        new = [m for m in batch if m.event not in self.events]
        changes = unite(self.held.values(), new, QUIET)
        for change in changes:
            if change.born:
                self.births += 1
            born = self.births if change.born else self.held[change.id].born
            self.held[change.id] = Held(change.id, born, change.first, change.last)
            for gone in change.absorbed:
                assert self.held.pop(gone).born > born, "the older absorbs the younger"
                self.merged[gone] = change.id
                self.events.update({e: change.id for e, f in self.events.items() if f == gone})
            for m in change.matches:
                self.events[m.event], self.times[m.event] = change.id, m.time
        return changes

    def partition(self) -> set[frozenset[str]]:
        groups: dict[str, set[str]] = {}
        for event, finding in self.events.items():
            groups.setdefault(finding, set()).add(event)
        return {frozenset(group) for group in groups.values()}


def oracle(matches: list[Match]) -> set[frozenset[str]]:
    """Join any two matches within the quiet time until nothing changes."""
    groups = [{m.event: m.time} for m in {m.event: m for m in matches}.values()]
    while True:
        for a in groups:
            near = next(
                (
                    b
                    for b in groups
                    if b is not a
                    and any(abs(x - y) <= QUIET for x in a.values() for y in b.values())
                ),
                None,
            )
            if near is not None:
                a.update(near)
                groups.remove(near)
                break
        else:
            return {frozenset(group) for group in groups}


@st.composite
def batches(draw: st.DrawFn) -> list[list[Match]]:
    times = draw(st.lists(st.tuples(st.integers(0, 150), st.integers(0, 2)), max_size=25))
    matches = [match(time, f"e{time}-{n}") for time, n in times]
    matches += draw(st.lists(st.sampled_from(matches), max_size=5)) if matches else []
    matches = draw(st.permutations(matches))
    cuts = sorted(draw(st.lists(st.integers(0, len(matches)), max_size=6)))
    return [matches[a:b] for a, b in zip([0, *cuts], [*cuts, len(matches)], strict=True)]


@given(batches())
def test_any_order_batching_and_repeats_give_the_partition_of_the_oracle(
    batches: list[list[Match]],
) -> None:
    book = Book()
    for batch in batches:
        book.take(batch)
    everything = [m for batch in batches for m in batch]
    assert book.partition() == oracle(everything)
    ends = {(h.first, h.last) for h in book.held.values()}
    assert ends == {
        (min(book.times[e] for e in g), max(book.times[e] for e in g)) for g in book.partition()
    }


@given(batches())
def test_an_id_is_never_given_twice_and_every_absorbed_one_leads_to_a_living_one(
    batches: list[list[Match]],
) -> None:
    book, born = Book(), []
    for batch in batches:
        born += [c.id for c in book.take(batch) if c.born]
    assert len(born) == len(set(born))
    for gone in book.merged:
        here = gone
        while here in book.merged:
            here = book.merged[here]
        assert here in book.held


def test_matches_exactly_the_quiet_time_apart_are_one_episode_and_a_microsecond_more_are_two() -> (
    None
):
    one = unite([], [match(0), match(QUIET)], QUIET)
    two = unite([], [match(0), match(QUIET + 1)], QUIET)
    assert [(c.first, c.last) for c in one] == [(0, QUIET)]
    assert [(c.first, c.last) for c in two] == [(0, 0), (QUIET + 1, QUIET + 1)]


def test_a_late_match_that_joins_two_episodes_lets_the_one_created_first_survive() -> None:
    younger_in_time = Held("first-created", 1, 100, 120)
    older_in_time = Held("second-created", 2, 80, 85)
    late = match(92)
    assert unite([older_in_time, younger_in_time], [late], QUIET) == [
        Change("first-created", False, 80, 120, (late,), ("second-created",))
    ]


def test_an_earlier_match_extends_an_episode_without_changing_its_id() -> None:
    book = Book()
    book.take([match(50)])
    book.take([match(45)])
    assert book.held == {birth_id(match(50)): Held(birth_id(match(50)), 1, 45, 50)}


def test_an_episode_that_no_match_comes_near_does_not_change() -> None:
    far = Held("far", 1, 0, 5)
    assert [c.id for c in unite([far], [match(100)], QUIET)] == [birth_id(match(100))]
