"""Windows events as Snare sends them, and NXLog and others in its manner: tabs, and the message as people read it.

In, with or without a syslog header before it (<t> is a tab, which syslog daemons may write as ``#011``)::

    <14>Nov 24 09:00:00 dc1 MSWinEventLog<t>1<t>Security<t>3027<t>Tue Nov 24 09:00:00 2026<t>4625<t>Microsoft-Windows-
    Security-Auditing<t>N/A<t>N/A<t>Failure Audit<t>dc1.skh.vn<t>Logon<t><t>An account failed to log on.    Subject:
       Security ID:  S-1-0-0   Account Name:  -   …   Network Information:   Source Network Address:  203.0.113.5

Out: the flat names of `windows_event`. The event's own data are only in the message, under the labels of its English
text: they come under the names that Windows gives them in XML (``data.TargetUserName``), as far as labels are known
(`_LABELS`, `_ACCOUNT`); a label without blanks (Sysmon's) is such a name itself. The time has no zone.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from collectors.formats.parsed import Value

MARK: Final = "MSWinEventLog"
_OUTCOMES: Final = {"success audit": 1 << 53, "failure audit": 1 << 52}
_RESERVED: Final = 1 << 63
_PART: Final = re.compile(r"\s{2,}|[\t\r\n]")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,63}", re.ASCII)
_LABEL: Final = re.compile(r"([A-Za-z][A-Za-z0-9_ ()/-]{1,63}):(?:\s|$)", re.ASCII)
_ACCOUNT: Final = {
    "Subject": "Subject", "Creator Subject": "Subject", "New Logon": "Target", "Target Subject": "Target",
    "Account For Which Logon Failed": "Target", "Account Whose Credentials Were Used": "Target",
    "Account Information": "Target", "New Account": "Target", "Target Account": "Target", "Group": "Target",
    "Account That Was Locked Out": "Target", "Member": "Member", "New Group": "Target", "Deleted Group": "Target",
}  # fmt: skip
_OWN_SID: Final = frozenset(
    ("New Account", "Target Account", "Group", "New Group", "Deleted Group")
)
_OF_ACCOUNT: Final = {
    "Account Name": "UserName",
    "Account Domain": "DomainName",
    "Logon ID": "LogonId",
}
_LABELS: Final = {
    "Logon Type": "LogonType", "Failure Reason": "FailureReason", "Status": "Status", "Sub Status": "SubStatus",
    "Caller Process ID": "ProcessId", "Caller Process Name": "ProcessName", "Process ID": "ProcessId",
    "Process Name": "ProcessName", "Workstation Name": "WorkstationName", "Source Workstation": "Workstation",
    "Source Network Address": "IpAddress", "Client Address": "IpAddress", "Source Address": "IpAddress",
    "Source Port": "IpPort", "Client Port": "IpPort", "Logon Process": "LogonProcessName",
    "Authentication Package": "AuthenticationPackageName", "Package Name (NTLM only)": "LmPackageName",
    "Key Length": "KeyLength", "New Process ID": "NewProcessId", "New Process Name": "NewProcessName",
    "Token Elevation Type": "TokenElevationType", "Mandatory Label": "MandatoryLabel",
    "Creator Process ID": "ProcessId", "Creator Process Name": "ParentProcessName",
    "Process Command Line": "CommandLine", "Privileges": "PrivilegeList", "Service Name": "ServiceName",
    "Service ID": "ServiceSid", "Service Type": "ServiceType", "Ticket Options": "TicketOptions",
    "Ticket Encryption Type": "TicketEncryptionType", "Failure Code": "Status", "Result Code": "Status",
    "Object Server": "ObjectServer", "Object Type": "ObjectType", "Object Name": "ObjectName",
    "Access Mask": "AccessMask", "Accesses": "AccessList", "Share Name": "ShareName", "Share Path": "ShareLocalPath",
    "Relative Target Name": "RelativeTargetName", "Task Name": "TaskName", "Task Content": "TaskContent",
    "SAM Account Name": "SamAccountName", "Display Name": "DisplayName", "User Principal Name": "UserPrincipalName",
    "Group Name": "TargetUserName", "Group Domain": "TargetDomainName", "User Name": "SubjectUserName",
    "Domain": "SubjectDomainName",
}  # fmt: skip
_CONTROL_MANAGER: Final = {
    "Service File Name": "ImagePath",
    "Service Start Type": "StartType",
    "Service Account": "AccountName",
}
_SECURITY: Final = {
    "Service File Name": "ServiceFileName",
    "Service Start Type": "ServiceStartType",
    "Service Account": "ServiceAccount",
}


def data_of(message: str, provider: str = "") -> dict[str, Value]:
    """What a message says under its labels, as ``data.<Name>``; the first of a name wins."""
    services = _CONTROL_MANAGER if provider == "Service Control Manager" else _SECURITY
    found: dict[str, Value] = {}
    section = label = ""
    for part in _PART.split(message)[:2048]:
        head = _LABEL.match(part)
        if head is None:
            if label and part:
                _take(found, section, label, part, services)
                label = ""
            continue
        label, value = head[1], part[head.end() :].strip()
        if label in _ACCOUNT or label.endswith(" Information") or label in {"Attributes", "Object"}:
            section, label = label, ""
        elif value:
            _take(found, section, label, value, services)
            label = ""
    return found


def _take(
    found: dict[str, Value], section: str, label: str, value: str, services: dict[str, str]
) -> None:
    account = _ACCOUNT.get(section, "Subject")
    if label == "Security ID":
        name = (
            "MemberSid"
            if account == "Member"
            else "TargetSid"
            if section in _OWN_SID
            else f"{account}UserSid"
        )
    elif label == "Account Name" and account == "Member":
        name = "MemberName"
    elif label in _OF_ACCOUNT:
        name = account + _OF_ACCOUNT[label]
    else:
        name = (
            services.get(label) or _LABELS.get(label) or (label if _NAME.fullmatch(label) else "")
        )
    if name:
        found.setdefault(f"data.{name}", value)


def _time(text: str) -> Value:
    """``2026-11-24 09:00:00``, the zone being the source's; a time in another form as it came."""
    try:
        return str(datetime.strptime(text, "%a %b %d %H:%M:%S %Y"))  # noqa: DTZ007 - the source's zone
    except ValueError:
        return text


def snare(line: str) -> dict[str, Value] | None:
    """The event of a line, flat; None if it is none of Snare's."""
    start = line.find(MARK)
    if start < 0:
        return None
    text = line[start:].rstrip("\r\n")
    parts = (text.replace("#011", "\t") if "\t" not in text else text).split("\t")
    if len(parts) < 11 or not parts[5].isdigit():
        return None
    parts += [""] * (14 - len(parts))
    _, _, channel, _, time, event_id, provider, user, _, kind, computer, category, _, message = (
        parts[:14]
    )
    outcome = _OUTCOMES.get(kind.lower())
    flat: dict[str, Value] = {
        "channel": channel, "event_id": event_id, "provider": provider, "computer": computer, "time": _time(time),
        "task_name": None if category in {"", "N/A"} else category, "message": message or None,
        "keywords": f"0x{_RESERVED | outcome:x}" if outcome else None,
        "level_name": None if outcome else kind or None,
    }  # fmt: skip
    if user not in {"", "N/A"}:
        domain, _, name = user.rpartition("\\")
        flat |= {"user_name": name, "user_domain": domain or None}
    flat |= data_of(message, provider)
    return {name: value for name, value in flat.items() if value is not None}
