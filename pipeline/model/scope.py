"""Who acts, and over whose data: both are required arguments wherever data are read or changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ActorKind = Literal["person", "operator", "token", "system"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The agencies that may be seen. Made by `Scope.of` or, deliberately, by `Scope.everything`."""

    agencies: frozenset[str] | None

    @classmethod
    def of(cls, *agencies: str) -> Scope:
        return cls(frozenset(agencies))

    @classmethod
    def everything(cls) -> Scope:
        return cls(None)

    def allows(self, agency: str) -> bool:
        return self.agencies is None or agency in self.agencies

    def covers(self, other: Scope) -> bool:
        """Whether it allows whatever the other allows."""
        return self.agencies is None or (
            other.agencies is not None and other.agencies <= self.agencies
        )


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does a deed, as the history records it. `role` is a key of the permission table.

    `permissions` narrows the role (a token's); None takes all that the role has.
    """

    kind: ActorKind
    id: str
    role: str
    scope: Scope
    permissions: frozenset[str] | None = None

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.id}"


OPERATOR = Actor("operator", "home", "operator", Scope.everything())
"""Who owns the home folder and uses its command line."""

SYSTEM = Actor("system", "pipeline", "system", Scope.everything())
