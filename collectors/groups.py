"""Listener groups: which of a collector's listeners live in a process of their own.

In: the settings of `collect`. Out: the settings of each process. A listener's ``group`` names its process; those
without one, and all files, are the collector's own. Each process is a node: it has its own event loop, its own spool
folder and its own sequences from 1, so that one that is flooded, hangs or falls stops no other, and nobody has to share
a counter. Its node is ``<collect.node>.<group>``, its role ``collect.<group>``::

    collect-1          role collect           http
    collect-1.syslog   role collect.syslog    syslog-tcp, syslog-udp
    collect-1.relp     role collect.relp      relp
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from collectors.spool import nodes
from pipeline.model.errors import UsageError
from pipeline.settings.values import CollectSettings

ROLE: Final = "collect"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")


def groups(settings: CollectSettings) -> tuple[str, ...]:
    """The named ones, in the order of the settings. Raises UsageError for a name that cannot be one."""
    for one in settings.listeners:
        if one.group and not _NAME.fullmatch(one.group):
            raise UsageError(
                "the group's name cannot be used",
                where=f"collect.listeners {one.name}, group",
                got=repr(one.group),
                expected="small letters, digits and '-', at most 20",
            )
    return tuple(dict.fromkeys(one.group for one in settings.listeners if one.group))


def roles(settings: CollectSettings) -> tuple[str, ...]:
    """The roles that collect, the collector's own first."""
    return (ROLE, *(role_of(group) for group in groups(settings)))


def role_of(group: str) -> str:
    return f"{ROLE}.{group}" if group else ROLE


def collects(role: str) -> bool:
    return role == ROLE or role.startswith(f"{ROLE}.")


def with_groups(roles_: Collection[str], settings: CollectSettings) -> tuple[str, ...]:
    """The same roles, the collector's groups behind it."""
    return tuple(each for role in roles_ for each in (roles(settings) if role == ROLE else (role,)))


def part(settings: CollectSettings, role: str) -> CollectSettings:
    """What the process of a role collects. Raises UsageError for a group that no listener names."""
    group = role.removeprefix(ROLE).removeprefix(".")
    listeners = tuple(one for one in settings.listeners if one.group == group)
    if not group:
        return replace(settings, listeners=listeners)
    if not listeners:
        raise UsageError(
            "no listener is in this group", where="collect.listeners", got=group,
            expected=", ".join(groups(settings)) or "a listener with group: " + group,
        )  # fmt: skip
    return replace(settings, node=f"{settings.node}.{group}", listeners=listeners, files=())


def several_take(kind: str, settings: CollectSettings) -> bool:
    """Whether listeners of a kind are in more processes than one."""
    return len({one.group for one in settings.listeners if one.kind == kind}) > 1


def family(root: Path, node: str) -> list[str]:
    """The nodes of the same collector that have a spool, this one last: a listener may have been in another
    group before."""
    first = node.partition(".")[0]
    others = [one for one in nodes(root) if one.partition(".")[0] == first and one != node]
    return [*others, node]
