"""Words for sources, their onboarding and health: keys of the state to messages of the catalogues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.console.labels import _

KNOWN_BY: Final[Mapping[str, str]] = {
    "address": _("By address"),
    "certificate": _("By certificate"),
    "key": _("By key"),
    "settings": _("By the settings"),
}
MEANS: Final[Mapping[str, str]] = {
    "valid": _("Holds"),
    "expired": _("Has ended"),
    "revoked": _("Revoked"),
}
OUTAGES: Final[Mapping[str, str]] = {
    "killed": _("The collector was killed"),
    "stopped": _("The collector was stopped"),
    "expired": _("Gone before it was fetched"),
    "missed": _("Further back than the API keeps"),
}
LETTER_CAUSES: Final[Mapping[str, str]] = {
    "parse_failure": _("Not understood"),
    "poison": _("It killed its reader"),
    "store_refused": _("The store refused it"),
    "unknown_product": _("Its product is not known"),
    "unknown_source": _("Its source is not in the register"),
    "spool_damaged": _("The disk lost its bytes"),
}
LETTER_STATES: Final[Mapping[str, str]] = {
    "open": _("Open"),
    "replayed": _("Taken in again"),
    "dismissed": _("Set aside"),
}
OUTCOMES: Final[Mapping[str, str]] = {
    "read": _("Read"),
    "failed": _("Not understood"),
    "dropped": _("No event"),
}
ENCODINGS: Final[Mapping[str, str]] = {
    "": _("UTF-8 (usual)"),
    "utf-16-le": _("UTF-16 LE (as Windows writes)"),
    "utf-16-be": "UTF-16 BE",
    "cp1258": "Windows-1258",
    "tcvn3": "TCVN3 (ABC)",
    "viscii": "VISCII",
    "vni": "VNI",
}
RECEIVERS: Final[Mapping[str, str]] = {
    "http_bulk": "HTTP",
    "relp": "RELP",
    "syslog_tcp": "syslog TCP",
    "syslog_udp": "syslog UDP",
}
DELIVERIES: Final[Mapping[str, str]] = {
    "acknowledged": _("nothing is lost"),
    "plain": _("little can be lost"),
    "best_effort": _("may be lost under load"),
}
ORIGINS: Final[Mapping[str, str]] = {
    "vendor document": _("from the vendor's document"),
    "recorded": _("from a real run"),
    "constructed": _("constructed"),
}
LIMITS: Final[Mapping[str, str]] = {
    "settle_minutes": _("Minutes until a ticket opens or closes"),
    "silence_events": _("Silent: records that were to be expected"),
    "silence_minutes": _("Silent: minutes at the least"),
    "silence_hours": _("Silent: hours, before there is a rhythm"),
    "lag_minutes": _("Late: minutes"),
    "skew_minutes": _("Clock ahead or behind: minutes"),
    "failure_share": _("Not understood: share of records"),
    "failure_least": _("Not understood: records at the least"),
    "resend_share": _("Sent again: share of records"),
    "resend_least": _("Sent again: records at the least"),
    "volume_factor": _("Volume: times more or less than usual"),
    "volume_least": _("Volume: records at the least"),
}
TACTICS: Final[Mapping[str, str]] = {
    "reconnaissance": _("Reconnaissance"),
    "resource-development": _("Resource development"),
    "initial-access": _("Initial access"),
    "execution": _("Execution"),
    "persistence": _("Persistence"),
    "privilege-escalation": _("Privilege escalation"),
    "stealth": _("Stealth"),
    "defense-evasion": _("Defence evasion"),
    "defense-impairment": _("Defence impairment"),
    "credential-access": _("Credential access"),
    "discovery": _("Discovery"),
    "lateral-movement": _("Lateral movement"),
    "collection": _("Collection"),
    "command-and-control": _("Command and control"),
    "exfiltration": _("Exfiltration"),
    "impact": _("Impact"),
}
ERRORS: Final = (
    # What use cases of sources say, word for word (`ThapCanhError.what`), so that the catalogues can translate it.
    _("there is no line in the sample"),
    _("paste some lines as the device writes them"),
    _("give some lines as the device writes them"),
    _("the sample file is too large"),
    _("the sample file is damaged"),
    _("the file is named .evtx but is none"),
    _("the agency has too many drafts"),
    _("publish or delete some"),
    _("somebody has changed this draft meanwhile"),
    _("look at it again"),
    _("no such sender"),
    _("no such listener"),
    _("the sender cannot speak to this listener"),
    _("the sender's address is missing"),
    _("the sender's certificate is missing"),
    _("the address range is too wide"),
    _("the address is another source's"),
    _("the certificate is another source's"),
    _("this is no address range"),
    _("there is such a source already"),
    _("the source's id is small letters, digits, dots and dashes"),
    _("no such product"),
    _("no such encoding"),
    _("no such time zone"),
    _("no such agency"),
    _("text in UTF-16 or UTF-32 cannot be cut into lines over syslog TCP"),
    _("let the sender write UTF-8, or send by HTTP or RELP, or let the file be followed"),
    _("this product takes no layout of a source's own"),
    _("the layout cannot be used"),
    _("a product of this name ships with the program"),
    _("the home has a product of this name"),
    _("the product's samples become other events than stand beside them"),
    _("the event differs from `expected`"),
    _("the file names no product"),
    _("a product's name is small letters, digits and _"),
    _("no such dead letter"),
    _("the letter is not open"),
    _("which letters?"),
    _("narrow the list first"),
    _("too much work waits already"),
    _("no such threshold"),
    _("the threshold is out of range"),
)
