"""Linux audit records: the lines of one kernel event, together or one by one.

In: a line, or the lines of one event as one text, from `audit.log`, audisp's syslog or the kernel's own::

    type=SYSCALL msg=audit(1795485600.123:93777): arch=c000003e syscall=59 success=yes … exe="/usr/bin/id"
    type=EXECVE msg=audit(1795485600.123:93777): argc=2 a0="id" a1="-u"
    type=PATH msg=audit(1795485600.123:93777): item=0 name="/usr/bin/id" nametype=NORMAL
    type=PROCTITLE msg=audit(1795485600.123:93777): proctitle=6964002D75

Out: the fields under audit's own names, quotes off and audit's hexadecimal texts read; `type` is the
list of record types, `main` the one that says most, `id` the ``seconds:serial`` that all lines of an
event share. PATH fields are lists. Read out of them: `SYSCALL` (the call's name), `command` (the
arguments, joined), `path` and `path.nametype` (the file that the call is about), `access` (read or
write, of an open), `saddr.*` (the address). Arguments of EXECVE stand before SYSCALL's registers
(those are then ``syscall.a0``). A text without an audit record in it is a failure; a record of another
event in the same text is left out with a remark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from collectors.formats.audit_values import (
    HEX_TEXT,
    REGISTER,
    TYPE_NUMBERS,
    address,
    call_name,
    opened_for,
    unquoted,
)  # fmt: skip
from collectors.formats.parsed import Format, Grouper, Parsed, Value

MAX_LINES: Final = 512
MAX_ARGUMENTS: Final = 1_000
_HEAD: Final = re.compile(
    r"(?:node=(\S{1,255}) )?type=([A-Z0-9_\[\]a-z]{1,64}) (?:msg=)?audit\((\d{1,12}\.\d{1,9}):(\d{1,20})\): ?"
)
_PAIR: Final = re.compile(r"""([A-Za-z_][A-Za-z0-9_\-]*(?:\[\d+\])?)=("[^"]*"|'[^']*'|\S*)|(\S+)""", re.ASCII)  # fmt: skip
_ARGUMENT: Final = re.compile(r"a(\d{1,4})(?:\[(\d{1,4})\])?")
_BESIDE: Final = frozenset(
    ("SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE", "SOCKADDR", "SOCKETCALL", "IPC", "FD_PAIR", "MMAP", "CAPSET", "BPF",
     "BPRM_FCAPS", "OBJ_PID", "KERN_MODULE", "OPENAT2", "URINGOP", "FANOTIFY", "EOE", "MQ_OPEN", "MQ_SENDRECV"),
)  # fmt: skip
"""Records that only add to others of their event."""
_NONE: Final = frozenset(("(null)", "?", "(none)"))
_NOTHING: Final = frozenset(("#words", "SADDR", "argc"))


def pairs(text: str, kind: str) -> dict[str, str]:
    """The fields of one record. Words without a name belong to the value before them; a user-space
    message in ``msg='…'`` is opened."""
    found: dict[str, str] = {}
    last = ""
    for match in _PAIR.finditer(text.replace("\x1d", " ")):
        key, value, word = match.groups()
        if word is not None:
            last = last or "#words"
            if word not in "{}":
                found[last] = f"{found[last]} {word}" if found.get(last) else word
            continue
        if key == "msg" and value[:1] == "'":
            found |= {name: v for name, v in pairs(value[1:-1], kind).items() if name not in found}
            last = ""
            continue
        if key in found:
            continue
        decode = key in HEX_TEXT and not (kind != "EXECVE" and REGISTER.fullmatch(key))
        found[key] = unquoted(
            value, decode or (kind == "EXECVE" and _ARGUMENT.match(key) is not None)
        )
        last = "" if value[:1] in {'"', "'"} else key
    return {key: value for key, value in found.items() if value not in _NONE}


class _Event:
    """The fields of one kernel event, record by record."""

    def __init__(self) -> None:
        self.types: list[str] = []
        self.fields: dict[str, Value] = {}
        self._paths: list[dict[str, str]] = []
        self._arguments: dict[int, dict[int, str]] = {}

    def add(self, kind: str, found: dict[str, str]) -> None:
        self.types.append(kind)
        if kind == "PATH":
            self._paths.append(found)
        elif kind == "EXECVE":
            self._execve(found)
        else:
            if kind == "SOCKADDR":
                self.fields |= address(found.get("saddr", ""))
            for key, value in found.items():
                name = "text" if key == "#words" else key
                if key not in _NOTHING or key == "#words":
                    self.fields.setdefault(name, value)

    def _execve(self, found: dict[str, str]) -> None:
        for key, value in found.items():
            part = _ARGUMENT.fullmatch(key)
            if part and int(part[1]) < MAX_ARGUMENTS:
                self._arguments.setdefault(int(part[1]), {})[int(part[2] or 0)] = value

    def finish(self) -> dict[str, Value]:
        fields = self.fields
        if self._arguments:
            for key in [key for key in fields if REGISTER.fullmatch(key)]:
                fields[f"syscall.{key}"] = fields.pop(key)
            whole = {
                n: "".join(parts[i] for i in sorted(parts))
                for n, parts in sorted(self._arguments.items())
            }
            fields |= {f"a{n}": value for n, value in whole.items() if n < 32}
            fields["command"] = " ".join(whole.values())
        if "syscall" in fields and "SYSCALL" not in fields:
            name = call_name(fields.get("arch", ""), fields["syscall"])
            if name:
                fields["SYSCALL"] = name
        self._about()
        beside = [kind for kind in ("SYSCALL", "EXECVE") if kind in self.types] or self.types
        main = next((kind for kind in self.types if kind not in _BESIDE), beside[0])
        return {"type": self.types, "main": main} | fields

    def _about(self) -> None:
        """The file that the event is about: what was made or deleted, else the last that was named."""
        fields = self.fields
        for key in dict.fromkeys(key for path in self._paths for key in path):
            fields[key if key not in fields else f"path.{key}"] = [
                path.get(key) for path in self._paths
            ]
        named = [path for path in self._paths if path.get("name")]
        if not named:
            return
        by_type = {path.get("nametype", ""): path for path in reversed(named)}
        normal = [path for path in named if path.get("nametype") != "PARENT"] or named
        chosen = by_type.get("CREATE") or by_type.get("DELETE") or normal[0]
        name = chosen["name"]
        folder = str(fields.get("cwd", ""))
        if not name.startswith("/") and folder.startswith("/"):
            name = f"{folder.rstrip('/')}/{name.removeprefix('./')}"
        fields["path"] = name
        fields["path.nametype"] = chosen.get("nametype")
        access = opened_for(fields)
        if access:
            fields["access"] = access


def event(text: str) -> tuple[dict[str, Value], str] | None:
    """The fields of a text and a remark about it; None if it holds no audit record."""
    head = _HEAD.search(text[:2_048])
    if head is None:
        return None
    first, made, strange = head[3] + ":" + head[4], _Event(), 0
    made.fields = {"id": first, "time": head[3], "serial": head[4]}
    if head[1]:
        made.fields["node"] = head[1]
    lines = text.split("\n") if "\n" in text else [text]
    for line in lines[:MAX_LINES]:
        head = _HEAD.search(line, 0, 2_048)
        if head is None:
            continue
        if f"{head[3]}:{head[4]}" != first:
            strange += 1
            continue
        kind = head[2]
        kind = TYPE_NUMBERS.get(kind, kind).removeprefix("UNKNOWN").strip("[]")
        body = line[head.end() :].rstrip("\r")
        if kind.startswith("AUOMS_"):  # Microsoft's collector: one line that holds the whole event
            made.types.append(kind[6:])
            kind = "SYSCALL"
        made.add(kind, pairs(body, kind))
    strange += max(0, len(lines) - MAX_LINES)
    remark = (
        f"{strange} lines of other events, or beyond {MAX_LINES}, are not read" if strange else ""
    )
    return made.finish(), remark


def auditd() -> Format:
    """A format of audit events."""

    def parse(lines: Sequence[str | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        for row, line in enumerate(lines):
            if line is None:
                continue
            found = event(line)
            if found is None:
                parsed.failures[row] = "no audit record: expected type=… msg=audit(seconds:serial):"
                continue
            fields, remark = found
            if remark:
                parsed.note(row, remark)
            grouper.add(row, tuple(fields), tuple(fields.values()))
        parsed.groups.extend(grouper.groups())
        return parsed

    return parse
