"""Why a rule cannot fire at an agency, and why a run failed, in the reader's language: detection says it in English.

In: ``nginx never fills http.request.headers.cookie; no published source feeds it; …``, or an error as a run keeps it:
``the state does not answer (got database is locked). thapcanh doctor says more``. Out: the same in the
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

_ERROR: Final = re.compile(
    r"(?P<what>[^(\n]+?)(?: \((?P<place>(?:at|got|expected) .*)\))?(?:\. (?P<remedy>[^(]+))?",
    re.DOTALL,
)
_PLACE: Final = re.compile(r"(?:^|; )(at|got|expected) ")
_WORDS: Final = {"at": _("where: "), "got": _("found: "), "expected": _("expected: ")}


def trouble(text: str, say: Callable[[str], str]) -> str:
    """An error that was kept as one text: what, where, got, expected, remedy."""
    found = _ERROR.fullmatch(text)
    if found is None:
        return text
    what = say(found["what"]).removesuffix(".")
    if found["place"]:
        _, *parts = _PLACE.split(found["place"])
        pairs = zip(parts[::2], parts[1::2], strict=True)
        what += " (" + "; ".join(say(_WORDS[word]) + rest for word, rest in pairs) + ")"
    return f"{what}. {say(found['remedy'])}" if found["remedy"] else what


def reason(text: str, say: Callable[[str], str]) -> str:
    return "; ".join(_part(part, say) for part in text.split("; "))


def _part(part: str, say: Callable[[str], str]) -> str:
    for form, message in _FORMS:
        if found := form.fullmatch(part):
            return say(message) % found.groupdict()
    return part
