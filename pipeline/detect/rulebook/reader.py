"""From texts to a rule book: YAML, pySigma, trees, filters; one pass, every fault kept.

In: `(name, text)` pairs. Out: a `RuleBook`. A text that is refused costs itself alone. Filters are
joined here: a rule's body becomes `rule and filter` (pySigma's meaning: the filter's condition is
what must also hold), its revision the hash of its own text and its filters'.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter
from sigma.rule import SigmaLogSource, SigmaRule
from sigma.rule.base import SigmaRuleBase

from pipeline.detect.correlations.reading import sigma_shape
from pipeline.detect.matching.tree import all_of
from pipeline.detect.rulebook.aggregation import is_aggregation, refusal
from pipeline.detect.rulebook.parse import Placeholders, read_detections
from pipeline.detect.rulebook.quiet import read_quiet
from pipeline.detect.rulebook.rules import Kind, LogSource, Rule, RuleBook
from pipeline.detect.rulebook.yaml_strict import Document, read_yaml
from pipeline.model.detections import Level
from pipeline.model.errors import ThapCanhError, UsageError
from pipeline.model.ids import content_hash

_UNNAMED: Final = uuid.UUID(
    "6e1f3a52-7a08-4c55-9d0e-2b8f7c1d4e90"
)  # the space of ids of rules that have none


def read_book(texts: Iterable[tuple[str, str]], placeholders: Placeholders) -> RuleBook:
    """Every rule, correlation and filter of the texts, and every fault."""
    reader = _Reader(placeholders)
    for name, text in texts:
        reader.read(name, text)
    return reader.book()


class _Reader:
    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self._found: dict[str, Rule] = {}
        self._named: dict[str, Mapping[str, Any]] = {}  # filter id → what it applies to
        self._faults: list[ThapCanhError] = []
        self._skipped: list[str] = []

    def read(self, name: str, text: str) -> None:
        try:
            documents = read_yaml(text, name)
        except ThapCanhError as error:
            self._faults.append(error)
            return
        for document in documents:
            try:
                self._document(name, document)
            except RecursionError:
                self._faults.append(_fault(UsageError("nested too deep"), name, document))
            except _Several as error:
                self._faults += [_fault(each, name, document) for each in error.errors]
            except (ThapCanhError, SigmaError) as error:
                self._faults.append(_fault(error, name, document))
            except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
                # pySigma meets a type it did not expect: the rule's fault, not the run's
                odd = UsageError(f"not a rule's shape: {error}")
                self._faults.append(_fault(odd, name, document))

    def _document(self, name: str, document: Document) -> None:
        given = document.value
        if given is None:
            return
        if not isinstance(given, dict):
            raise UsageError("a rule is a mapping", got=type(given).__name__)
        if "action" in given:
            raise UsageError(
                "rule collections (action) are Sigma's old form", remedy="write each rule out"
            )
        kind: Kind = (
            "correlation" if "correlation" in given else "filter" if "filter" in given else "rule"
        )
        if kind == "rule" and "detection" not in given and "logsource" not in given:
            self._skipped.append(name)
            return
        rule = _READ[kind](given, self._placeholders)
        rule = msgspec.structs.replace(
            rule,
            path=name,
            line=document.line,
            text=document.text,
            revision=content_hash(document.text, rule.revision)
            if rule.revision
            else content_hash(document.text),
        )
        known = self._found.get(rule.id)
        if known is not None:
            raise UsageError(
                f"the id {rule.id} occurs twice", got=f"first in {known.path}:{known.line}",
                remedy="give one of the two an id of its own",
            )  # fmt: skip
        self._found[rule.id] = rule
        if kind == "filter":
            self._named[rule.id] = given["filter"]

    def book(self) -> RuleBook:
        of_kind: dict[Kind, list[Rule]] = {"rule": [], "correlation": [], "filter": []}
        for rule in self._found.values():
            of_kind[rule.kind].append(rule)
        rules = [self._filtered(rule, of_kind["filter"]) for rule in of_kind["rule"]]
        return RuleBook(
            rules=tuple(rules),
            correlations=tuple(of_kind["correlation"]),
            filters=tuple(of_kind["filter"]),
            faults=tuple(self._faults),
            skipped=tuple(self._skipped),
        )

    def _filtered(self, rule: Rule, filters: Sequence[Rule]) -> Rule:
        applied = [each for each in filters if applies(each, self._named[each.id], rule)]
        if not applied:
            return rule
        bodies = [each.body for each in (rule, *applied) if each.body is not None]
        return msgspec.structs.replace(
            rule,
            body=all_of(bodies),
            filters=tuple(each.id for each in applied),
            revision=content_hash(rule.revision, *(each.revision for each in applied)),
        )


def applies(each: Rule, named: Mapping[str, Any], rule: Rule) -> bool:
    """Whether a filter is of the rule: by its log source, and by name or id."""
    wanted, has = each.logsource, rule.logsource
    for mine, its in (
        (wanted.product, has.product),
        (wanted.category, has.category),
        (wanted.service, has.service),
    ):
        if mine and mine != its:
            return False
    rules = named.get("rules")
    if rules in (None, []) or (isinstance(rules, str) and rules.lower() == "any"):
        return True
    return bool(
        {rule.id, rule.name}
        & {str(each) for each in (rules if isinstance(rules, list) else [rules])}
    )


def _common(parsed: SigmaRuleBase, given: Mapping[str, Any], kind: Kind) -> Rule:
    if parsed.errors:
        raise _Several(parsed.errors)
    title = str(given.get("title") or "")
    return Rule(
        id=str(parsed.id) if parsed.id else str(uuid.uuid5(_UNNAMED, title)),
        title=title,
        kind=kind,
        name=parsed.name or "",
        level=Level(parsed.level.name.lower()) if parsed.level else Level.MEDIUM,
        status=parsed.status.name.lower() if parsed.status else "experimental",
        quiet=read_quiet(given),
        tags=tuple(str(tag) for tag in parsed.tags),
        references=tuple(str(each) for each in parsed.references),
        falsepositives=tuple(str(each) for each in parsed.falsepositives),
        description=parsed.description or "",
        author=parsed.author or "",
        date=str(parsed.date or ""),
        modified=str(parsed.modified or ""),
        fields=tuple(str(each) for each in parsed.fields),
    )


def _source(source: SigmaLogSource) -> LogSource:
    return LogSource(source.product or "", source.category or "", source.service or "")


def _read_rule(given: dict[str, Any], placeholders: Placeholders) -> Rule:
    # The detection is parsed once, by us, value by value: pySigma is shown a stand-in for the rest.
    parsed = SigmaRule.from_dict({**given, "detection": _STAND_IN}, collect_errors=True)
    detection, asked = given.get("detection"), _Asked(placeholders)
    try:
        if not isinstance(detection, dict):
            raise UsageError("the rule has no detection")
        if is_aggregation(given):
            raise refusal(given)
        body = read_detections(detection, asked, skip=("condition", "timeframe"))
    except ThapCanhError as error:
        raise _Several([*parsed.errors, error]) from None
    rule = _common(parsed, given, "rule")
    return msgspec.structs.replace(
        rule, logsource=_source(parsed.logsource), body=body, revision=asked.digest
    )


def _read_filter(given: dict[str, Any], placeholders: Placeholders) -> Rule:
    parsed = SigmaFilter.from_dict(given, collect_errors=True)
    rule = _common(parsed, given, "filter")
    asked = _Asked(placeholders)
    body = read_detections(given["filter"], asked, skip=("condition", "rules"))
    return msgspec.structs.replace(
        rule, logsource=_source(parsed.logsource), body=body, revision=asked.digest
    )


class _Several(Exception):  # noqa: N818 - carries errors from where they are found to where they are told
    """All that is wrong with one rule."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        super().__init__(*errors)
        self.errors = tuple(errors)


class _Asked(dict[str, Sequence[str]]):
    """Placeholders, and which of them a rule used: what filled them is part of its revision."""

    def __init__(self, placeholders: Placeholders) -> None:
        super().__init__(placeholders)
        self._used: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self._used.add(name)
        return super().get(name, default)

    @property
    def digest(self) -> str:
        """Of the values that were used; empty where the rule has no placeholder with values."""
        used = sorted(name for name in self._used if name in self)
        parts = [part for name in used for part in (name, *sorted(self[name]))]
        return content_hash(*parts) if used else ""


def _read_correlation(given: dict[str, Any], placeholders: Placeholders) -> Rule:  # noqa: ARG001
    parsed = SigmaCorrelationRule.from_dict(sigma_shape(given), collect_errors=True)
    return _common(parsed, given, "correlation")


_STAND_IN: Final = {"s": {"f": "v"}, "condition": "s"}
_READ: Final = {"rule": _read_rule, "filter": _read_filter, "correlation": _read_correlation}


def _key_of(error: Exception) -> str:
    """The key of the rule that an error is about, as far as its words tell."""
    words = str(error).lower()
    for key in ("logsource", "level", "status", "tags", "date", "id", "title"):
        if f" {key} " in f" {words} ".replace("log source", "logsource"):
            return key
    return "detection"


def _line_of(error: Exception, lines: Mapping[str, int]) -> int | None:
    """The line of the key that an error is about: as it says, else as far as its words tell."""
    named = error.where if isinstance(error, ThapCanhError) else ""
    for key in (f"detection.{named}", f"filter.{named}", _key_of(error)):
        if key in lines:
            return lines[key]
    return None


def _fault(error: Exception, name: str, document: Document) -> UsageError:
    line = _line_of(error, document.key_lines) or document.line
    title = document.value.get("title") if isinstance(document.value, dict) else None
    parts = [f"rule {title!r}" if title else ""]
    if isinstance(error, ThapCanhError):
        parts.append(error.got)
        what, expected, remedy = error.what, error.expected, error.remedy
    else:
        what, expected, remedy = str(error), "", ""
    got = ": ".join(part for part in parts if part)
    return UsageError(what, where=f"{name}:{line}", got=got, expected=expected, remedy=remedy)
