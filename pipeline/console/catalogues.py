"""The languages of the console: gettext catalogues, read from ``locale/<language>/console.po``.

In: the ``.po`` files, which translators edit; nothing compiled lies beside them. Out: one `Catalogue`
a language. The message ids are English phrases; both catalogues translate every one of them
(``tests/console/test_catalogues.py`` holds that), so that English too can be worded without touching code.
"""

from __future__ import annotations

import gettext
import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from babel import Locale
from babel.dates import format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LANGUAGES: Final = ("vi", "en")
NAMES: Final = {"vi": "Tiếng Việt", "en": "English"}
FOLDER: Final = Path(__file__).parent / "locale"


@dataclass(frozen=True)
class Catalogue:
    """One language's words, and how it writes numbers and spans of time."""

    language: str
    words: gettext.NullTranslations
    locale: Locale

    def say(self, message: str) -> str:
        return self.words.gettext(message) if message else ""

    def number(self, value: float) -> str:
        """``1.234.567`` in Vietnamese, ``1,234,567`` in English."""
        return format_decimal(value, locale=self.locale)

    def size(self, count: int) -> str:
        """Bytes for people: ``1,5 MiB``, ``12 KiB``."""
        if count >= 2**20:
            return f"{self.number(round(count / 2**20, 1))} MiB"
        return f"{self.number(-(-count // 1024))} KiB"

    def span(self, span: timedelta) -> str:
        """``3 phút``, ``3 minutes``: the largest unit alone."""
        return format_timedelta(abs(span), locale=self.locale)

    def ago(self, moment: datetime, now: datetime) -> str:
        """``3 phút trước``; a clock that is ahead is said to be ahead."""
        if abs(now - moment) < timedelta(seconds=5):
            return self.say("just now")
        form = "%(span)s ago" if now >= moment else "in %(span)s"
        return self.say(form) % {"span": self.span(now - moment)}


@cache
def load(language: str) -> Catalogue:
    """Read once a process: the files are those of the installed version."""
    with (FOLDER / language / "console.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Catalogue(language, gettext.GNUTranslations(compiled), Locale.parse(language))


def load_all() -> dict[str, Catalogue]:
    return {language: load(language) for language in LANGUAGES}
