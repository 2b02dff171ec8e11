"""The messages that the console's code and templates ask the catalogues for."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from babel.messages.extract import extract

import pipeline.console

FOLDER = Path(pipeline.console.__file__).parent
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}
OPTIONS = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}


def found() -> dict[str, str]:
    """Each message id with the plural that goes with it ('' for most)."""
    messages: dict[str, str] = {}
    for file in sorted(FOLDER.rglob("*.html")) + sorted(FOLDER.rglob("*.py")):
        method = "jinja2.ext:babel_extract" if file.suffix == ".html" else "python"
        options = OPTIONS if file.suffix == ".html" else {}
        for _, message, _, _ in extract(method, BytesIO(file.read_bytes()), KEYWORDS, (), options):
            one, many = (message, "") if isinstance(message, str) else (message[0], message[1])
            messages.setdefault(one, many)
            if many:
                messages[one] = many
    return messages
