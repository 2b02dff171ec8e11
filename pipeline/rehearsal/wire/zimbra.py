"""Zimbra: lines of `mailbox.log` and `audit.log` (log4j), as a shipper reads them from the files.

    2026-11-24 09:13:05,123 INFO  [qtp1286783232-88:https://mail.sqh.example/service/soap/AuthRequest]
    [name=lan.ngo@sqh.example;oip=198.51.100.29;ua=zclient/8.8.15_GA_4484;soapId=4e5e1bc6;] security -
    cmd=Auth; account=lan.ngo@sqh.example; protocol=soap;      (one line)

A failure is a WARN and ends in ``error=authentication failed for [lan.ngo], invalid password;``.
Administrators' changes are written as ``cmd=ModifyAccount; name=…; attribute=value;``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.wire.text import local, millis

WEB_CLIENT = "ZimbraWebClient - GC130 (Win)/8.8.15_GA_4484"


def _line(at: datetime, level: str, thread: str, context: str, text: str) -> bytes:
    return f"{local(at):%Y-%m-%d %H:%M:%S},{millis(at)} {level:<5} [{thread}] [{context}] {text}".encode()


def _thread(rng: Random, domain: str, path: str, port: str = "") -> str:
    return f"qtp1286783232-{rng.randrange(20, 4000)}:https://mail.{domain}{port}/service/{path}"


def soap_auth(at: datetime, rng: Random, account: str, address: str, *, agent: str = WEB_CLIENT,
              ok: bool = True) -> bytes:  # fmt: skip
    """A sign-in to webmail."""
    name, domain = account.split("@")
    error = "" if ok else f" error=authentication failed for [{name}], invalid password;"
    return _line(
        at, "INFO" if ok else "WARN", _thread(rng, domain, "soap/AuthRequest"),
        f"name={account};oip={address};ua={agent};soapId={rng.randrange(16**8):08x};",
        f"security - cmd=Auth; account={account}; protocol=soap;{error}",
    )  # fmt: skip


def imap_auth(at: datetime, rng: Random, account: str, address: str) -> bytes:
    """A mail program signs in."""
    return _line(
        at, "INFO", f"ImapSSLServer-{rng.randrange(1, 900)}",
        f"ip={address};oip={address};via=10.14.0.25(nginx/1.19.0);ua=Thunderbird/115.0;cid={rng.randrange(9999)};",
        f"security - cmd=Auth; account={account}; protocol=imap;",
    )  # fmt: skip


def admin_auth(at: datetime, rng: Random, account: str, address: str) -> bytes:
    """A sign-in to the administration console (port 7071)."""
    domain = account.split("@")[1]
    return _line(
        at, "INFO", _thread(rng, domain, "admin/soap/AuthRequest", ":7071"),
        f"name={account};ip={address};ua=ZimbraWebClient - FF132 (Win);soapId={rng.randrange(16**8):08x};",
        f"security - cmd=AdminAuth; account={account};",
    )  # fmt: skip


def modify_account(at: datetime, rng: Random, admin: str, address: str, account: str,
                   attribute: str, value: str) -> bytes:  # fmt: skip
    """An administrator changes an account."""
    domain = admin.split("@")[1]
    return _line(
        at, "INFO", _thread(rng, domain, "admin/soap/ModifyAccountRequest", ":7071"),
        f"name={admin};ip={address};ua=ZimbraWebClient - FF132 (Win);soapId={rng.randrange(16**8):08x};",
        f"security - cmd=ModifyAccount; name={account}; {attribute}={value};",
    )  # fmt: skip


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Staff read and search their mail, sign in from the office and from home, mistype passwords."""
    domain = cast.AGENCY[source.agency].domain
    for at in times:
        person = rng.choice(cast.PEOPLE)
        account, place = f"{person}@{domain}", cast.PEOPLE.index(person)
        address = cast.inside(source, 1, 20 + place)
        if rng.random() < 0.15:
            address = cast.home(source, person)
        kind = rng.random()
        if kind < 0.30:
            yield at, soap_auth(at, rng, account, address)
        elif kind < 0.35:
            yield at, soap_auth(at, rng, account, address, ok=False)
        elif kind < 0.55:
            yield at, imap_auth(at, rng, account, address)
        else:
            request = rng.choice(
                ("SearchRequest", "GetMsgRequest", "NoOpRequest", "SendMsgRequest")
            )
            yield at, _line(
                at, "INFO", _thread(rng, domain, f"soap/{request}"),
                f"name={account};mid={place + 3};oip={address};ua={WEB_CLIENT};"
                f"soapId={rng.randrange(16**8):08x};",
                f"soap - {request} elapsed={rng.randrange(1, 400)}",
            )  # fmt: skip
