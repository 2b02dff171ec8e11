"""How much of a file a source has handed over before, by `ingest`, and under which name.

In: the bytes that a file begins with, and the state's file ranges. Out: the name (a fingerprint, hex) under which its
bytes are known, and the place up to which they are. A file that was shorter than `HEAD` when it was handed over has the
name of all that it held then: one that begins with the very same is that file, grown. Less than `SURE` bytes prove
nothing: many logs begin with the same word.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from collectors.files import HEAD, fingerprint_of
from pipeline.state.tables.intake import FileRange

SURE: Final = 64
_SHORT: Final = 2 * HEAD  # places are counted in UTF-8, which may be longer than what was read


def handed_over(session: Session, source: str, head: bytes, own: str) -> tuple[str, int]:
    """(name, place), (`own`, 0) where nothing of it was. `head`: its first `HEAD` bytes, none if it holds no lines."""
    of_source = FileRange.source == source
    short = set(
        session.scalars(
            select(FileRange.fingerprint).where(
                of_source, FileRange.start == 0, FileRange.stop <= _SHORT
            )
        )
    )
    names = {own}
    if short:
        names |= short & {fingerprint_of(head[:size]) for size in range(SURE, len(head))}
    best = own, 0
    for row in session.execute(
        select(FileRange.fingerprint, func.max(FileRange.stop))
        .where(of_source, FileRange.fingerprint.in_(names))
        .group_by(FileRange.fingerprint)
    ):
        best = max(best, (row[0], row[1]), key=lambda one: one[1])
    return best
