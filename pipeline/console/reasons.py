"""Why a rule cannot fire at an agency, in the reader's language: detection says it in English sentences.

In: ``nginx never fills http.request.headers.cookie; no published source feeds it; …``. Out: the same in the
catalogue's words; a sentence that is not known here stands as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pipeline.console.labels import _

_FORMS: Final = (
    (re.compile(r"no published source feeds it"), _("no published source feeds it")),
    (re.compile(r"of these one would: (?P<names>.*)"), _("one of these would feed it: %(names)s")),
    (
        re.compile(r"(?P<product>\S+) never fills (?P<names>.*)"),
        _("%(product)s never fills the field %(names)s"),
    ),
    (
        re.compile(r"a placeholder without values: (?P<names>.*)"),
        _("a watch-list that is missing or empty: %(names)s"),
    ),
    (
        re.compile(r"the taxonomy does not know such a log: (?P<names>.*)"),
        _("such a log is not known here: %(names)s"),
    ),
    (re.compile(r"a field without a column: (?P<names>.*)"), _("a missing field: %(names)s")),
    (
        re.compile(r"no product feeds it yet: (?P<names>.*)"),
        _("no product feeds it yet: %(names)s"),
    ),
)


def reason(text: str, say: Callable[[str], str]) -> str:
    return "; ".join(_part(part, say) for part in text.split("; "))


def _part(part: str, say: Callable[[str], str]) -> str:
    for form, message in _FORMS:
        if found := form.fullmatch(part):
            return say(message) % found.groupdict()
    return part
