"""A believable morning at the centre, for tests of pages and for looking at them.

Two real agencies (`so-tai-chinh`, `phuong-sai-gon`) and a drill's (`dt-phuong-ben-ngoc`), sources in every
state, rules, runs, coverage, and tickets of both, with their events in a `FakeStore`. Names are made up.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from support.fake_store import FakeStore

from pipeline.access import beginning, people, sessions
from pipeline.detect.watchlists import change_list
from pipeline.model.clock import to_iso, to_micros
from pipeline.model.detections import Level
from pipeline.model.scope import OPERATOR
from pipeline.sources.onboarding.samples import Samples
from pipeline.state.state import State
from pipeline.state.tables.detection import (
    Coverage,
    Cursor,
    FindingRow,
    HiddenMatch,
    Maintenance,
    Run,
    ScheduleRow,
)
from pipeline.state.tables.intake import DeadLetterRow, Node, Settlement
from pipeline.state.tables.jobs import JobRow
from pipeline.state.tables.operation import Pulse
from pipeline.state.tables.register import (
    Agency,
    Knock,
    Outage,
    Source,
    SourceAddress,
    SourceDraft,
    SourceKey,
    SourceSeen,
)
from pipeline.state.tables.rules import ExceptionRow, RuleRevision, RuleRow, Ruleset
from pipeline.tickets.grouping import tickets_once

DRAFT, DRAFT_FOREIGN = "d" * 26, "f" * 26
EXCEPTION, EXCEPTION_FOREIGN = (f"e000000{n}-0000-4000-8000-000000000000" for n in (1, 2))
OWN, FOREIGN, DRILL = "so-tai-chinh", "phuong-sai-gon", "dt-phuong-ben-ngoc"
PASSWORD = "đèn tháp sáng suốt đêm"
HOSTILE = "sshd[1]: Failed password for <script>alert(1)</script>\x1b[31m root\u202egpj.exe\x07 from 203.0.113.9"

AGENCIES = (
    (OWN, "Sở Tài chính", "Department of Finance", 4, False),
    (FOREIGN, "Ủy ban nhân dân phường Sài Gòn", "People's Committee of Sài Gòn Ward", 2, False),
    (DRILL, "Ủy ban nhân dân phường Bến Ngọc", "People's Committee of Bến Ngọc Ward", 2, True),
)
PEOPLE = (
    ("an", "Nguyễn Hoài An", "analyst", ()),
    ("binh", "Trần Thanh Bình", "officer", (OWN,)),
    ("kiem", "Lê Minh Kiểm", "auditor", ()),
    ("quan", "Phạm Thu Quân", "administrator", ()),
)
# title, level, product, agency, entity field, entity, minutes ago, events
STORIES = (
    ("Mimikatz Command Line", "critical", "windows", OWN, "host.name", "STC-DC01", 7, 3),
    ("Web Shell Written By Web Server Process", "critical", "windows", DRILL, "host.name", "PBN-WEB01", 2, 2),
    ("Password Spray Against The VPN", "high", "fortinet_fortigate", FOREIGN, "source.ip", "203.0.113.77", 26, 48),
    ("Possible DNS Tunnelling", "high", "bind", OWN, "source.ip", "10.12.4.31", 95, 312),
    ("Failed Logon From Public Address", "medium", "linux_auth", OWN, "source.ip", "203.0.113.9", 130, 5),
    ("Mailbox Forwarding To A Foreign Domain", "medium", "zimbra", FOREIGN, "user.name", "vanthu@psg.example", 310, 1),
    ("Volume Shadow Copies Deleted", "high", "windows", DRILL, "host.name", "PBN-PC07", 44, 1),
    ("Superuser Role Granted In PostgreSQL", "medium", "postgresql", OWN, "user.name", "ketoan", 1500, 2),
)  # fmt: skip


def seed(state: State, now: datetime) -> FakeStore:
    """Fill an empty state; the store that belongs to it."""
    documents: list[dict[str, Any]] = []
    beginning.ensure_centre(state, now=now)
    with state.begin() as db:
        for key, vi, en, level, drill in AGENCIES:
            db.add(Agency(id=key, name_vi=vi, name_en=en, level=level, drill=drill, valid_from=now))
    for person, name, role, agencies in PEOPLE:
        people.add(state, OPERATOR, person=person, name=name, role=role, agencies=agencies, now=now)
    _sources(state, now)
    _runs(state, now)
    _lists(state, now)
    _unknown(state, now)
    with state.begin() as db:
        for number, story in enumerate(STORIES, 1):
            db.add_all(_story(number, *story, now=now, documents=documents))
    tickets_once(state, now=now - timedelta(minutes=1))
    documents += _noise(now)
    _exceptions(state, now)
    _drafts(state, now)
    return FakeStore(documents)


def _drafts(state: State, now: datetime) -> None:
    """Two sources that are being connected: a FortiGate of one's own, and something of another agency."""
    line = (
        '<189>date=2026-11-24 time=09:00:0{n} devname="FG-01" logid="0000000013" type="traffic" subtype="forward" '
        'level="notice" srcip=10.1.2.{n} srcport=51944 dstip=192.0.2.7 dstport=443 action="accept" proto=6 own="{n}"'
    )
    bodies = (*(line.format(n=n).encode() for n in range(1, 6)), HOSTILE.encode())
    with state.begin() as db:
        for key, agency, product in (
            (DRAFT, OWN, "fortinet_fortigate"),
            (DRAFT_FOREIGN, FOREIGN, "generic"),
        ):
            db.add(
                SourceDraft(
                    id=key, agency=agency, by="person:binh", created=now, changed=now, revision=1,
                    samples=Samples(bodies).packed(), chosen={"product": product},
                )
            )  # fmt: skip


def cookie(state: State, person: str, now: datetime) -> str:
    return sessions.start(state, person, now=now)


def _story(
    number: int,
    title: str,
    level: str,
    product: str,
    agency: str,
    field: str,
    entity: str,
    minutes: int,
    count: int,
    *,
    now: datetime,
    documents: list[dict[str, Any]],
) -> list[Any]:
    rule = _rule(number)
    text = _rule_text(rule, title, level, product)
    revision = _revision(text)
    last = now - timedelta(minutes=minutes)
    first = last - timedelta(seconds=37 * (count - 1))
    samples = []
    for place in range(min(count, 20)):
        event = hashlib.blake2b(f"{number} {place}".encode(), digest_size=16).hexdigest()
        time = first + (last - first) * place / max(1, min(count, 20) - 1)
        documents.append(_document(event, time, product, agency, field, entity, place))
        fields = {field: entity, "process.command_line": COMMANDS[number % 3]}
        samples.append({"event": event, "time": to_micros(time), "fields": fields})
    return [
        RuleRow(
            id=rule,
            origin="shipped",
            path=f"{product}/{title.lower().replace(' ', '_')}.yml",
            revision=revision,
            changed=now - timedelta(days=9),
            off_reason="",
        ),
        RuleRevision(
            revision=revision,
            rule=rule,
            title=title,
            level=level,
            status="test",
            text=text,
            added=now - timedelta(days=9),
        ),
        FindingRow(
            id=f"{number:032x}",
            number=number,
            born=number,
            rule=rule,
            revision=revision,
            agency=agency,
            entity=entity,
            entity_field=field,
            level=Level(level).value,
            status="test",
            title=title,
            first=first,
            last=last,
            count=count,
            samples=samples,
            run="r1",
            created=last,
            changed=last,
        ),
    ]


COMMANDS = (
    r'"C:\Tools\m.exe" "privilege::debug" "sekurlsa::logonpasswords" exit',
    r"vssadmin.exe delete shadows /all /quiet",
    r"cmd.exe /c whoami /priv > C:\inetpub\wwwroot\tmp\o.txt",
)


def _rule(number: int) -> str:
    return f"{number:08x}-7c1e-4a5b-9d2f-000000000000"


def _revision(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _revisions() -> list[str]:
    """Those of all stories: the rule set of the runs has them."""
    return [
        _revision(_rule_text(_rule(number), title, level, product))
        for number, (title, level, product, *_) in enumerate(STORIES, 1)
    ]


def _rule_text(rule: str, title: str, level: str, product: str) -> str:
    return (
        f"title: {title}\nid: {rule}\nstatus: test\n"
        "description: >\n  Detects the pattern that its title names. Written for the city.\n"
        f"logsource:\n  product: {product}\ndetection:\n  selection:\n"
        "    CommandLine|contains|all:\n      - 'privilege::'\n      - 'sekurlsa'\n"
        f"  condition: selection\nlevel: {level}\n"
    )


def _document(
    event: str, time: datetime, product: str, agency: str, field: str, entity: str, place: int
) -> dict[str, Any]:
    group, _, name = field.partition(".")
    original = (
        HOSTILE
        if product == "linux_auth"
        else (
            f"<134>{time:%b %d %H:%M:%S} {entity} {product}: "
            f'event={place} user="administrator" cmd="{COMMANDS[place % 3]}"'
        )
    )
    document: dict[str, Any] = {
        "@timestamp": to_iso(time),
        "event": {
            "id": event,
            "dataset": f"{product}.log",
            "original": original,
            "created": to_iso(time + timedelta(seconds=1)),
        },
        "organization": {"id": agency},
        "process": {"command_line": COMMANDS[place % 3]},
        "user": {"name": "administrator"},
        "thapcanh": {"source": f"{agency}-{product}", "node": "collect-1", "sequence": place},
    }
    document.setdefault(group, {})[name] = entity
    return document


def _noise(now: datetime) -> list[dict[str, Any]]:
    made = []
    for place in range(240):
        time = now - timedelta(minutes=6 * place, seconds=(place * 37) % 60)
        event = hashlib.blake2b(f"noise {place}".encode(), digest_size=16).hexdigest()
        agency = (OWN, FOREIGN, DRILL)[place % 3]
        path = ("/dich-vu-cong/tra-cuu", "/robots.txt", "/api/ho-so?id=88121")[place % 3]
        address = f"203.0.113.{place % 50 + 1}"
        made.append(
            {
                "@timestamp": to_iso(time),
                "event": {
                    "id": event,
                    "dataset": "nginx.access",
                    "original": f'{address} - - [{time:%d/%b/%Y:%H:%M:%S} +0000] "GET {path} HTTP/1.1" '
                    f'200 {1000 + place * 13} "-" "Mozilla/5.0 (X11; Linux x86_64)"',
                },
                "organization": {"id": agency},
                "host": {"name": f"web{place % 4:02d}"},
                "source": {"ip": address},
                "url": {"original": path},
                "http": {"response": {"status_code": 200}},
            }
        )
    return made


def _sources(state: State, now: datetime) -> None:
    # product, agency, identity, minutes since the last record, letters
    plan = (
        ("windows", OWN, "strong", 0, 0),
        ("bind", OWN, "weak", 1, 0),
        ("linux_auth", OWN, "weak", 3, 2),
        ("postgresql", OWN, "strong", 190, 0),
        ("fortinet_fortigate", FOREIGN, "weak", 0, 0),
        ("zimbra", FOREIGN, "strong", 12, 0),
        ("nginx", FOREIGN, "none", None, 0),
        ("windows", DRILL, "strong", 0, 0),
    )
    with state.begin() as db:
        db.add(Node(id="collect-1", kind="collect", created=now))
        db.flush()
        for place, (product, agency, identity, minutes, letters) in enumerate(plan):
            source = f"{agency}-{product}"
            db.add(
                Source(
                    id=source,
                    agency=agency,
                    product=product,
                    name=f"{product.replace('_', ' ').title()} {place + 1:02d}",
                    created=now,
                )
            )
            db.flush()
            if identity == "strong":
                db.add(SourceKey(id=f"k{place}", source=source, hash=b"x", created=now))
            elif identity == "weak":
                db.add(
                    SourceAddress(
                        source=source, listener="syslog-udp", network=f"10.{place}.0.0/24"
                    )
                )
            if minutes is not None:
                seen = now - timedelta(minutes=minutes, seconds=4)
                db.add(
                    SourceSeen(
                        source=source,
                        node="collect-1",
                        last_received=seen,
                        last_event=seen - timedelta(seconds=2),
                        counters={
                            "received": 18_204 * (place + 3),
                            "bytes": 9_301_221 * (place + 1),
                        },
                    )
                )
            for letter in range(letters):
                db.add(
                    DeadLetterRow(
                        node="collect-1",
                        sequence=letter + 1,
                        source=source,
                        agency=agency,
                        cause="parse_failure",
                        message="expected a time at the beginning of the line",
                        received=now - timedelta(minutes=letter * 9 + 2),
                        body=HOSTILE.encode(),
                    )
                )


def _unknown(state: State, now: datetime) -> None:
    """Senders that nobody knows, one of each kind, and times in which the collector was not there."""
    with state.begin() as db:
        for place, (address, known_by, size) in enumerate(
            (("203.0.113.44", "address", 912), ("sha256:" + "ab" * 32, "certificate", 0),
             ("198.51.100.20", "key", 48_211), ("stc-cong-thong-tin", "settings", 0)), 1,
        ):  # fmt: skip
            db.add(
                Knock(
                    id=place, listener="syslog-udp", address=address, known_by=known_by, size=size,
                    first=now - timedelta(days=2), last=now - timedelta(minutes=place), count=1_204 // place,
                    ignored=None,
                )
            )  # fmt: skip
        for source, cause, lost in (
            (f"{OWN}-windows", "killed", 0),
            (f"{FOREIGN}-zimbra", "expired", 3),
        ):
            db.add(
                Outage(
                    node="collect-1", source=source, begun=now - timedelta(hours=7),
                    ended=now - timedelta(hours=7) + timedelta(seconds=42), cause=cause, lost=lost,
                )
            )  # fmt: skip


def _lists(state: State, now: datetime) -> None:
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


FOUND: dict[str, Any] = {
    "subject": "", "revision": "r", "title": "Mimikatz Command Line", "level": "critical", "status": "test",
    "events": 61_200, "cut": False, "only_now": 0, "only_then": 41, "both": 3,
    "now": {
        "matches": 3, "findings": 2, "hidden": 41, "days": {"2026-11-20": {OWN: 2}, "2026-11-23": {OWN: 1}},
        "entities": [[OWN, "STC-DC01", 3]], "values": {"process.command_line": [["m.exe", 3]]},
    },
    "against": {"matches": 44, "findings": 9, "days": {}, "entities": [], "values": {}, "hidden": 0},
}  # fmt: skip


def _exceptions(state: State, now: datetime) -> None:
    """One of each agency, proposed by the administrator; the first has its backtest, and hid something."""
    found = FOUND | {"since": to_iso(now - timedelta(days=7)), "until": to_iso(now)}
    with state.begin() as db:
        for key, agency, number in ((EXCEPTION, OWN, 1), (EXCEPTION_FOREIGN, FOREIGN, 3)):
            db.add(
                ExceptionRow(
                    id=key, title=f"Máy quét của {agency}", rules=[_rule(number)], agencies=[agency],
                    text=f"title: Máy quét\nid: {key}\n", owner="person:lan", reason="máy quét định kỳ",
                    proposed=now, proposed_by="person:lan", expires=now + timedelta(days=30),
                    approved=None, ended=None, backtest=found if agency == OWN else {},
                )
            )  # fmt: skip
        db.flush()
        db.add(
            HiddenMatch(
                exception=EXCEPTION, rule=_rule(1), event=bytes(16), agency=OWN, entity="STC-PC09",
                time=now, fields={"process.command_line": COMMANDS[0]}, run="r1",
            )
        )  # fmt: skip
        db.add(
            JobRow(
                id="j1", kind="backtest_rule", subject=_rule(1), asked={"days": 7}, by="person:an",
                actor={}, at=now, status="done", started=now, alive=now, ended=now,
                result=found | {"opens_tickets": True},
            )
        )  # fmt: skip


def _runs(state: State, now: datetime) -> None:
    ruleset = "5f0c1a9e77b24d0e8a3c6f1122334455"
    with state.begin() as db:
        db.add(ScheduleRow(name="main", interval=3.0, changed=now))
        db.add(Ruleset(hash=ruleset, members=_revisions(), taxonomy="t", added=now))
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
