"""The sources of the seeded morning in every state, unknown senders, and two that are being connected."""

from __future__ import annotations

from datetime import datetime, timedelta

from support.seed_cast import DRAFT, DRAFT_FOREIGN, DRILL, FOREIGN, HOSTILE, OWN

from pipeline.sources.onboarding.samples import Samples
from pipeline.state.state import State
from pipeline.state.tables.intake import DeadLetterRow, Node
from pipeline.state.tables.register import (
    Knock,
    Outage,
    Source,
    SourceAddress,
    SourceDraft,
    SourceKey,
    SourceSeen,
)


def sources(state: State, now: datetime) -> None:
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


def unknown(state: State, now: datetime) -> None:
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


def drafts(state: State, now: datetime) -> None:
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
