"""Words for the keys that the state holds. `_` marks a message for the catalogues; it changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _(message: str) -> str:
    return message


LEVELS: Final[Mapping[str, str]] = {
    "critical": _("Critical"),
    "high": _("High"),
    "medium": _("Medium"),
    "low": _("Low"),
    "informational": _("Informational"),
}
STATUSES: Final[Mapping[str, str]] = {
    "new": _("New"),
    "claimed": _("Claimed"),
    "in_progress": _("In progress"),
    "waiting": _("Waiting"),
    "reopened": _("Reopened"),
    "closed": _("Closed"),
}
REASONS: Final[Mapping[str, str]] = {
    "true_positive_impact": _("True positive with impact"),
    "true_positive_no_impact": _("True positive without impact"),
    "benign_true_positive": _("Benign true positive"),
    "false_positive_logic": _("False positive: the rule's logic"),
    "false_positive_data": _("False positive: wrong data"),
    "duplicate": _("Duplicate"),
    "insufficient_evidence": _("Insufficient evidence"),
    "test_drill": _("Test or drill"),
    "recovered": _("Recovered by itself"),
}
DEEDS: Final[Mapping[str, str]] = {
    "opened": _("opened the ticket"),
    "amended": _("added to the ticket"),
    "claimed": _("claimed it"),
    "released": _("released it"),
    "assigned": _("assigned it"),
    "taken_over": _("took it over"),
    "started": _("began work"),
    "in_progress": _("began work"),
    "commented": _("wrote a comment"),
    "waiting": _("set it waiting"),
    "answered": _("answered"),
    "closed": _("closed it"),
    "reopened": _("reopened it"),
    "linked": _("linked it"),
    "unlinked": _("parted it"),
    "merged": _("merged it"),
    "lease_expired": _("let the claim lapse"),
    "handed_over": _("handed it over"),
    "tagged": _("put a tag on it"),
    "untagged": _("took a tag off it"),
    "tlp": _("set the TLP"),
    "checked": _("did a step"),
    "unchecked": _("undid a step"),
    "severity": _("set the severity"),
    "sign": _("saw a sign of a reportable incident"),
    "sign_taken_back": _("took a sign back"),
    "clock_warned": _("warns: time is running out"),
    "clock_breached": _("says: the time is over"),
    "clock_met": _("gave a notice"),
    "attached": _("attached files"),
    "files_deleted": _("deleted files: their time was over"),
    "noticed": _("told people"),
    "recovered": _("closed it: the source is well again"),
}
WAITING_FOR: Final[Mapping[str, str]] = {
    "agency": _("the agency"),
    "supplier": _("a supplier"),
}
CLOCKS: Final[Mapping[str, str]] = {
    "running": _("running"),
    "paused": _("paused"),
    "breached": _("overdue"),
    "met": _("in time"),
    "missed": _("too late"),
}
SERVICE: Final[Mapping[str, str]] = {
    "claim": _("claim it"),
    "close": _("close it"),
}
FACTORS: Final[Mapping[str, str]] = {
    "severity": _("Severity"),
    "system_level": _("System level of the agency"),
    "asset": _("Asset in the register"),
    "precision": _("Precision of the rule"),
}
CONDITIONS: Final[Mapping[str, str]] = {
    "silent": _("The source is silent"),
    "lag": _("Its events come late"),
    "skew": _("Its clock is ahead"),
    "behind": _("Its clock is behind, or its time zone is declared wrong"),
    "failing": _("Many of its records cannot be read"),
    "volume": _("It sends far more or far less than usual"),
    "resent": _("It sends many records again"),
}
HEALTH_FIGURES: Final[Mapping[str, str]] = {
    "minutes": _("Minutes"),
    "records": _("Records"),
    "of": _("of"),
    "expected": _("Usual"),
}
NOTICE_KINDS: Final[Mapping[str, str]] = {
    "critical": _("A new critical ticket"),
    "assigned": _("A ticket was given to you"),
    "asked": _("The centre asks your agency"),
    "answered": _("An agency has answered"),
    "warned": _("Time is running out"),
    "breached": _("The time is over"),
    "health": _("A source is not well"),
}
WAYS: Final[Mapping[str, str]] = {
    "none": _("not at all"),
    "page": _("in the console"),
    "mail": _("by mail"),
    "both": _("in the console and by mail"),
}
ROLES: Final[Mapping[str, str]] = {
    "analyst": _("Analyst"),
    "officer": _("Agency officer"),
    "auditor": _("Auditor"),
    "administrator": _("Administrator"),
    "operator": _("Operator"),
    "system": _("The system"),
}
RUN_STATUSES: Final[Mapping[str, str]] = {
    "running": _("Running"),
    "done": _("Done"),
    "failed": _("Failed"),
}
RUN_KINDS: Final[Mapping[str, str]] = {
    "scheduled": _("Scheduled"),
    "backfill": _("Backfill"),
}
JOBS: Final[Mapping[str, str]] = {
    "waiting": _("Waiting"),
    "running": _("Running"),
    "done": _("Done"),
    "failed": _("Failed"),
    "cancelled": _("Cancelled"),
}
JOB_KINDS: Final[Mapping[str, str]] = {
    "backtest_rule": _("Backtest of a rule"),
    "backtest_exception": _("Backtest of an exception"),
    "backfill": _("Backfill"),
    "replay": _("Dead letters taken in again"),
}
STANDINGS: Final[Mapping[str, str]] = {
    "proposed": _("Waits for approval"),
    "in force": _("In force"),
    "expired": _("Expired"),
    "ended": _("Withdrawn"),
}
RULE_CHANGES: Final[Mapping[str, str]] = {
    "added": _("came"),
    "changed": _("changed"),
    "removed": _("was retired"),
    "on": _("switched on"),
    "off": _("switched off"),
    "filtered": _("a filter changed it"),
}
CASES: Final[Mapping[str, str]] = {
    "fires": _("fires"),
    "near miss": _("near miss"),
    "evasion": _("evasion"),
}
GAPS: Final[Mapping[str, str]] = {
    "pending": _("waits to be evaluated"),
    "failed": _("its run failed"),
    "cannot_fire": _("the rule could not fire here"),
    "other_revision": _("another revision of the rule ran"),
    "not_active": _("the rule was not active"),
}
RESTS: Final[Mapping[str, str]] = {
    "to come": _("to come"),
    "now": _("now"),
    "over": _("over"),
    "cancelled": _("cancelled"),
}
LIST_KINDS: Final[Mapping[str, str]] = {
    "address": _("Addresses"),
    "hash": _("Hashes"),
    "domain": _("Domains"),
    "text": _("Words"),
}
DISPOSALS: Final[Mapping[str, str]] = {
    "age": _("Older than it is kept"),
    "drill": _("Of a drill"),
    "disk": _("The disk was filling"),
    "lost": _("A damaged file was given up"),
}
RULE_ORIGINS: Final[Mapping[str, str]] = {
    "shipped": _("Shipped with Tháp Canh"),
}
ASSET_KINDS: Final[Mapping[str, str]] = {
    "address": _("Address"),
    "host": _("Host"),
    "user": _("User"),
}
SOURCE_STATES: Final[Mapping[str, str]] = {
    "draft": _("Draft"),
    "published": _("Published"),
    "paused": _("Paused"),
    "retired": _("Retired"),
}
HEALTH: Final[Mapping[str, str]] = {
    "ok": _("Receiving"),
    "silent": _("Silent"),
    "never": _("Nothing yet"),
    "failing": _("Parse failures"),
    "ahead": _("Clock ahead"),
    "off": _("Off"),
}
ACCESS_DEEDS: Final[Mapping[str, str]] = {
    "sign_in": _("signed in"),
    "sign_in_refused": _("sign-in refused"),
    "sign_out": _("signed out"),
    "link_issued": _("sign-in link issued"),
    "link_refused": _("sign-in link refused"),
    "password_set": _("password set"),
    "person_added": _("person added"),
    "person_disabled": _("person disabled"),
    "token_issued": _("token issued"),
    "token_revoked": _("token revoked"),
    "refused": _("not permitted"),
    "source_added": _("source added"),
    "source_published": _("source published"),
    "source_limits": _("source's thresholds changed"),
    "draft_dropped": _("source's draft deleted"),
    "source_changed": _("source changed"),
    "key_made": _("source's key made"),
    "key_revoked": _("source's key revoked"),
    "certificate_added": _("source's certificate added"),
    "certificate_revoked": _("source's certificate revoked"),
    "product_added": _("product added"),
    "product_removed": _("product removed"),
    "hold.placed": _("legal hold placed"),
    "hold.released": _("legal hold released"),
    "mirror replayed": _("deeds of a mirror sent again"),
    "assets_imported": _("assets taken in from a file"),
    "letters_replayed": _("dead letters taken in again"),
    "knock_admitted": _("unknown sender admitted"),
    "knock_ignored": _("unknown sender ignored"),
    "knock_shown": _("unknown sender no longer ignored"),
}
NOTICES: Final[Mapping[str, str]] = {
    "claimed": _("You have claimed this ticket."),
    "released": _("You have released this ticket."),
    "commented": _("Your comment is in the history."),
    "closed": _("The ticket is closed."),
    "reopened": _("The ticket is open again."),
    "started": _("The work has begun."),
    "waiting": _("The ticket waits for an answer."),
    "assigned": _("The ticket is assigned."),
    "merged": _("The ticket is merged."),
    "unmerged": _("The ticket stands by itself again."),
    "saved": _("The change is saved."),
    "product_added": _("The product is added: sources can run it from now on."),
    "unchanged": _("Nothing was different: the list stays as it was."),
    "proposed": _("The exception is proposed; another analyst approves it."),
    "approved": _("The exception is in force from now on."),
    "ended": _("The exception is withdrawn."),
    "paused": _("The schedule is paused."),
    "resumed": _("The schedule goes on where it stopped."),
    "notified": _("The notice is recorded."),
    "handed_over": _("The shift is handed over."),
    "draft_dropped": _("The draft and its samples are deleted."),
    "published": _("The source is published."),
    "password": _("Your password is set. Other sessions of yours have ended."),
    "language": _("The language is changed."),
    "admitted": _("From now on the sender is this source."),
    "revoked": _("It is revoked: within seconds nobody gets in with it."),
}
SPANS: Final = (_("just now"), _("%(span)s ago"), _("in %(span)s"))
