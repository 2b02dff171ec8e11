"""Actors for tests of tickets."""

from __future__ import annotations

from pipeline.model.scope import Actor, Scope


def analyst(name: str = "an") -> Actor:
    return Actor("person", name, "analyst", Scope.everything())


def officer(name: str = "binh", *agencies: str) -> Actor:
    return Actor("person", name, "officer", Scope.of(*agencies))


AUDITOR = Actor("person", "kiem", "auditor", Scope.everything())
