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
    "precision": _("Precision of the rule"),
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
    "notified": _("The notice is recorded."),
    "handed_over": _("The shift is handed over."),
    "password": _("Your password is set. Other sessions of yours have ended."),
    "language": _("The language is changed."),
}
SPANS: Final = (_("just now"), _("%(span)s ago"), _("in %(span)s"))
ERRORS: Final = (
    # What use cases say, word for word (`ThapCanhError.what`), so that the catalogues can translate it.
    _("nothing such"),
    _("this role may not do that"),
    _("a password has 12 to 256 characters"),
    _("this password is too easy to guess"),
    _("no such page"),
    _("the form has lost its seal"),
    _("something broke"),
    _("not a number"),
    _("not a time"),
    _("the two passwords differ"),
    _("no such ticket"),
    _("no such person"),
    _("no such time range"),
    _("the time range is empty"),
    _("no such filter value"),
    _("this is no key of a page"),
    _("the ticket has changed since you saw it"),
    _("look at it again, then repeat"),
    _("the ticket is closed"),
    _("the ticket is open"),
    _("the ticket is a duplicate of another already"),
    _("part it from that one first"),
    _("a ticket is no duplicate of itself"),
    _("only tickets of one agency are merged"),
    _("reopen it first"),
    _("the ticket is yours already"),
    _("nobody has claimed the ticket"),
    _("claim it first"),
    _("another person holds the ticket"),
    _("ask them, or take it over with a reason"),
    _("this deed needs a note"),
    _("say in a sentence why"),
    _("the text is too long"),
    _("no such closing reason"),
    _("only a duplicate is closed as one of another ticket"),
    _("this idempotency key was used for another request"),
    _("the state does not answer"),
    _("this is not a query"),
    _("a tag is one word"),
    _("the ticket has as many tags as it can"),
    _("no such TLP"),
    _("no such step"),
    _("no such severity"),
    _("no such sign of an incident"),
    _("the ticket has no such legal clock"),
    _("this clock runs no more"),
    _("a ticket waits for one of these"),
    _("no ticket is chosen"),
    _("too many tickets at once"),
    _("no such deed"),
    _("no such period"),
    _("no such table"),
    _("a view has a name"),
    _("you have as many views as one can have"),
)
