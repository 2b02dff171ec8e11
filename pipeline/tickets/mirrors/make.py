"""A mirror as the settings name it. Secrets are read here, and go no further than its line."""

from __future__ import annotations

import re
from typing import Final

from pipeline.model.errors import FaultsError, ThapCanhError, UsageError
from pipeline.settings.secrets import read_secret
from pipeline.settings.values import MirrorSettings, MirrorSystem
from pipeline.tickets.mirrors.base import Mirror
from pipeline.tickets.mirrors.iris import Iris
from pipeline.tickets.mirrors.jira import Jira
from pipeline.tickets.mirrors.line import Line, allowed
from pipeline.tickets.mirrors.mail import Mail
from pipeline.tickets.mirrors.request_tracker import RequestTracker
from pipeline.tickets.mirrors.thehive import TheHive
from pipeline.tickets.mirrors.webhook import Webhook

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_NEEDED: Final = {
    "request_tracker": ("place", "user", "password"),
    "webhook": ("secret",),
    "mail": ("sender", "to"),
    "thehive": ("token",),
    "iris": ("token", "place", "user"),
    "jira": ("token", "place"),
}


def check_settings(settings: MirrorSettings) -> None:
    """Every fault of the mirrors' settings at once, before one has to be used."""
    faults: list[ThapCanhError] = []
    names = [one.name for one in settings.systems]
    for one in settings.systems:
        where = f"mirrors.systems, {one.name}"
        if not _NAME.fullmatch(one.name) or names.count(one.name) > 1:
            expected = "small letters, digits and -, each once"
            faults.append(UsageError("this is no name of a mirror", where=where, expected=expected))
        faults += [
            UsageError(f"a mirror of kind {one.kind} needs {name}", where=where)
            for name in _NEEDED[one.kind]
            if not getattr(one, name)
        ]
        if one.kind == "mail":
            faults += _mail_faults(one, where)
        schemes = ("smtp",) if one.kind == "mail" else ("http", "https")
        try:
            allowed(one.url, settings.hosts, schemes)
        except UsageError as fault:
            faults.append(fault)
    if faults:
        raise FaultsError("mirrors cannot be used", faults)


def _mail_faults(one: MirrorSystem, where: str) -> list[ThapCanhError]:
    odd = [
        address
        for address in (one.sender, *one.to)
        if "@" not in address or any(c.isspace() or c in "<>,;" for c in address)
    ]
    faults: list[ThapCanhError] = [
        UsageError("this is no address", where=where, got=address) for address in odd
    ]
    if one.user and not one.starttls:
        faults.append(
            UsageError(
                "a password would go over the network in clear",
                where=where,
                expected="starttls: true, where a user is named",
            )
        )
    return faults


def make(one: MirrorSystem, settings: MirrorSettings) -> Mirror:
    """The mirror, ready to be spoken to."""

    def secret(name: str) -> str:
        reference = getattr(one, name)
        return read_secret(reference, f"mirrors.systems.{one.name}.{name}") if reference else ""

    password, token, shared = secret("password"), secret("token"), secret("secret")

    def line(path: str = "", **more: object) -> Line:
        return Line(
            one.url.rstrip("/") + path, settings.hosts, timeout=one.timeout, ca=one.ca,
            proxy=one.proxy, secrets=(password, token, shared), **more,  # type: ignore[arg-type]
        )  # fmt: skip

    bearer = {"Authorization": f"Bearer {token}"}
    match one.kind:
        case "request_tracker":
            rest = line("/REST/2.0", auth=(one.user, password))
            return RequestTracker(rest, queue=one.place, user=one.user, web=one.url)
        case "webhook":
            return Webhook(line(), shared)
        case "mail":
            return Mail(one, password)
        case "thehive":
            return TheHive(line("/api/v1", headers=bearer), web=one.url)
        case "iris":
            if not one.place.isdecimal():
                raise UsageError(
                    "a customer of IRIS is a number",
                    where=f"mirrors.systems, {one.name}",
                    got=one.place,
                )
            return Iris(line(headers=bearer), customer=int(one.place), user=one.user, web=one.url)
        case "jira":  # Cloud: mail address and token; Data Center: a personal access token
            how = {"auth": (one.user, token)} if one.user else {"headers": bearer}
            return Jira(line("/rest/api/2", **how), project=one.place, web=one.url)
