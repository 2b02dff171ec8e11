"""Free text over a column: which texts hold these folded tokens, exactly as `pipeline.model.fold` has it.

In: an Arrow array of texts and a `Words` leaf. Out: a mask. Plain ASCII, nearly all of a log, is looked
through once for the longest token, and only what holds it is lowered and meets a regular expression. Other text
meets an expression in which every letter stands for all that fold to it (``tr[aàáảãạâ…]n``). Text with
characters whose folding depends on their neighbours (Hangul parts, some Indic vowels, rare planes) is
folded for real. No index, no folded copy.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from pipeline.model.fold import fold_letters, is_token, tokens
from pipeline.store.query_tree import Words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

_LAST: Final = 0xFFFF  # beyond it every character but the pictographs is taken the slow way
_FEW: Final = 40
COMMON: Final = (
    r"\x{0}-\x{377}\x{1E00}-\x{1EFF}\x{2010}-\x{2027}\x{2030}-\x{205E}\x{2100}-\x{218B}\x{2190}-\x{23FF}"
    r"\x{2500}-\x{27FF}\x{3000}-\x{3029}\x{4E00}-\x{9FEF}\x{AC00}-\x{D7A3}"
)
"""Latin, Vietnamese, signs, Han, Hangul syllables: nothing awkward is among them (a test holds it)."""
_PICTOGRAPHS: Final = range(0x1F300, 0x1F700)


def holds(texts: Any, words: Words) -> Mask:
    """For each text of the array whether it holds the words; a missing text does not."""
    import numpy as np
    import pyarrow.compute as pc

    found = np.zeros(len(texts), dtype=np.bool_)
    plain = _plain(texts)
    if all(token.isascii() for token in words.tokens):
        longest = max(words.tokens, key=len)  # a plain literal, which RE2 seeks four times as fast
        likely = pc.match_substring_regex(texts, longest, ignore_case=True)
        rows = np.flatnonzero(_mask(likely) & plain)
        if len(rows):
            lowered = pc.ascii_lower(texts.take(rows))
            hits = pc.match_substring_regex(lowered, _ascii_regex(words))
            found[rows] = _mask(hits)
    rows = np.flatnonzero(~plain & _mask(texts.is_valid()))
    if len(rows):
        found[rows] = _accented(texts.take(rows), words)
    return found


def _plain(texts: Any) -> Mask:
    """Which texts are ASCII; a look at all bytes at once mostly says it of every one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(texts.type) and len(texts):
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        if data is None or np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].max(initial=0) < 0x80:
            return _mask(texts.is_valid())
    return _mask(pc.string_is_ascii(texts))


def text_holds(text: str, words: Words) -> bool:
    """The same for one text, by folding it."""
    have, want = tokens(text), words.tokens
    for start in range(len(have) - len(want) + 1):
        part = have[start : start + len(want)]
        if len(want) == 1 and words.open_start and words.open_end:
            fits = want[0] in part[0]
        else:
            first = part[0].endswith(want[0]) if words.open_start else part[0] == want[0]
            last = part[-1].startswith(want[-1]) if words.open_end else part[-1] == want[-1]
            if len(want) == 1:
                fits = first if words.open_start else last
            else:
                fits = first and last and part[1:-1] == list(want[1:-1])
        if fits:
            return True
    return False


def _mask(array: Any) -> Mask:
    import numpy as np
    import pyarrow.compute as pc

    filled = pc.fill_null(array, False) if array.null_count else array
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _ascii_regex(words: Words) -> str:
    """Over lowered ASCII: a token is a run of letters and digits."""
    start = "" if words.open_start else "(?:^|[^a-z0-9])"
    stop = "" if words.open_end else "(?:[^a-z0-9]|$)"
    return start + "[^a-z0-9]+".join(words.tokens) + stop


def _accented(texts: Any, words: Words) -> Mask:
    """Texts that are not all ASCII. A small loose expression thins them: the strict one takes longer to
    build than a few texts take to fold."""
    import numpy as np
    import pyarrow.compute as pc

    table = _table()
    if any(char not in table.letters for token in words.tokens for char in token):
        return np.array([text_holds(text, words) for text in texts.to_pylist()], dtype=np.bool_)
    found = np.zeros(len(texts), dtype=np.bool_)
    rows = np.flatnonzero(_mask(pc.match_substring_regex(texts, _loose_regex(words))))
    if len(rows) > _FEW:
        found[rows] = _mask(pc.match_substring_regex(texts.take(rows), _accent_regex(words)))
    else:
        found[rows] = [text_holds(texts[int(row)].as_py(), words) for row in rows]
    rare = np.flatnonzero(_mask(pc.match_substring_regex(texts, f"[^{COMMON}]")))
    if len(rare):
        rare = rare[_mask(pc.match_substring_regex(texts.take(rare), table.awkward))]
    for row in rare:
        found[row] = text_holds(texts[int(row)].as_py(), words)
    return found


@lru_cache(maxsize=64)
def _loose_regex(words: Words) -> str:
    """Fits wherever the longest token does, and perhaps elsewhere."""
    letters = _table().letters
    return "".join(f"[{letters[c]}][\\x{{300}}-\\x{{10FFFF}}]*" for c in max(words.tokens, key=len))


@lru_cache(maxsize=64)
def _accent_regex(words: Words) -> str:
    """Marks may follow any letter and come before any token; a parting is anything but letter, digit, mark."""
    table = _table()
    marks, token, parting = f"[{table.marks}]*", table.tokens, f"[^{table.tokens}{table.marks}]"
    start = "" if words.open_start else f"(?:^|{parting}){marks}"
    stop = "" if words.open_end else f"(?:{parting}|$)"
    gap = f"[^{token}]*{parting}[^{token}]*"
    spelled = ("".join(f"[{table.letters[c]}]{marks}" for c in word) for word in words.tokens)
    return start + gap.join(spelled) + stop


class _Table:
    """Classes of characters for RE2, from this Python's Unicode: what each letter may be written as
    (`letters`), what makes tokens, what are marks, and a class of what one character alone cannot settle."""

    def __init__(self) -> None:
        written: dict[str, list[int]] = {}
        token: list[int] = []
        mark: list[int] = []
        settled: list[int] = list(_pictographs())
        seconds = _second_halves()
        for point in range(_LAST + 1):
            if 0xD800 <= point <= 0xDFFF or point in seconds:
                continue
            char = chr(point)
            folded = fold_letters(char)
            category = unicodedata.category(char)
            if category == "Cn":
                continue
            if category == "Mn":
                if folded:
                    continue
                mark.append(point)
            elif len(folded) == 1 and is_token(folded) == is_token(char):
                if is_token(char):
                    token.append(point)
                    written.setdefault(folded, []).append(point)
            elif is_token(char) or any(map(is_token, folded)):
                continue
            settled.append(point)
        self.tokens, self.marks = _ranges(token), _ranges(mark)
        self.letters = {char: _ranges(points) for char, points in written.items()}
        self.awkward = f"[^{_ranges(settled)}]"


@cache
def _table() -> _Table:
    return _Table()


def _pictographs() -> Iterable[int]:
    return (p for p in _PICTOGRAPHS if unicodedata.category(chr(p)) in ("So", "Sk"))


def _second_halves() -> frozenset[int]:
    """Characters that are no marks but join what stands before them: Hangul parts, some Indic vowels."""
    found = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    for point in range(_LAST + 1):
        parts = unicodedata.decomposition(chr(point)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            second = int(parts[1], 16)
            if unicodedata.category(chr(second)) != "Mn":
                found.add(second)
    return frozenset(found)


def _ranges(points: Iterable[int]) -> str:
    """``\\x{61}-\\x{7A}…``: the inside of a class."""
    made: list[list[int]] = []
    for point in sorted(points):
        if made and point == made[-1][1] + 1:
            made[-1][1] = point
        else:
            made.append([point, point])
    return "".join(
        f"\\x{{{first:X}}}" if first == last else f"\\x{{{first:X}}}-\\x{{{last:X}}}"
        for first, last in made
    )
