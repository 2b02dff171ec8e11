"""The law of our own rules: what each file under `rules/` must be before it may go live.

In: files and folders of rules, the taxonomy, the products, the tags of ATT&CK. Out: every fault of every
rule, each with its file and line. What the law asks is written for people in `docs/rules.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from uuid import UUID

from pipeline.detect.correlations.reading import named
from pipeline.detect.proof.correlations import check_correlation
from pipeline.detect.proof.evidence import evidence_path, judge, read_evidence
from pipeline.detect.proof.lock import against, read_lock
from pipeline.detect.proof.references import NAME, read_opened, unopened
from pipeline.detect.rulebook.feeding import Verdict
from pipeline.detect.rulebook.feeding import judge as judge_sources
from pipeline.detect.rulebook.rules import Rule, RuleBook, load_rules
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model.errors import ThapCanhError, UsageError
from pipeline.settings.places import config_dir

if TYPE_CHECKING:
    from pipeline.normalise.product import Product

AUTHOR: Final = "Tháp Canh"
STATUSES: Final = frozenset({"stable", "test", "experimental", "deprecated", "unsupported"})
_FILE_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*\.yml")


def attack_tactics() -> dict[str, frozenset[str]]:
    """Technique → the tactics that it serves, both without `attack.`; all that a tag may name."""
    lines = (config_dir() / "attack" / "techniques.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {technique: frozenset(tactics.split()) for technique, tactics in rows}


def check(
    paths: Sequence[Path], taxonomy: Taxonomy, products: Mapping[str, Product], *, now: datetime
) -> list[ThapCanhError]:
    """Everything in the files and folders that breaks the law. Empty when all is well."""
    book = load_rules(paths)
    rules = (*book.rules, *book.correlations, *book.filters)
    faults = [*book.faults, *_alike(rules)]
    for folder in paths:
        within = [rule for rule in rules if Path(rule.path).is_relative_to(folder)]
        lock = read_lock(folder)
        if lock is not None:
            faults += against(lock, within, folder)
        faults += _check_opened(within, folder, now.date())
    tactics = attack_tactics()
    for rule in rules:
        faults += check_form(rule, tactics, today=now.date())
    verdicts = judge_sources(book.rules, taxonomy, products)
    for rule in book.rules:
        faults += _check_source(rule, verdicts[rule.id])
        faults += _check_evidence(rule, taxonomy, products, now)
    for rule in book.correlations:
        unknown = list(_check_correlation(rule, book))
        faults += unknown or check_correlation(rule, book, taxonomy, products, received=now)
    return faults


def _check_opened(rules: Sequence[Rule], folder: Path, today: date) -> Iterator[ThapCanhError]:
    opened = read_opened(folder) if folder.is_dir() else None
    for rule, reference in unopened(rules, opened, today=today) if opened is not None else ():
        yield UsageError(
            "a reference that nobody has opened", where=_place(rule, "references"), got=reference,
            remedy=f"open it; if it says what the rule does, give it a line in {folder / NAME}",
        )  # fmt: skip


def check_form(
    rule: Rule, tactics: Mapping[str, frozenset[str]], *, today: date
) -> list[ThapCanhError]:
    """What can be seen by reading the rule alone."""
    found = [*_check_words(rule, today), *_check_tags(rule, tactics)]
    if not rule.references:
        found.append(("references", "no references", "a public document that says why"))
    found += [
        ("references", "a reference that is no address", f"https://…, not {reference}")
        for reference in rule.references
        if urlsplit(reference).scheme != "https" or "." not in urlsplit(reference).netloc
    ]
    if not rule.falsepositives:
        what = "what else looks like this, or that nothing does"
        found.append(("falsepositives", "no false positives", what))
    return [
        UsageError(what, where=_place(rule, key), expected=expected)
        for key, what, expected in found
    ]


def _place(rule: Rule, key: str = "") -> str:
    """The file and the line of one of the rule's keys; of the rule itself where it lacks the key."""
    if key:
        for number, line in enumerate(rule.text.splitlines()):
            if line.startswith(f"{key}:"):
                return f"{rule.path}:{rule.line + number}"
    return f"{rule.path}:{rule.line}"


def _check_words(rule: Rule, today: date) -> Iterator[tuple[str, str, str]]:
    if not _is_fixed_id(rule.id):
        hint = "python -c 'import uuid; print(uuid.uuid4())'"
        yield "id", "the id is no UUID of version 4", hint
    if not 10 <= len(rule.title) <= 110:
        yield "title", "the title is too short or too long", "10 to 110 characters"
    if not rule.description.strip():
        yield "description", "no description", "what it finds and why it matters"
    if rule.modified:
        yield from _check_date("modified", rule.modified, today)
    if rule.status not in STATUSES:
        yield "status", f"the status {rule.status}", " | ".join(sorted(STATUSES))
    if rule.author != AUTHOR:
        yield "author", f"the author {rule.author or 'is missing'}", AUTHOR
    yield from _check_date("date", rule.date, today)
    if not _FILE_NAME.fullmatch(Path(rule.path).name):
        yield "", "the name of the file", "lower case words joined by _"


def _check_date(key: str, text: str, today: date) -> Iterator[tuple[str, str, str]]:
    try:
        if date.fromisoformat(text) > today:
            yield key, f"a {key} in the future", f"at most {today}"
    except ValueError:
        yield key, f"the {key} {text or 'is missing'}", "YYYY-MM-DD"


def _check_tags(
    rule: Rule, tactics: Mapping[str, frozenset[str]]
) -> Iterator[tuple[str, str, str]]:
    named = [tag.removeprefix("attack.") for tag in rule.tags if tag.startswith("attack.")]
    known = frozenset[str]().union(*tactics.values())
    for tag in named:
        if tag not in tactics and tag not in known:
            yield "tags", f"the tag attack.{tag} is unknown", "one of config/attack/techniques.tsv"
    techniques = [tag for tag in named if tag in tactics]
    aims = {tag for tag in named if tag in known}
    if not techniques or not aims:
        yield "tags", "tags of ATT&CK are missing", "at least one tactic and one technique"
        return
    served: set[str] = set()
    for technique in techniques:
        serves = tactics[technique]
        served |= serves
        if not serves & aims:
            what = f"attack.{technique} serves none of the tactics that the rule names"
            yield "tags", what, " | ".join(f"attack.{tactic}" for tactic in sorted(serves))
    for tactic in sorted(aims - served):
        what = f"attack.{tactic} is served by none of the techniques named"
        yield "tags", what, "its technique, or neither"


def _is_fixed_id(text: str) -> bool:
    try:
        return UUID(text).version == 4 and str(UUID(text)) == text
    except ValueError:
        return False


def _alike(rules: Sequence[Rule]) -> Iterator[ThapCanhError]:
    seen: dict[str, Rule] = {}
    for rule in rules:
        for what, value in (("id", rule.id), ("title", rule.title)):
            other = seen.setdefault(f"{what} {value}", rule)
            if other is not rule:
                yield UsageError(
                    f"two rules of one {what}",
                    where=_place(rule, what),
                    got=value,
                    expected=f"not as in {_place(other, what)}",
                )


def _check_source(rule: Rule, verdict: Verdict) -> Iterator[ThapCanhError]:
    if not verdict.feeds:
        why = verdict.standing({"": frozenset()}).cannot[""]
        yield UsageError(
            f"no product of ours can make it fire: {why}", where=_place(rule, "logsource"), got=str(rule.logsource),
            remedy="tie it to a dataset in config/taxonomy, or add the product",
        )  # fmt: skip


def _check_evidence(
    rule: Rule, taxonomy: Taxonomy, products: Mapping[str, Product], now: datetime
) -> Iterator[ThapCanhError]:
    path = evidence_path(Path(rule.path))
    try:
        evidence = read_evidence(path)
    except ThapCanhError as error:
        yield error
        return
    yield from (UsageError(what, where=str(path)) for what in evidence.gaps(rule.id))
    if evidence.product not in products:
        yield UsageError("an unknown product", where=str(path), got=evidence.product)
        return
    try:
        yield from judge(rule, evidence, products[evidence.product], taxonomy, received=now)
    except ThapCanhError as error:
        yield error


def _check_correlation(rule: Rule, book: RuleBook) -> Iterator[ThapCanhError]:
    known = {
        name for each in (*book.rules, *book.correlations) for name in (each.id, each.name) if name
    }
    for name in named(rule):
        if name not in known:
            yield UsageError(
                "a correlation of an unknown rule", where=_place(rule, "correlation"), got=name
            )
