"""The permission table: who may do what, over whose data. Everything that it does not grant is denied.

In: an actor (who), a permission (what) and, where one record is meant, its agency (whose).
Out: nothing, or an error: ForbiddenError where the role lacks the permission, NotFoundError where
the record is another agency's (a stranger's record and a missing one look the same).

`own` is the agencies the actor was given by name; `all` is every agency, save that an actor who was
given some by name (an analyst held to two wards, a token) stays within those. No actor ever reaches
further than its scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pipeline.model.errors import ForbiddenError, NotFoundError
from pipeline.model.scope import Actor, Scope

TABLE_TEXT: Final = """
permission       analyst  officer  auditor  administrator  operator  system
agency.read      all      own      all      all            all       all
agency.write     -        -        -        all            all       -
asset.read       all      own      all      all            all       all
asset.write      -        own      -        all            all       -
source.read      all      own      all      all            all       all
source.write     all      own      -        all            all       -
knock.settle     -        -        -        all            all       -
product.write    -        -        -        all            all       -
dead.read        all      own      all      all            all       all
dead.replay      -        own      -        all            all       -
event.search     all      own      all      all            all       all
rule.read        all      all      all      all            all       all
rule.write       all      -        -        all            all       -
watchlist.read   all      -        all      all            all       all
watchlist.write  all      -        -        all            all       -
exception.read   all      own      all      all            all       all
exception.write  all      -        -        all            all       -
exception.approve  all    -        -        all            all       -
run.read         all      own      all      all            all       all
finding.read     all      own      all      all            all       all
ticket.read      all      own      all      all            all       all
ticket.comment   all      own      -        all            all       all
ticket.claim     all      -        -        all            all       -
ticket.assign    all      -        -        all            all       -
ticket.close     all      -        -        all            all       all
ticket.reopen    all      -        -        all            all       all
ticket.merge     all      -        -        all            all       all
operation.read   all      -        all      all            all       all
retention.run    -        -        -        all            all       all
hold.write       -        -        -        all            all       -
mirror.replay    -        -        -        all            all       -
token.issue      all      own      all      all            all       -
person.read      -        -        all      all            all       -
person.write     -        -        -        all            all       -
access.read      -        -        all      all            all       -
"""
# rule.read is `all` for officers: rules belong to no agency. Watch-lists hold what the centre hunts
# for. operation.read: pulses, alarms, nodes.

PEOPLE_ROLES: Final = ("analyst", "officer", "auditor", "administrator")
"""The roles that a person can have; `operator` owns the home folder, `system` is the pipeline."""


def _read(text: str) -> Mapping[str, Mapping[str, str]]:
    header, *rows = (line.split() for line in text.strip().splitlines())
    table = {row[0]: MappingProxyType(dict(zip(header[1:], row[1:], strict=True))) for row in rows}
    odd = {cell for row in table.values() for cell in row.values()} - {"all", "own", "-"}
    if odd or len(table) != len(rows):
        raise ValueError(f"the permission table is broken: {odd or 'a permission stands twice'}")
    return MappingProxyType(table)


TABLE: Final = _read(TABLE_TEXT)
"""permission → role → `all`, `own` or `-`."""


def reach(role: str, permission: str) -> str:
    """`all`, `own` or `-`; `-` also for a role or a permission that the table does not know."""
    return TABLE.get(permission, {}).get(role, "-")


def permissions_of(role: str) -> frozenset[str]:
    return frozenset(permission for permission in TABLE if reach(role, permission) != "-")


def may(actor: Actor, permission: str) -> bool:
    """Whether the actor has the permission over any agency at all."""
    narrowed = actor.permissions is not None and permission not in actor.permissions
    return not narrowed and reach(actor.role, permission) != "-"


def scope_for(actor: Actor, permission: str) -> Scope:
    """The agencies over which the actor has the permission; ForbiddenError where it has none."""
    if not may(actor, permission):
        raise ForbiddenError(
            "this role may not do that", where=permission, got=f"{actor.name} as {actor.role}"
        )
    if reach(actor.role, permission) == "own" and actor.scope.agencies is None:
        return Scope.of()  # nobody's own: an officer without agencies sees nothing
    return actor.scope


def require(actor: Actor, permission: str, agency: str | None) -> None:
    """Let pass, or raise. `agency` is the record's; None asks for the permission as such."""
    scope = scope_for(actor, permission)
    if agency is not None and not scope.allows(agency):
        raise NotFoundError("nothing such")
