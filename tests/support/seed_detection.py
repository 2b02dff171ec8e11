"""Rules, runs, coverage, exceptions and watch-lists of the seeded morning."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from support.seed_cast import COMMANDS, DRILL, EXCEPTION, EXCEPTION_FOREIGN, FOREIGN, OWN, STORIES

from pipeline.detect.register.watchlists import change_list
from pipeline.model.clock import to_iso, to_micros
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.detection import (
    Coverage,
    Cursor,
    HiddenMatch,
    Maintenance,
    Run,
    ScheduleRow,
)
from pipeline.state.tables.intake import Settlement
from pipeline.state.tables.jobs import JobRow
from pipeline.state.tables.operation import Pulse
from pipeline.state.tables.rules import ExceptionRow, Ruleset

FOUND: dict[str, Any] = {
    "subject": "", "revision": "r", "title": "Mimikatz Command Line", "level": "critical", "status": "test",
    "events": 61_200, "cut": False, "only_now": 0, "only_then": 41, "both": 3,
    "now": {
        "matches": 3, "findings": 2, "hidden": 41, "days": {"2026-11-20": {OWN: 2}, "2026-11-23": {OWN: 1}},
        "entities": [[OWN, "STC-DC01", 3]], "values": {"process.command_line": [["m.exe", 3]]},
    },
    "against": {"matches": 44, "findings": 9, "days": {}, "entities": [], "values": {}, "hidden": 0},
}  # fmt: skip


def lists(state: State, now: datetime) -> None:
    """A watch-list, and a span of maintenance that is still to come."""
    change_list(
        state, OPERATOR, "scanners", kind="address", note="máy quét được phép",
        add=["192.0.2.10", "192.0.2.11", "198.51.100.0/28"], now=now - timedelta(days=3),
    )  # fmt: skip
    with state.begin() as db:
        db.add(
            Maintenance(
                id="m1", schedule="", starts=now + timedelta(hours=5), ends=now + timedelta(hours=6),
                reason="thay ổ đĩa", by="person:quan", declared=now, cancelled=None,
            )
        )  # fmt: skip


def exceptions(state: State, now: datetime) -> None:
    """One of each agency, proposed by the administrator; the first has its backtest, and hid something."""
    found = FOUND | {"since": to_iso(now - timedelta(days=7)), "until": to_iso(now)}
    with state.begin() as db:
        for key, agency, number in ((EXCEPTION, OWN, 1), (EXCEPTION_FOREIGN, FOREIGN, 3)):
            db.add(
                ExceptionRow(
                    id=key, title=f"Máy quét của {agency}", rules=[rule(number)], agencies=[agency],
                    text=f"title: Máy quét\nid: {key}\n", owner="person:lan", reason="máy quét định kỳ",
                    proposed=now, proposed_by="person:lan", expires=now + timedelta(days=30),
                    approved=None, ended=None, backtest=found if agency == OWN else {},
                )
            )  # fmt: skip
        db.flush()
        db.add(
            HiddenMatch(
                exception=EXCEPTION, rule=rule(1), event=bytes(16), agency=OWN, entity="STC-PC09",
                time=now, fields={"process.command_line": COMMANDS[0]}, run="r1",
            )
        )  # fmt: skip
        db.add(
            JobRow(
                id="j1", kind="backtest_rule", subject=rule(1), asked={"days": 7}, by="person:an",
                actor={}, at=now, status="done", started=now, alive=now, ended=now,
                result=found | {"opens_tickets": True},
            )
        )  # fmt: skip


def runs(state: State, now: datetime) -> None:
    ruleset = "5f0c1a9e77b24d0e8a3c6f1122334455"
    with state.begin() as db:
        db.add(ScheduleRow(name="main", interval=3.0, changed=now))
        db.add(Ruleset(hash=ruleset, members=revisions(), taxonomy="t", added=now))
        db.add(Cursor(schedule="main", node="collect-1", position=61_200))
        db.add(
            Settlement(
                node="collect-1",
                first=1,
                last=61_340,
                stored=61_338,
                known=0,
                refused=2,
                dropped=0,
                at=now,
            )
        )
        for place in range(12):
            started = now - timedelta(seconds=5 * place + 3)
            failed = place == 7
            db.add(
                Run(
                    id=f"r{place}",
                    schedule="main",
                    kind="scheduled",
                    ruleset=ruleset,
                    window={"collect-1": [0, 1]},
                    status="failed" if failed else "done",
                    started=started,
                    ended=started + timedelta(milliseconds=420 + 13 * place),
                    events=2_130 - 90 * place,
                    matches=3 if place % 4 == 0 else 0,
                    rules=214,
                    error="the lake's file 7f3a is damaged" if failed else "",
                )
            )
        spans = {
            agency: {
                "events": 20_400 - 3_100 * place,
                "first": to_micros(now - timedelta(hours=23)),
                "last": to_micros(now - timedelta(seconds=9)),
            }
            for place, agency in enumerate((OWN, FOREIGN, DRILL))
        }
        db.add(
            Coverage(
                schedule="main",
                ruleset=ruleset,
                node="collect-1",
                first=1,
                last=61_200,
                agencies=spans,
                first_run="r11",
                last_run="r0",
            )
        )
        for role in ("collect", "normalise", "detect", "tickets", "console"):
            db.add(
                Pulse(
                    role=role,
                    node="collect-1" if role == "collect" else "",
                    pid=1,
                    started=now - timedelta(hours=5),
                    beat=now - timedelta(seconds=2),
                    progress=now - timedelta(seconds=6),
                    waiting=140 if role == "detect" else 0,
                )
            )


def rule(number: int) -> str:
    return f"{number:08x}-7c1e-4a5b-9d2f-000000000000"


def revision(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def revisions() -> list[str]:
    """Those of all stories: the rule set of the runs has them."""
    return [
        revision(rule_text(rule(number), title, level, product))
        for number, (title, level, product, *_) in enumerate(STORIES, 1)
    ]


def rule_text(rule: str, title: str, level: str, product: str) -> str:
    return (
        f"title: {title}\nid: {rule}\nstatus: test\n"
        "description: >\n  Detects the pattern that its title names. Written for the city.\n"
        f"logsource:\n  product: {product}\ndetection:\n  selection:\n"
        "    CommandLine|contains|all:\n      - 'privilege::'\n      - 'sekurlsa'\n"
        f"  condition: selection\nlevel: {level}\n"
    )
