"""Characters that a reader could not see, or that would reorder what they see, and pictures of them.

    "evil\\u202egpj.exe\\x1b[31m"  →  "evil⟦202E⟧gpj.exe⟦ESC⟧[31m"

C0 controls stand under their names (ESC, BEL), everything else under its code point.
"""

from __future__ import annotations

import re
from typing import Final

# Controls, format characters (bidi, zero width, tags), lone surrogates, separators of line and
# paragraph, odd blanks, and what takes up room without showing anything.
ODD = re.compile(
    "[\x00-\x1f\x7f-\x9f\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_NAMES: Final = (
    "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI "
    "DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
)
_CONTROLS: Final = tuple(_NAMES.split())
MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4,}"
)


def name_of(char: str) -> str:
    code = ord(char)
    return f"⟦{_CONTROLS[code]}⟧" if code < 0x20 else f"⟦{code:04X}⟧"


def pictured(text: str) -> str:
    """The text with its odd characters as pictures, still text; line breaks and tabs stand."""
    text = text.replace("\r\n", "\n")
    return ODD.sub(lambda found: found[0] if found[0] in "\n\t" else name_of(found[0]), text)
