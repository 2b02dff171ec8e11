"""Windows events in every form that agencies send, as one flat set of names.

In, one event a record:

* NXLog, flat JSON: ``{"EventID":13,"Channel":"Security","SourceName":"…","SubjectUserName":"an",…}``
* Winlogbeat 6 (``{"event_id":1,"log_name":"…","event_data":{…}}``) and 7 to 9
  (``{"winlog":{"event_id":1,"channel":"…","event_data":{…}}}``), nested
* the ``evtx`` package's JSON of a record, ``{"Event":{"System":{…},"EventData":{…}}}``
* Snare's lines, with or without a syslog header: ``MSWinEventLog<tab>1<tab>Security<tab>…`` (`windows_snare`)
* XML, plain or rendered, ``<Event xmlns=…><System>…</System><EventData>…``

Out: the envelope under the names of `ENVELOPE` (`channel`, `event_id`, `provider`, `computer` …),
what the event itself says under ``data.<Name>`` with the case of the name kept (UserData too), and
what the shipper adds under ``shipper.<name>``. Values stay as they came, save `keywords`, which is
always Windows' own hexadecimal number where it can be known.

NXLog puts its own envelope beside the event's fields. Which is which: a name of the envelope that
Windows events also use as data (`EventType`, `Domain`, `AccountName` …) is data unless the record
shows that NXLog wrote it (`EventTypeOrignal` tells that `EventType` is the event's own).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import Any, Final

import orjson

from collectors.formats import windows_xml
from collectors.formats.json_lines import load
from collectors.formats.parsed import Group, Grouper, Parsed, Value
from collectors.formats.windows_snare import MARK, snare

ENVELOPE: Final = (
    "channel", "event_id", "provider", "provider_guid", "computer", "record_id", "time", "keywords", "level",
    "task", "opcode", "version", "process_id", "thread_id", "activity_id", "related_activity_id",
    "user_sid", "user_name", "user_domain", "user_type", "message", "level_name", "task_name", "opcode_name",
    "event_type",
)  # fmt: skip

_NXLOG: Final = {
    "EventID": "event_id", "Channel": "channel", "SourceName": "provider", "ProviderGuid": "provider_guid",
    "Hostname": "computer", "RecordNumber": "record_id", "EventRecordID": "record_id", "Keywords": "keywords",
    "Severity": "level_name", "Level": "level", "Task": "task", "Category": "task_name", "Opcode": "opcode_name",
    "OpcodeValue": "opcode", "Version": "version", "ExecutionProcessID": "process_id",
    "ExecutionThreadID": "thread_id", "ThreadID": "thread_id", "ActivityID": "activity_id",
    "RelatedActivityID": "related_activity_id", "UserID": "user_sid", "Message": "message",
    "TimeCreated": "time", "EventTypeOrignal": "event_type",
    "@timestamp": "shipper.timestamp", "@version": "shipper.version", "host": "shipper.host",
    "port": "shipper.port", "tags": "shipper.tags", "SourceModuleName": "shipper.module",
    "SourceModuleType": "shipper.module_type", "EventReceivedTime": "shipper.received",
    "SeverityValue": "shipper.severity", "EventTime": "shipper.event_time",
    "ERROR_EVT_UNRESOLVED": "shipper.unresolved",
}  # fmt: skip
_NXLOG_USER: Final = {
    "AccountName": "user_name",
    "Domain": "user_domain",
    "AccountType": "user_type",
}
_NXLOG_TYPES: Final = frozenset(
    ("INFO", "AUDIT_SUCCESS", "AUDIT_FAILURE", "WARNING", "ERROR", "CRITICAL", "VERBOSE", "DEBUG")
)

_BEAT: Final = {
    "event_id": "event_id", "channel": "channel", "log_name": "channel", "provider_name": "provider",
    "source_name": "provider", "provider_guid": "provider_guid", "computer_name": "computer",
    "record_id": "record_id", "record_number": "record_id", "keywords": "keywords", "task": "task_name",
    "opcode": "opcode_name", "version": "version", "activity_id": "activity_id",
    "related_activity_id": "related_activity_id", "process_id": "process_id", "thread_id": "thread_id",
    "process.pid": "process_id", "process.thread.id": "thread_id", "user.identifier": "user_sid",
    "user.name": "user_name", "user.domain": "user_domain", "user.type": "user_type", "level": "level_name",
}  # fmt: skip
_BEAT_SIX: Final = frozenset(_BEAT) - {"process.pid", "process.thread.id"}

_KEYWORDS: Final = {"audit failure": 1 << 52, "audit success": 1 << 53, "classic": 1 << 55}
_RESERVED: Final = 1 << 63
_EXACT: Final = 2.0**53  # beyond, not every integer has a float of its own
_NUMBER: Final = re.compile(r"-?\d{1,20}|0x[0-9A-Fa-f]{1,16}", re.ASCII)


def keywords(value: Value) -> Value:
    """``0x8020000000000000`` for any way of writing it; other text as it is."""
    if isinstance(value, list):
        bits = [_KEYWORDS.get(str(name).lower()) for name in value]
        if not bits or None in bits:
            return ", ".join(str(name) for name in value) or None
        number = _RESERVED
        for bit in bits:
            number |= bit or 0
    elif value.__class__ is int:
        number = value
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        number = int(value, 16 if value[:2] == "0x" else 10)
    else:
        return value
    return f"0x{number & (2**64 - 1):x}"


def _nxlog_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """What the names of a flat record stand for; `EventType` may change once more by its value."""
    shown = "AccountType" in names or "UserID" in names  # NXLog adds the three together
    renamed: list[str] = []
    for name in names:
        known = _NXLOG.get(name) or (_NXLOG_USER.get(name) if shown else None)
        if known is None or known in renamed:
            known = f"data.{name}"
        renamed.append(known)
    return tuple(renamed)


class _Shapes:
    """Flat records: the names of a shape are worked out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[tuple[str, ...], int, int]] = {}

    def of(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], int, int]:
        shape = self._known.get(names)
        if shape is None:
            if len(self._known) >= 20_000:  # hostile names
                self._known.clear()
            renamed = _nxlog_names(names)
            kind = names.index("EventType") if "EventType" in names else -1
            word = renamed.index("keywords") if "keywords" in renamed else -1
            shape = self._known[names] = (renamed, -1 if "event_type" in renamed else kind, word)
        return shape


def _beat(document: dict[str, Any]) -> dict[str, Value]:
    """Winlogbeat's nested document, flat."""
    winlog = document.get("winlog")
    inner = winlog if isinstance(winlog, dict) else document
    flat: dict[str, Value] = {}
    rest: list[tuple[str, Any]] = []
    for key, value in inner.items():
        if key in {"event_data", "user_data"} and isinstance(value, dict):
            _data(value, flat)
        elif key in {"user", "process"} and isinstance(value, dict):
            rest.extend(
                (f"{key}.{part}", v) for part, v in value.items() if not isinstance(v, dict)
            )
            rest.extend(
                (f"{key}.{part}.{k}", w)
                for part, v in value.items() if isinstance(v, dict) for k, w in v.items()
            )  # fmt: skip
        else:
            rest.append((key, value))
    if inner is not document:
        rest.extend((key, value) for key, value in document.items() if key != "winlog")
    for key, value in rest:
        name = {"@timestamp": "time", "message": "message"}.get(key) or _BEAT.get(key)
        if name is None or name in flat:
            name = f"shipper.{key.lstrip('@')}"
        flat[name] = value
    log = document.get("log")
    if isinstance(log, dict) and "level" in log:
        flat.setdefault("level_name", log["level"])
    return flat


def _data(part: dict[str, Any], flat: dict[str, Value]) -> None:
    """What the event says, leaf by leaf; objects of UserData are opened, their attributes left out."""
    stack = [iter(part.items())]
    while stack:
        for key, value in stack[-1]:
            if key in {"#attributes", "xml_name", "xmlns"}:
                continue
            leaf = value
            if isinstance(value, dict):
                leaf = value.get("#text")
                if leaf is None and len(stack) < 8:
                    stack.append(iter(value.items()))
                    break
            name = f"data.{key}"
            if name in flat and isinstance(leaf, str):
                name = f"data.{key}#2"
            flat[name] = leaf
        else:
            stack.pop()


def _text(node: Any) -> Value:
    return node.get("#text") if isinstance(node, dict) else node


def _attribute(node: Any, name: str) -> Value:
    if isinstance(node, dict):
        attributes = node.get("#attributes", node)
        if isinstance(attributes, dict):
            return attributes.get(name)
    return None


def event_tree(event: dict[str, Any]) -> dict[str, Value]:
    """An event as the ``evtx`` package's JSON, or our XML reader, gives it, flat."""
    system = event.get("System")
    system = system if isinstance(system, dict) else {}
    provider, execution = system.get("Provider"), system.get("Execution")
    flat: dict[str, Value] = {
        "provider": _attribute(provider, "Name"),
        "provider_guid": _attribute(provider, "Guid"),
        "event_id": _text(system.get("EventID")),
        "version": _text(system.get("Version")),
        "level": _text(system.get("Level")),
        "task": _text(system.get("Task")),
        "opcode": _text(system.get("Opcode")),
        "keywords": _text(system.get("Keywords")),
        "time": _attribute(system.get("TimeCreated"), "SystemTime"),
        "record_id": _text(system.get("EventRecordID")),
        "activity_id": _attribute(system.get("Correlation"), "ActivityID"),
        "related_activity_id": _attribute(system.get("Correlation"), "RelatedActivityID"),
        "process_id": _attribute(execution, "ProcessID"),
        "thread_id": _attribute(execution, "ThreadID"),
        "channel": _text(system.get("Channel")),
        "computer": _text(system.get("Computer")),
        "user_sid": _attribute(system.get("Security"), "UserID"),
    }
    for part in ("EventData", "UserData", "ProcessingErrorData"):
        node = event.get(part)
        if isinstance(node, dict):
            _data(node, flat)
        elif node is not None:
            flat["data.Data"] = node
    rendering = event.get("RenderingInfo")
    if isinstance(rendering, dict):
        for key, name in (("Message", "message"), ("Level", "level_name"), ("Task", "task_name"),
                          ("Opcode", "opcode_name")):  # fmt: skip
            flat[name] = _text(rendering.get(key))
    return {name: value for name, value in flat.items() if value is not None}


def _slow(document: dict[str, Any]) -> dict[str, Value] | None:
    """The nested forms, flat; None if it is none of them."""
    event = document.get("Event")
    if isinstance(event, dict):
        flat = event_tree(event)
    elif (
        isinstance(document.get("winlog"), dict)
        or "event_data" in document
        or "log_name" in document
    ):
        flat = _beat(document)
    else:
        return None
    if "keywords" in flat:
        flat["keywords"] = keywords(flat["keywords"])
    return flat


def _xml(line: str | bytes, row: int, parsed: Parsed) -> dict[str, Any]:
    try:
        return windows_xml.load(line)
    except ValueError as error:
        try:
            found = windows_xml.loose(line)
        except ValueError:
            raise error from None
        parsed.note(row, f"{error}; read by its tags")
        return found


def _snare(line: str | bytes) -> dict[str, Value] | None:
    """Snare's mark stands near the beginning, behind a header at most."""
    if isinstance(line, bytes):
        if MARK.encode() not in line[:512]:
            return None
        line = line.decode("utf-8", "replace")
    return snare(line) if MARK in line[:512] else None


def windows_event() -> Callable[[Sequence[Any]], Parsed]:
    """A format of Windows events, the forms mixed as they come.

    Flat records are grouped by their names as they came, and renamed once a group.
    """
    shapes = _Shapes()

    def parse(lines: Sequence[str | bytes | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        flat: dict[tuple[str, ...], tuple[list[int], list[Sequence[Value]]]] = {}
        loads, broken, known = orjson.loads, orjson.JSONDecodeError, flat.get
        for row, line in enumerate(lines):
            if line is None:
                continue
            try:
                document = loads(line)
            except broken:
                if (event := _snare(line)) is not None:
                    grouper.add(row, tuple(event), tuple(event.values()))
                    continue
                try:
                    first = line.lstrip()[:1]
                    document = _xml(line, row, parsed) if first in (b"<", "<") else load(line)
                except ValueError as error:
                    parsed.failures[row] = str(error)
                    continue
            if document.__class__ is not dict:
                parsed.failures[row] = "JSON, but not an object"
            elif "EventID" in document:
                names = tuple(document)
                shape = known(names)
                if shape is None:
                    shape = flat[names] = ([], [])
                shape[0].append(row)
                shape[1].append(tuple(document.values()))
            elif (nested := _slow(document)) is None:
                parsed.failures[row] = "not a Windows event: no EventID, no winlog and no Event"
            else:
                grouper.add(row, tuple(nested), tuple(nested.values()))
        for names, (rows, values) in flat.items():
            parsed.groups.extend(_renamed(rows, list(zip(*values, strict=True)), *shapes.of(names)))
        parsed.groups.extend(grouper.groups())
        _make_whole(parsed)
        return parsed

    return parse


def _make_whole(parsed: Parsed) -> None:
    """Windows counts in whole numbers: the 4625.0 that a shipper's library made of one is 4625 again, so that rules
    which name it fire."""
    for group in parsed.groups:
        for place, column in enumerate(group.columns):
            if float in set(map(type, column)):
                group.columns[place] = tuple(map(_whole, column))


def _whole(value: Value) -> Value:
    if value.__class__ is float and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value


def _renamed(
    rows: list[int], columns: list[tuple[Value, ...]], names: tuple[str, ...], kind: int, word: int
) -> Iterator[Group]:
    """A group of flat records under our names; cut in two where `EventType` is NXLog's word in some."""
    if word >= 0:
        columns[word] = tuple(map(keywords, columns[word]))
    if kind < 0:
        yield Group(names, rows, columns)
        return
    own = [value.__class__ is str and value in _NXLOG_TYPES for value in columns[kind]]
    theirs = (*names[:kind], "event_type", *names[kind + 1 :])
    for group, chosen in ((theirs, own), (names, [not each for each in own])):
        if all(chosen):
            yield Group(group, rows, columns)
        elif any(chosen):
            yield Group(
                group, list(compress(rows, chosen)), [tuple(compress(column, chosen)) for column in columns]
            )  # fmt: skip
