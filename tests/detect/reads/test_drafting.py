"""An exception drafted from a finding: the rule's own fields first, in Sigma's names, shared ones marked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.people import analyst, officer

from pipeline.detect.reads.drafting import Candidate, draft_of
from pipeline.detect.register.rules import import_rules
from pipeline.model.clock import EPOCH, to_micros
from pipeline.model.errors import NotFoundError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow

NOW = EPOCH + timedelta(days=40)
RULE = "a0000000-0000-4000-8000-000000000000"
CHAIN = "b0000000-0000-4000-8000-000000000000"
TEXT = f"""title: Whoami
id: {RULE}
name: whoami
status: test
level: medium
logsource: {{product: windows, category: process_creation}}
detection:
    selection: {{Image|endswith: whoami.exe, CommandLine|contains: /all, IntegrityLevel: High}}
    condition: selection
---
title: Often
id: {CHAIN}
correlation: {{type: event_count, rules: [whoami], group-by: [User], timespan: 5m, condition: {{gte: 3}}}}
"""
DATA = "winlog.event_data."


def finding(id_: str, rule: str, *samples: dict[str, object]) -> FindingRow:
    return FindingRow(
        id=id_, number=int(id_[:8], 16), born=1, rule=rule, revision="r", agency="ward-1", entity="pc-1",
        level="medium", status="test", title="Whoami", first=NOW, last=NOW, count=len(samples),
        samples=list(samples), run="r1", created=NOW, changed=NOW,
    )  # fmt: skip


def sample(n: int, image: str, command: str, **more: str) -> dict[str, object]:
    fields = {f"{DATA}Image": image, f"{DATA}CommandLine": command, f"{DATA}IntegrityLevel": "High"}
    return {"event": f"{n:032x}", "time": to_micros(NOW), "fields": fields, **more}


@pytest.fixture(autouse=True)
def register(state: State, tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(TEXT, "utf-8")
    import_rules(state, OPERATOR, [tmp_path / "r.yml"], origin="ours", now=NOW)
    with state.begin() as session:
        one, two = (sample(n, "C:\\w\\whoami.exe", f"whoami /all {n}") for n in (1, 2))
        session.add(finding("00000001" + "0" * 24, RULE, one, two))
        session.add(finding("00000002" + "0" * 24, CHAIN, one | {"rule": RULE}))
        session.add(finding("00000003" + "0" * 24, CHAIN))


def test_the_fields_that_the_rule_asks_come_with_the_values_of_its_events(state: State) -> None:
    draft = draft_of(state, None, analyst(), "00000001" + "0" * 24)
    assert (draft.rule, draft.agency) == (RULE, "ward-1")
    assert draft.candidates == (
        Candidate("Image", "C:\\w\\whoami.exe", True, True, suggested=True),
        Candidate("CommandLine", "whoami /all 1", False, True),
        Candidate(
            "IntegrityLevel", "High", True, True
        ),  # the rule's own value: hiding it hides the rule
    )


def test_of_a_correlation_the_rule_that_it_counts_is_offered(state: State) -> None:
    assert draft_of(state, None, analyst(), "00000002" + "0" * 24).rule == RULE
    with pytest.raises(UsageError, match="single events"):
        draft_of(state, None, analyst(), "00000003" + "0" * 24)


def test_a_finding_of_another_agency_offers_nothing(state: State) -> None:
    with pytest.raises(NotFoundError):
        draft_of(state, None, officer("b", "ward-2"), "00000001" + "0" * 24)
