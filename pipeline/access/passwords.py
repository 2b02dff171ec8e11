"""Passwords: argon2id with the library's own (RFC 9106, low memory) parameters.

In: what a person typed. Out: ``$argon2id$v=19$m=65536,t=3,p=4$…``, or a yes or no.
Strength is length alone, after NIST SP 800-63B: 12 characters and up, not the person's own name, not
one character over and over.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pipeline.model.errors import UsageError

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 256
_HASHER: Final = PasswordHasher()

NOBODY: Final = _HASHER.hash("nobody has this password")
"""What an unknown person's try is checked against, so that it takes as long; it never lets in."""


def _form(password: str) -> bytes:
    # Keyboards differ in how they compose Vietnamese: the same word must fit in either form.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def hash_password(password: str) -> str:
    return _HASHER.hash(_form(password))


def verify(kept: str, password: str) -> bool:
    if len(password) > MAX_LENGTH:
        return False
    try:
        return _HASHER.verify(kept, _form(password))
    except (VerificationError, InvalidHashError):
        return False


def check_strength(password: str, person: str) -> None:
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise UsageError("a password has 12 to 256 characters")
    if len(set(password)) < 5 or password.casefold().startswith(person.casefold()):
        raise UsageError("this password is too easy to guess")
