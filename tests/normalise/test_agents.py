"""A user agent's parts: told by the library where it knows them, nothing where it does not, whatever the text is."""

from __future__ import annotations

import pytest

from pipeline.normalise.agents import AGENT_PARTS, user_agent

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.2903.70"
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (IPHONE, ("Mobile Safari", "17.5", "iOS", "17.5", "iPhone")),
        (EDGE, ("Edge", "131.0.2903.70", "Windows", "10", None)),
        ("curl/8.5.0", ("curl", "8.5.0", None, None, None)),
        ("tự viết", (None,) * 5),
        ("\x1b[31m" * 2_000, (None,) * 5),
        ("(" * 50_000, (None,) * 5),
    ],
)
def test_the_parts_of_a_user_agent(text: str, parts: tuple[str | None, ...]) -> None:
    assert user_agent(text) == parts
    assert len(parts) == len(AGENT_PARTS) - 1
