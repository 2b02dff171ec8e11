"""What the engine makes of a pattern for speed finds what the pattern finds."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from collectors.formats.patterns import Patterns, PatternSpec

PATTERN = r'^"(?P<a.b>(?:[^"\\]|\\.)*)" "(?P<c>(?:[^"\\]|\\.)*)"'


@given(st.text(alphabet='ab"\\ \n', max_size=14))
def test_text_between_quotes_is_read_the_same_and_faster(text: str) -> None:
    line = f'"{text}" "x'
    plain = re.compile(PATTERN.replace("a.b", "ab"), re.ASCII).search
    for one in (line, line + '"', f'"{text}" "{text}"'):
        (group,) = Patterns([PatternSpec("k", PATTERN)]).parse([one]).groups
        found = plain(one)
        assert group.kind == ("k" if found else "other")
        if found:
            assert tuple(column[0] for column in group.columns) == found.groups()
