"""Free text told apart by patterns: sshd, Postfix, BIND, Cisco ASA, access logs.

In: the message of a line and its program (from the syslog header), and a list of `PatternSpec`, e.g. ::

    name: failed, program: [sshd], contains: "Failed ",
    pattern: '^Failed (?P<method>\\S+) for (?P<user.name>\\S+) from (?P<source.ip>\\S+) port (?P<source.port>\\d+)'

Out: the first pattern that fits gives the kind and its named groups; names may hold dots. Lines that
no pattern fits are grouped under the kind `OTHER` with no names, for the product to judge.

A pattern must be one that RE2 takes (no backtracking constructs) and must not nest unbounded
repeats. Short lines run on Python's `re`, ten times quicker to call; lines longer than `LONG` run on
RE2, whose time is linear, so that no sender's line can hang the process.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from collectors.formats.parsed import Grouper, Parsed

OTHER: Final = "other"
LONG: Final = 2048
_NAME: Final = re.compile(r"\(\?P<([^>]*)>")
_UNBOUNDED: Final = 1000
# What stands between quotes: the same texts, ten times faster by Python, who takes an alternative a character
_QUOTED: Final = (r'(?:[^"\\]|\\.)*', r'[^"\\]*(?:\\.[^"\\]*)*')


@dataclass(frozen=True, slots=True)
class PatternSpec:
    """One pattern of one kind; the conditions are cheap and all must hold. `mark` names values of
    the first group of the format's own mark pattern (a message id such as ``302013``)."""

    kind: str
    pattern: str
    program: frozenset[str] = frozenset()
    contains: str = ""
    starts: str = ""
    mark: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Compiled:
    kind: str
    names: tuple[str, ...]
    contains: str
    starts: str
    quick: Callable[[str], re.Match[str] | None]
    linear: Callable[[str], Any]


def dotted(pattern: str) -> tuple[str, tuple[str, ...]]:
    """The pattern with plain group names, and the names as written, in order."""
    names: list[str] = []

    def plain(match: re.Match[str]) -> str:
        names.append(match[1])
        return f"(?P<g{len(names)}>"

    return _NAME.sub(plain, pattern), tuple(names)


def check(pattern: str) -> str:
    """What is wrong with a pattern, or nothing."""
    plain, names = dotted(pattern)
    if len(set(names)) != len(names):
        return "a group's name comes twice"
    try:
        re.compile(plain, re.ASCII)
        options = re2.Options()
        options.log_errors = False
        re2.compile(plain, options)
    except (re.error, re2.error) as error:
        text = error.args[0] if error.args else ""
        return f"RE2 refuses it: {text.decode() if isinstance(text, bytes) else text}"
    if _nested(importlib.import_module("re._parser").parse(plain, re.ASCII), inside=False):
        return "an unbounded repeat within another can take for ever"
    return ""


def _nested(tree: Any, *, inside: bool) -> bool:
    for operation, argument in tree:
        name = str(operation)
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            _, most, part = argument
            many = most.__class__ is not int or int(most) > _UNBOUNDED
            if (many and inside) or _nested(part, inside=inside or many):
                return True
        elif name == "SUBPATTERN":
            if _nested(argument[3], inside=inside):
                return True
        elif name == "BRANCH" and any(_nested(part, inside=inside) for part in argument[1]):
            return True
    return False


def _compile(spec: PatternSpec) -> _Compiled:
    plain, names = dotted(spec.pattern)
    options = re2.Options()
    options.log_errors = False
    return _Compiled(
        spec.kind, names, spec.contains, spec.starts,
        re.compile(plain.replace(*_QUOTED), re.ASCII).search, re2.compile(plain, options).search,
    )  # fmt: skip


class Patterns:
    """A compiled list of patterns. Calling it is pure, whatever came before."""

    def __init__(self, specs: Sequence[PatternSpec], *, mark: str = "") -> None:
        self._mark = re.compile(mark, re.ASCII).search if mark else None
        self._specs = [(spec, _compile(spec)) for spec in specs]
        self._by_key: dict[tuple[str | None, str | None], list[_Compiled]] = {}

    def _candidates(self, program: str | None, mark: str | None) -> list[_Compiled]:
        if program is not None and program.startswith(
            "/"
        ):  # /usr/sbin/cron, as macOS and BSD write it
            program = program.rpartition("/")[2]
        key = (program, mark)
        known = self._by_key.get(key)
        if known is None:
            known = [
                compiled
                for spec, compiled in self._specs
                if (not spec.program or (program or "").lower() in spec.program)
                and (not spec.mark or mark in spec.mark)
            ]
            if len(self._by_key) > 2000:  # hostile program names
                self._by_key.clear()
            self._by_key[key] = known
        return known

    def parse(
        self, lines: Sequence[str | None], programs: Sequence[str | None] | None = None
    ) -> Parsed:
        """`programs` runs beside `lines`; None where the format has no syslog header."""
        parsed, grouper = Parsed(), Grouper()
        for row, line in enumerate(lines):
            if line is None:
                continue
            mark = None
            if self._mark is not None:
                found = self._mark(line[:512])
                mark = found[1] if found else None
            for one in self._candidates(programs[row] if programs else None, mark):
                if (one.contains and one.contains not in line) or (
                    one.starts and not line.startswith(one.starts)
                ):
                    continue
                hit = one.quick(line) if len(line) <= LONG else one.linear(line)
                if hit is not None:
                    grouper.add(row, one.names, hit.groups(), one.kind)
                    break
            else:
                grouper.add(row, (), (), OTHER)
        parsed.groups.extend(grouper.groups())
        return parsed
