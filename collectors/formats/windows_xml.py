"""The XML of a Windows event as the same tree that the ``evtx`` package's JSON has.

In: ``<Event xmlns='…'><System><Provider Name='…'/><EventID>4624</EventID>…</System><EventData>
<Data Name='SubjectUserName'>an</Data><Data>unnamed</Data></EventData></Event>``
Out: ``{"Event": {"System": {…}, "EventData": {"SubjectUserName": "an", "Data": ["unnamed"]}}}``
A document type declaration (entities, "billion laughs") is refused, as is nesting beyond `MAX_DEPTH`.

Not every sender's XML is XML: Sysmon for Linux writes ``bash -i >& /dev/tcp/…`` as it is, and syslog cuts what
is long. `loose` reads such an event by its tags.
"""

from __future__ import annotations

import re
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import unescape

MAX_DEPTH: Final = 64

_TAGS: Final = {
    name: re.compile(rf"<{name}(?: [^<>]{{0,200}})?>([^<]{{1,1000}})<")
    for name in (
        "EventID",
        "Version",
        "Level",
        "Task",
        "Opcode",
        "Keywords",
        "EventRecordID",
        "Channel",
        "Computer",
    )
}
_ATTRIBUTES: Final = {
    "Provider": ("Name", re.compile(r"<Provider Name=[\"']([^\"'<>]{1,300})[\"']")),
    "TimeCreated": (
        "SystemTime",
        re.compile(r"<TimeCreated SystemTime=[\"']([^\"'<>]{1,64})[\"']"),
    ),
}
_DATA: Final = re.compile(r"<Data Name=[\"']([^\"'<>]{1,200})[\"']>")
_ENTITIES: Final = {"&quot;": '"', "&apos;": "'"}


class _Reader:
    """Builds the tree; text of an element with children is dropped, as in the evtx package."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._stack: list[tuple[str, str, dict[str, Any], list[str]]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise ValueError("XML nested too deep")
        name = tag.rpartition(":")[2]
        self._stack.append((name, attributes.get("Name", ""), {}, []))
        kept = {k: v for k, v in attributes.items() if not k.startswith("xmlns")}
        if kept:
            self._stack[-1][2]["#attributes"] = kept

    def text(self, data: str) -> None:
        if self._stack:
            self._stack[-1][3].append(data)

    def end(self, _tag: str) -> None:
        name, key, node, texts = self._stack.pop()
        text = "".join(texts)
        children = [child for child in node if child != "#attributes"]
        value: Any = node
        if name == "Data":
            value, name = text, key or "Data"
            if not key:
                value = [text]
        elif not children:
            if "#attributes" not in node:
                value = text or None
            elif text.strip():
                node["#text"] = text
        parent = self._stack[-1][2] if self._stack else self.root
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list) and isinstance(value, list):
            parent[name].extend(value)
        else:
            parent[f"{name}#2"] = value


def load(line: str | bytes) -> dict[str, Any]:
    """The tree. Raises ValueError with a clear reason."""
    reader = _Reader()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise ValueError("XML with a document type declaration is refused")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.buffer_text = True
    try:
        parser.Parse(line, True)
    except expat.ExpatError as error:
        raise ValueError(f"not XML: {error}") from None
    if "Event" not in reader.root:
        raise ValueError("XML, but not a Windows event")
    return reader.root


def loose(line: str | bytes) -> dict[str, Any]:
    """The tree of an event that is not well-formed, or cut short. Raises ValueError if it has no event id."""
    text = line if isinstance(line, str) else line.decode("utf-8", "replace")
    head, _, rest = text.partition("<EventData>")
    system: dict[str, Any] = {}
    for name, pattern in _TAGS.items():
        found = pattern.search(head)
        if found:
            system[name] = unescape(found[1], _ENTITIES)
    for name, (attribute, pattern) in _ATTRIBUTES.items():
        found = pattern.search(head)
        if found:
            system[name] = {"#attributes": {attribute: unescape(found[1], _ENTITIES)}}
    if "EventID" not in system or "<!DOCTYPE" in text:
        raise ValueError("no event id")
    data: dict[str, Any] = {}
    parts = _DATA.split(rest)
    for key, value in zip(parts[1::2], parts[2::2], strict=True):
        data[key] = unescape(value.partition("</Data>")[0], _ENTITIES)
    return {"Event": {"System": system, "EventData": data}}
