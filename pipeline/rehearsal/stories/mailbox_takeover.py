"""The mail administrator's account is guessed, a leader's mail is copied out, and spam goes through it.

T1110.001, T1078, T1114.003, T1534. From 14:10 at the department of planning: the administrator signs in
at the office; nine staff names once, the administrator fourteen times, a sign-in from abroad, the
administration console from outside, a forwarding address set on another's account, three messages with
hundreds of recipients.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.lines import Draft, Trip
from pipeline.rehearsal.stories import rule_ids as rules
from pipeline.rehearsal.stories.base import Tale
from pipeline.rehearsal.wire import postfix, zimbra

ZIMBRA, POSTFIX = "dt-so-quy-hoach.zimbra", "dt-so-quy-hoach.postfix"
HOST, ADDRESS = "sqh-mail01", "203.0.113.77"
ADMIN, LEADER = "quantri@sqh.example", "nam.lam@sqh.example"
AGENT = "python-requests/2.31.0"


def tell(start: datetime, rng: Random) -> list[Draft]:
    tale = Tale("mailbox_takeover", start)
    tale.begin(14, 10)
    after = Trip(rules.CORRELATION_FORWARD_AFTER_LOGIN, ADMIN, "correlation")
    office = cast.inside(cast.SOURCE[ZIMBRA], 0, 30)
    tale.tell(ZIMBRA, zimbra.admin_auth(tale.at, rng, ADMIN, office))
    tale.wait(45)
    guesses = Trip(rules.CORRELATION_MANY_ACCOUNTS, ADDRESS, "correlation")
    for account in (*(f"{name}@sqh.example" for name in cast.PEOPLE[:9]), *[ADMIN] * 14):
        tale.wait(rng.uniform(3, 20))
        line = zimbra.soap_auth(tale.at, rng, account, ADDRESS, agent=AGENT, ok=False)
        tale.tell(ZIMBRA, line, guesses)
    tale.wait(30)
    tale.tell(ZIMBRA, zimbra.soap_auth(tale.at, rng, ADMIN, ADDRESS, agent=AGENT), after)
    tale.wait(70)
    tale.tell(
        ZIMBRA, zimbra.admin_auth(tale.at, rng, ADMIN, ADDRESS),
        Trip(rules.ZIMBRA_ADMIN_OUTSIDE, ADMIN),
    )  # fmt: skip
    tale.wait(95)
    tale.tell(
        ZIMBRA,
        zimbra.modify_account(
            tale.at, rng, ADMIN, ADDRESS, LEADER, "zimbraMailForwardingAddress", "luu.tru@hom-thu.example"
        ),
        Trip(rules.ZIMBRA_FORWARD, ADMIN), after,
    )  # fmt: skip
    for recipients in (420, 480, 395):
        tale.wait(rng.uniform(60, 200))
        tale.tell(
            POSTFIX, postfix.queued(tale.at, rng, HOST, LEADER, recipients, 48_211),
            Trip(rules.POSTFIX_MASS_MAIL, LEADER),
        )  # fmt: skip
    return tale.drafts
