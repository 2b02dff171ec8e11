"""Windows: Security and Sysmon events as Winlogbeat 8 sends them by `_bulk`, one document an event.

    {"@timestamp":"2026-11-24T02:13:05.123Z","event":{"code":"4624","kind":"event","provider":
    "Microsoft-Windows-Security-Auditing",…},"winlog":{"channel":"Security","computer_name":
    "PBN-PC07.benngoc.example","event_id":"4624","record_id":"104112","event_data":{…},…},…}

`event_data` carries Microsoft's names. A document's `winlog.record_id` is given when the day is put
together, for it counts up per computer and channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from random import Random
from typing import Any

from pipeline.model.clock import to_iso
from pipeline.rehearsal import cast

SECURITY = "Security"
SYSMON = "Microsoft-Windows-Sysmon/Operational"

_PROVIDERS = {
    SECURITY: ("Microsoft-Windows-Security-Auditing", "{54849625-5478-4994-A5BA-3E3B0328C30D}"),
    SYSMON: ("Microsoft-Windows-Sysmon", "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}"),
}
_EVENTLOG = ("Microsoft-Windows-Eventlog", "{FC65DDD8-D6EF-4962-83D5-6E5CFE9CE148}")

_CHILDREN = (
    ("C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe", "--type=renderer --lang=vi"),
    (
        "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE",
        '/n "D:\\HoSo\\to-trinh-{n}.docx"',
    ),
    (
        "C:\\Program Files\\Microsoft Office\\root\\Office16\\EXCEL.EXE",
        '"D:\\HoSo\\bang-ke-{n}.xlsx"',
    ),
    ("C:\\Windows\\System32\\notepad.exe", "C:\\Users\\Public\\ghi-chu-{n}.txt"),
    ("C:\\Windows\\System32\\svchost.exe", "-k netsvcs -p -s Schedule"),
    ("C:\\Windows\\System32\\taskhostw.exe", "Install $(Arg0)"),
    ("C:\\Program Files\\UniKey\\UniKeyNT.exe", ""),
)


def document(at: datetime, host: str, channel: str, code: int, data: Mapping[str, str], *,
             action: str, task: str, eventlog: bool = False) -> dict[str, Any]:  # fmt: skip
    """One event; `host` is the fully qualified computer name."""
    provider, guid = _EVENTLOG if eventlog else _PROVIDERS[channel]
    winlog: dict[str, Any] = {
        "api": "wineventlog", "channel": channel, "computer_name": host,
        ("user_data" if eventlog else "event_data"): dict(data), "event_id": str(code), "opcode": "Info",
        "process": {"pid": 4 if channel == SECURITY else 2412, "thread": {"id": 3104}},
        "provider_guid": guid, "provider_name": provider, "record_id": "", "task": task,
    }  # fmt: skip
    if channel == SYSMON:
        winlog["user"] = {
            "domain": "NT AUTHORITY", "identifier": "S-1-5-18", "name": "SYSTEM", "type": "User"
        }  # fmt: skip
    else:
        winlog["keywords"] = ["Audit Failure" if code in {4625, 4771} else "Audit Success"]
    return {
        "@timestamp": to_iso(at),
        "agent": {"name": host.split(".", maxsplit=1)[0], "type": "winlogbeat", "version": "8.15.3"},
        "ecs": {"version": "8.0.0"},
        "event": {
            "action": action, "code": str(code), "created": to_iso(at), "kind": "event",
            "outcome": "failure" if code in {4625, 4771} else "success", "provider": provider,
        },
        "host": {"name": host},
        "log": {"level": "information"},
        "message": f"{action}:\n" + "\n".join(f"{name}: {value}" for name, value in data.items()),
        "winlog": winlog,
    }  # fmt: skip


def _guid(rng: Random) -> str:
    return f"{{{rng.randrange(16**8):08X}-{rng.randrange(16**4):04X}-6563-0D00-{rng.randrange(16**12):012X}}}"


def _utc(at: datetime) -> str:
    return to_iso(at).replace("T", " ").removesuffix("Z")


def process(at: datetime, rng: Random, host: str, image: str, command: str, *, parent: str,
            parent_command: str = "", user: str = "NT AUTHORITY\\SYSTEM",
            folder: str = "C:\\Windows\\System32\\") -> dict[str, Any]:  # fmt: skip
    """Sysmon 1: a process starts."""
    return document(
        at, host, SYSMON, 1,
        {
            "RuleName": "-", "UtcTime": _utc(at), "ProcessGuid": _guid(rng),
            "ProcessId": str(rng.randrange(500, 20_000)), "Image": image, "FileVersion": "10.0.19041.1",
            "Description": "-", "Product": "Microsoft® Windows® Operating System",
            "Company": "Microsoft Corporation", "OriginalFileName": image.rsplit("\\", 1)[-1],
            "CommandLine": command, "CurrentDirectory": folder, "User": user, "LogonGuid": _guid(rng),
            "LogonId": f"0x{rng.randrange(16**5):x}", "TerminalSessionId": "1",
            "IntegrityLevel": "System" if user.endswith("SYSTEM") else "Medium",
            "Hashes": f"SHA256={rng.getrandbits(256):064X}", "ParentProcessGuid": _guid(rng),
            "ParentProcessId": str(rng.randrange(500, 20_000)), "ParentImage": parent,
            "ParentCommandLine": parent_command or f'"{parent}"', "ParentUser": user,
        },
        action="Process Create (rule: ProcessCreate)", task="Process Create (rule: ProcessCreate)",
    )  # fmt: skip


def file_created(
    at: datetime, rng: Random, host: str, image: str, target: str, user: str
) -> dict[str, Any]:
    """Sysmon 11: a file is made or overwritten."""
    return document(
        at, host, SYSMON, 11,
        {
            "RuleName": "-", "UtcTime": _utc(at), "ProcessGuid": _guid(rng),
            "ProcessId": str(rng.randrange(500, 20_000)), "Image": image, "TargetFilename": target,
            "CreationUtcTime": _utc(at), "User": user,
        },
        action="File created (rule: FileCreate)", task="File created (rule: FileCreate)",
    )  # fmt: skip


def logon(
    at: datetime, rng: Random, host: str, user: str, address: str, kind: int
) -> dict[str, Any]:
    """Security 4624: an account is logged on; `kind` 2 desk, 3 network, 5 service, 10 remote desktop."""
    domain = host.split(".")[1].upper()
    return document(
        at, host, SECURITY, 4624,
        {
            "SubjectUserSid": "S-1-5-18", "SubjectUserName": f"{host.split('.', maxsplit=1)[0]}$",
            "SubjectDomainName": domain, "SubjectLogonId": "0x3e7",
            "TargetUserSid": f"S-1-5-21-1004336348-1177238915-682003330-{1100 + len(user)}",
            "TargetUserName": user, "TargetDomainName": domain,
            "TargetLogonId": f"0x{rng.randrange(16**6):x}", "LogonType": str(kind),
            "LogonProcessName": "User32 " if kind in {2, 10} else "Kerberos",
            "AuthenticationPackageName": "Negotiate" if kind in {2, 10} else "Kerberos",
            "WorkstationName": "-" if kind == 3 else host.split(".", maxsplit=1)[0], "IpAddress": address,
            "IpPort": str(rng.randrange(32768, 61000)) if address != "-" else "-",
            "ProcessName": "C:\\Windows\\System32\\svchost.exe", "ElevatedToken": "%%1843",
        },
        action="logged-in", task="Logon",
    )  # fmt: skip


def logon_failed(at: datetime, rng: Random, host: str, user: str, address: str) -> dict[str, Any]:
    """Security 4625: a wrong password."""
    return document(
        at, host, SECURITY, 4625,
        {
            "SubjectUserSid": "S-1-0-0", "SubjectUserName": "-", "SubjectDomainName": "-",
            "SubjectLogonId": "0x0", "TargetUserSid": "S-1-0-0", "TargetUserName": user,
            "TargetDomainName": host.split(".")[1].upper(), "Status": "0xc000006d",
            "FailureReason": "%%2313", "SubStatus": "0xc000006a", "LogonType": "3",
            "LogonProcessName": "NtLmSsp ", "AuthenticationPackageName": "NTLM",
            "WorkstationName": "-", "IpAddress": address, "IpPort": str(rng.randrange(32768, 61000)),
        },
        action="logon-failed", task="Logon",
    )  # fmt: skip


def log_cleared(at: datetime, host: str, user: str) -> dict[str, Any]:
    """Security 1102: somebody emptied the audit log."""
    return document(
        at, host, SECURITY, 1102,
        {
            "SubjectUserSid": "S-1-5-21-1004336348-1177238915-682003330-1113",
            "SubjectUserName": user, "SubjectDomainName": host.split(".")[1].upper(),
            "SubjectLogonId": "0x5f2c1",
        },
        action="audit-log-cleared", task="Log clear", eventlog=True,
    )  # fmt: skip


def noise(source: cast.DrillSource, rng: Random,
          times: list[datetime]) -> Iterator[tuple[datetime, dict[str, Any]]]:  # fmt: skip
    """A working day: programs start, people log on, services run, a password is mistyped."""
    host = f"{source.host}.{cast.AGENCY[source.agency].domain}"
    domain = host.split(".")[1].upper()
    for at in times:
        kind, person = rng.random(), rng.choice(cast.PEOPLE)
        near = cast.inside(source, rng.randrange(1, 4), rng.randrange(20, 120))
        if kind < 0.50:
            image, arguments = rng.choice(_CHILDREN)
            system = image.startswith("C:\\Windows\\System32\\") and "notepad" not in image
            yield at, process(
                at, rng, host, image,
                f'"{image}" {arguments}'.strip().format(n=rng.randrange(10, 99)),
                parent="C:\\Windows\\System32\\services.exe" if system else "C:\\Windows\\explorer.exe",
                user="NT AUTHORITY\\SYSTEM" if system else f"{domain}\\{person}",
            )  # fmt: skip
        elif kind < 0.60:
            yield at, file_created(
                at, rng, host, _CHILDREN[1][0],
                f"C:\\Users\\{person}\\Documents\\Tờ trình {rng.randrange(10, 99)}.docx", f"{domain}\\{person}",
            )  # fmt: skip
        elif kind < 0.96:
            way = rng.choice((2, 3, 3, 3, 5))
            user = "SYSTEM" if way == 5 else person
            yield at, logon(at, rng, host, user, near if way == 3 else "-", way)
        else:
            yield at, logon_failed(at, rng, host, person, near)
