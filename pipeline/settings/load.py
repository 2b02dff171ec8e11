"""YAML and environment in, frozen settings out, or every fault at once.

The file is ``thapcanh.yml`` in the home folder::

    detect:
      interval: 5
    collect:
      listeners:
        - {name: http, kind: http_bulk, address: 0.0.0.0, port: 9700}

``THAPCANH__DETECT__INTERVAL=5`` says the same and wins over the file. An unknown key names the
nearest known one; each fault has its file and line.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.model.errors import FaultsError, ThapCanhError, UsageError
from pipeline.settings.ranges import expected_instead
from pipeline.settings.values import Settings

FILE_NAME = "thapcanh.yml"
PREFIX = "THAPCANH__"


def load_settings(home: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of the home folder. Raises FaultsError that lists every fault."""
    faults: list[ThapCanhError] = []
    tree = _read_file(home / FILE_NAME, faults)
    overlays = _read_environment(environ, faults)
    reader = _Reader(faults)
    known = {f.name: f for f in dataclasses.fields(Settings) if f.name != "home"}
    hints = typing.get_type_hints(Settings)
    sections: dict[str, Any] = {}
    for name, node in reader.keys(tree, known, FILE_NAME):
        sections[name] = reader.value(node, hints[name], f"{name}", f"{home / FILE_NAME}")
    for (section, key), text in overlays.items():
        where = f"{PREFIX}{section.upper()}__{key.upper()}"
        base = sections.get(section)
        if section not in known:
            faults.append(_unknown(section, known, where))
            continue
        if base is None or base is _BAD:
            base = hints[section]()
        fields = {f.name: f for f in dataclasses.fields(base)}
        if key not in fields:
            faults.append(_unknown(key, fields, where))
            continue
        value = reader.value(
            _node_of(text, where, faults), typing.get_type_hints(type(base))[key], key, where
        )
        sections[section] = base if value is _BAD else dataclasses.replace(base, **{key: value})
    if faults:
        raise FaultsError("the settings cannot be used", faults)
    return Settings(home=home, **sections)


_BAD: Any = object()


class _Reader:
    """Turns YAML nodes into values of a type, noting each fault with its place."""

    def __init__(self, faults: list[ThapCanhError]) -> None:
        self.faults = faults

    def keys(
        self, node: yaml.Node | None, known: Mapping[str, Any], where: str
    ) -> list[tuple[str, yaml.Node]]:
        if node is None:
            return []
        if not isinstance(node, yaml.MappingNode):
            self.fault("a mapping of settings is expected here", node, where)
            return []
        seen: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            name = str(key_node.value)
            place = f"{where}, line {key_node.start_mark.line + 1}"
            if name in seen:
                self.faults.append(UsageError(f"the key {name} stands twice", where=place))
            elif name not in known:
                self.faults.append(_unknown(name, known, place))
            else:
                seen[name] = value_node
        return list(seen.items())

    def fault(self, what: str, node: yaml.Node, where: str, expected: str = "") -> None:
        got = repr(node.value) if isinstance(node, yaml.ScalarNode) else node.tag.rpartition(":")[2]
        place = where if where.startswith(PREFIX) else f"{where}, line {node.start_mark.line + 1}"
        self.faults.append(UsageError(what, where=place, got=got, expected=expected))

    def value(self, node: yaml.Node | None, kind: Any, name: str, where: str) -> Any:
        if node is None:
            return _BAD
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return self._record(node, kind, where)
        origin = typing.get_origin(kind)
        if origin is tuple:
            return self._list(node, typing.get_args(kind)[0], name, where)
        if origin is types.UnionType:
            raise TypeError(f"{name}: settings have one type each")
        return self._scalar(node, kind, name, where)

    def _record(self, node: yaml.Node, kind: type, where: str) -> Any:
        fields = {f.name: f for f in dataclasses.fields(kind)}
        hints = typing.get_type_hints(kind)
        count = len(self.faults)
        found = {
            name: self.value(child, hints[name], name, where)
            for name, child in self.keys(node, fields, where)
        }
        for name, one in fields.items():
            required = (
                one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
            )
            if required and name not in found:
                self.fault(f"{name} is missing", node, where)
        return _BAD if len(self.faults) > count else kind(**found)

    def _list(self, node: yaml.Node, kind: Any, name: str, where: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            self.fault(f"{name} is a list", node, where)
            return _BAD
        found = [self.value(child, kind, name, where) for child in node.value]
        return _BAD if any(one is _BAD for one in found) else tuple(found)

    def _scalar(self, node: yaml.Node, kind: Any, name: str, where: str) -> Any:
        value = (
            yaml.SafeLoader("").construct_object(node)
            if isinstance(node, yaml.ScalarNode)
            else _BAD
        )
        allowed = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
        if allowed and value not in allowed:
            self.fault(
                f"{name} has a value of its own list", node, where, " or ".join(map(str, allowed))
            )
        elif type(value) is not bool and (expected := expected_instead(name, value)):
            self.fault(f"{name} cannot be that", node, where, expected)
        elif kind is float and type(value) in (int, float):
            return float(value)
        elif allowed or (kind in (str, int, bool) and type(value) is kind):
            return value
        elif kind is str and isinstance(value, int | float) and isinstance(node, yaml.ScalarNode):
            return node.value
        else:
            self.fault(
                f"{name} is of another type", node, where, getattr(kind, "__name__", str(kind))
            )
        return _BAD


def _unknown(name: str, known: Mapping[str, Any], where: str) -> UsageError:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    return UsageError(f"there is no setting {name}", where=where, remedy=remedy)


def _read_file(path: Path, faults: list[ThapCanhError]) -> yaml.Node | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        faults.append(
            UsageError("the settings file cannot be read", where=str(path), got=str(error))
        )
        return None
    return _node_of(text, str(path), faults)


def _node_of(text: str, where: str, faults: list[ThapCanhError]) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults.append(
            UsageError("this is not YAML", where=f"{where}, line {line}", got=error.problem or "")
        )
        return None


def _read_environment(
    environ: Mapping[str, str], faults: list[ThapCanhError]
) -> dict[tuple[str, str], str]:
    found = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if not key:
            faults.append(UsageError("a setting is THAPCANH__SECTION__KEY", where=name))
        else:
            found[(section, key)] = text
    return found
