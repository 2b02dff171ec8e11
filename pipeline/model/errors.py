"""One tree of errors. Each says what is wrong, where, what was found and expected, and what to do.

>>> str(UsageError("the product is unknown", where="--product", got="fortigat", remedy="try fortinet_fortigate"))
'the product is unknown (at --product; got fortigat). try fortinet_fortigate'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class ThapCanhError(Exception):
    """The root: anything that a user, an officer or an operator can be told in one line."""

    exit_code: ClassVar[int] = 2
    http_status: ClassVar[int] = 400

    def __init__(
        self, what: str, *, where: str = "", got: str = "", expected: str = "", remedy: str = ""
    ) -> None:
        super().__init__(what)
        self.what, self.where = what, where
        self.got, self.expected, self.remedy = got, expected, remedy

    def __str__(self) -> str:
        parts = [
            f"at {self.where}" if self.where else "",
            f"got {self.got}" if self.got else "",
            f"expected {self.expected}" if self.expected else "",
        ]
        place = "; ".join(part for part in parts if part)
        return (
            self.what
            + (f" ({place})" if place else "")
            + (f". {self.remedy}" if self.remedy else "")
        )


class UsageError(ThapCanhError):
    """The caller's words are off: a wrong option, setting, query or file."""


class QueryError(UsageError):
    """A search that cannot be read or not be answered exactly. `position` counts characters from 0.

    >>> str(QueryError("fuzzy search is not answered", text="user.name:lan~2", position=13, remedy="try lan*"))
    'fuzzy search is not answered (at character 14; got user.name:lan‸~2). try lan*'
    """

    def __init__(
        self, what: str, *, text: str, position: int, expected: str = "", remedy: str = ""
    ) -> None:
        before, after = text[max(0, position - 40) : position], text[position : position + 20]
        super().__init__(
            what, where=f"character {position + 1}", got=f"{before}‸{after}",
            expected=expected, remedy=remedy,
        )  # fmt: skip
        self.text, self.position = text, position

    @property
    def pointer(self) -> str:
        """The text, and beneath it a caret at the place."""
        return f"{self.text}\n{' ' * self.position}^"


class LimitError(UsageError):
    """A search asks for more time or memory than one search may take."""


class LargeError(UsageError):
    """What was handed in is larger than anything that is taken."""

    http_status = 413


class NotFoundError(ThapCanhError):
    """Nothing such, or nothing such within the caller's scope (the two look the same)."""

    exit_code = 1
    http_status = 404


class ForbiddenError(ThapCanhError):
    """The permission table says no."""

    http_status = 403


class ConflictError(ThapCanhError):
    """Somebody else was first: a stale revision, a claim held by another, a lost lease."""

    http_status = 409


class StaleError(ConflictError):
    """The record has changed since the writer saw it."""


class RefusedError(ThapCanhError):
    """The work was done, but something of it was refused; the message names it."""

    exit_code = 3
    http_status = 422


class ServiceAwayError(ThapCanhError):
    """A store, a database or an outside system does not answer. Trying again may help."""

    exit_code = 4
    http_status = 503


class DamagedError(ThapCanhError):
    """Data on disk is not what was written: a checksum, a footer or a length is off."""


class FaultsError(UsageError):
    """All faults of one configuration or rule set, reported together."""

    def __init__(self, what: str, faults: Sequence[ThapCanhError]) -> None:
        super().__init__(what)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.what}: {len(self.faults)}", *(f"  {fault}" for fault in self.faults)]
        )
