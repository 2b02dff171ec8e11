"""What stands in a rule's own text and beside it: its words for people, its evidence, what a revision changed.

In: a revision or a line of the register. Out: values for a page. References are links of http and https
alone: a rule's author may be anybody.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import msgspec

from pipeline.detect.proof.evidence import Evidence, evidence_path, read_evidence
from pipeline.detect.reads.rules import Revision, RuleLine
from pipeline.detect.register.rules import SHIPPED
from pipeline.detect.rulebook.rules import rules_from_texts
from pipeline.model.errors import ThapCanhError
from pipeline.settings.places import rules_dir


class About(msgspec.Struct, frozen=True):
    kind: str
    description: str
    author: str
    date: str
    references: tuple[str, ...]
    falsepositives: tuple[str, ...]
    tags: tuple[str, ...]
    logsource: str


def about(revision: Revision) -> About | None:
    """None where today's parser does not read the text any more."""
    book = rules_from_texts([("rule", revision.text)])
    rule = next(iter((*book.rules, *book.correlations, *book.filters)), None)
    if rule is None:
        return None
    links = tuple(one for one in rule.references if one.startswith(("https://", "http://")))
    return About(
        rule.kind, rule.description.strip(), rule.author, rule.modified or rule.date, links,
        rule.falsepositives, rule.tags, str(rule.logsource),
    )  # fmt: skip


def evidence_of(line: RuleLine) -> Evidence | None:
    """That of a shipped rule, where it has some; our files may not be read by another's path."""
    if line.origin != SHIPPED:
        return None
    root = rules_dir().resolve()
    path = evidence_path(root / line.path)
    if not path.resolve().is_relative_to(root) or not path.is_file():
        return None
    try:
        return read_evidence(path)
    except ThapCanhError:
        return None


def changes_between(old: Revision, new: Revision) -> Sequence[tuple[str, str]]:
    """`(mark, line)` of a unified difference: ``+``, ``-``, blank, or ``@`` where lines are left out."""
    lines = difflib.unified_diff(
        old.text.splitlines()[:5_000], new.text.splitlines()[:5_000], lineterm="", n=4
    )
    found = [(line[:1], line[1:]) for line in list(lines)[2:]]
    return [("@", "…") if mark == "@" else (mark, text) for mark, text in found]
