"""Many actors do what they like with three tickets; a small model says what must come of each deed."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from support.life_machine import Life


def test_whatever_actors_do_the_tickets_agree_with_the_model() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Life, settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )
