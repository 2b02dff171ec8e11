"""A key that a line repeats keeps every value, and costs no more than other keys do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from collectors.formats.cef import extension
from collectors.formats.key_value import pairs
from collectors.formats.leef import parts

MANY = 20_000
READ: dict[str, Callable[[str], dict[str, str]]] = {
    "key_value": lambda text: dict(zip(*pairs(text), strict=True)),
    "cef": extension,
    "leef": lambda text: {
        k: v for k, v in (parts("LEEF:1.0|V|P|1|7|" + text.replace(" ", "\t")) or {}).items() if "." not in k
    },
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_each_value_has_a_name_of_its_own(name: str) -> None:
    assert READ[name]("a=1 a=2 b=3 a=4") == {"a": "1", "a#2": "2", "b": "3", "a#3": "4"}


def test_a_name_that_is_taken_already_is_passed_over() -> None:
    assert READ["key_value"]("a=1 a#2=x a=2") == {"a": "1", "a#2": "x", "a#3": "2"}


@pytest.mark.parametrize("name", READ)
def test_a_line_that_repeats_one_key_is_read_in_the_end(name: str) -> None:
    """By counting anew for each it took minutes."""
    found = READ[name]("a=1 " * MANY)
    assert (len(found), found[f"a#{MANY}"]) == (MANY, "1")
