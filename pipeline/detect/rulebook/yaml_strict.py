"""YAML as rules need it: nothing said twice, nothing said elsewhere, every fault with its line.

In: the text of one file. Out: one `Document` for each YAML document in it. Refused: a key that
occurs twice in one mapping (plain YAML readers keep the last one and drop a whole selection in
silence), anchors and aliases (a text must be readable where it stands, and cannot grow when read),
merge keys, tags, nesting deeper than 50, texts over 1 MB.

    selection:
        Image|endswith: '\\cmd.exe'
    selection:                          # refused: "the key selection occurs twice", rule.yml:7
        CommandLine|contains: whoami
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from pipeline.model.errors import UsageError

MAX_TEXT: Final = 1 << 20
MAX_DEPTH: Final = 50

try:
    _LOADER: Any = yaml.CSafeLoader
except AttributeError:  # a PyYAML built without libyaml: ten times slower, the same result
    _LOADER = yaml.SafeLoader


@dataclass(slots=True)
class Document:
    """One YAML document: its value, its own text, its first line (from 1), and the lines of its top keys
    and of theirs (`detection`, `detection.selection`)."""

    value: Any
    text: str
    line: int
    key_lines: dict[str, int] = field(default_factory=dict)


def read_yaml(text: str, name: str) -> list[Document]:
    """Every document of `text`; `name` is the file's, for messages. Raises `UsageError`."""
    if len(text) > MAX_TEXT:
        raise UsageError(
            "the file is too large", where=name, got=f"{len(text):,} characters",
            expected=f"at most {MAX_TEXT:,}",
        )  # fmt: skip
    try:
        return list(_documents(text, name))
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise UsageError(f"not YAML: {error.problem or error.context}", where=place) from None
    except yaml.YAMLError as error:
        raise UsageError(f"not YAML: {error}", where=name) from None


def _documents(text: str, name: str) -> Iterator[Document]:
    events: Any = yaml.parse(text, Loader=_LOADER)
    lines: list[str] | None = None
    begin = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            begin = event.start_mark.line if event.start_mark else 0
        elif isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentEndEvent):
            continue
        else:
            first = event.start_mark.line
            key_lines: dict[str, int] = {}
            value = _Composer(events, name).compose(event, 0, key_lines)
            end = next(events)  # the document's end
            lines = lines or text.splitlines(keepends=True)
            whole = begin == 0 and end.end_mark.line >= len(lines) - 1
            own = text if whole else "".join(lines[begin : max(end.end_mark.line, first + 1)])
            yield Document(value, own.removeprefix("---").lstrip("\r\n"), first + 1, key_lines)


class _Composer:
    """Builds values from parser events, with the checks that PyYAML's own composer lacks."""

    def __init__(self, events: Any, name: str) -> None:
        self._events, self._name = events, name

    def _refuse(self, what: str, event: Any, remedy: str) -> UsageError:
        return UsageError(what, where=f"{self._name}:{event.start_mark.line + 1}", remedy=remedy)

    def compose(
        self, event: Any, depth: int, key_lines: dict[str, int] | None = None, under: str = ""
    ) -> Any:
        kind = type(event)
        if kind is yaml.AliasEvent or event.anchor is not None:
            raise self._refuse("an anchor or alias", event, "write the value out where it is meant")
        if event.tag is not None:
            raise self._refuse(f"the tag {event.tag}", event, "leave tags out")
        if depth > MAX_DEPTH:
            raise self._refuse(f"nested deeper than {MAX_DEPTH}", event, "flatten the rule")
        if kind is yaml.ScalarEvent:
            return self._scalar(event)
        if kind is yaml.SequenceStartEvent:
            items = []
            while type(following := next(self._events)) is not yaml.SequenceEndEvent:
                items.append(self.compose(following, depth + 1))
            return items
        return self._mapping(depth, key_lines, under)

    def _scalar(self, event: Any) -> Any:
        if not event.implicit[0]:
            return event.value
        try:
            return _plain(event.value)
        except (ValueError, yaml.YAMLError):
            raise self._refuse(f"{event.value!r} is no value", event, "put it in quotes") from None

    def _mapping(self, depth: int, key_lines: dict[str, int] | None, under: str) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        event: Any
        while type(event := next(self._events)) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent:
                raise self._refuse("a key that is not plain text", event, "use a text as key")
            key = self.compose(event, depth + 1)
            if event.value == "<<" and event.implicit[0]:
                raise self._refuse("a merge key", event, "write the keys out")
            if key in found:
                raise self._refuse(f"the key {key} occurs twice", event, "give one another name")
            path, deeper = f"{under}{key}", None
            if key_lines is not None:
                key_lines[path] = (event.start_mark.line if event.start_mark else 0) + 1
                deeper = None if under else key_lines
            found[key] = self.compose(next(self._events), depth + 1, deeper, f"{path}.")
        return found


@lru_cache(maxsize=4096)
def _plain(text: str) -> Any:
    """What YAML 1.1 makes of a plain scalar: a number, a truth, null, a date or text."""
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))
    if tag == "tag:yaml.org,2002:str":
        return text
    return _CONSTRUCTOR.construct_object(yaml.ScalarNode(tag, text), deep=True)


_RESOLVER: Final[Any] = Resolver()
_CONSTRUCTOR: Final = SafeConstructor()
