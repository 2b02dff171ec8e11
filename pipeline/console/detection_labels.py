"""What detection's use cases say, word for word (`what`, `expected`, `remedy`), so that the catalogues can translate it."""

from __future__ import annotations

from typing import Final

from pipeline.console.labels import _

ERRORS: Final = (
    _("no such rule"),
    _("no such rule or revision"),
    _("no such run"),
    _("name the agency"),
    _("several rules begin like this"),
    _("write more of the id"),
    _("no such schedule"),
    _("a pause needs a reason"),
    _("maintenance needs a reason"),
    _("maintenance needs its end"),
    _("this is no span of maintenance"),
    _("an end still to come, within 7 days of its start"),
    _("no such maintenance"),
    _("no such watch-list"),
    _("there is a watch-list of this name already"),
    _("the name of a watch-list"),
    _("a-z, 0-9 and _, up to 64"),
    _("the watch-list is too long"),
    _("values of the watch-list are refused"),
    _("not a value of this list"),
    _("a domain name"),
    _("a domain name, without a scheme or a path"),
    _("MD5, SHA-1, SHA-256, SHA-384 or SHA-512 in hexadecimal"),
    _("no value was given"),
)
