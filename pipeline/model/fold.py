"""Folding of text for people's search: ``Trần ĐỨC-Hoà`` becomes ``tran duc hoa``.

Lower case, đ to d, marks off (canonical decomposition, category Mn dropped, composed again), and
every run of characters that are neither letters nor numbers becomes one space. Both stores fold a
query with `tokens`; what they search is text that this fold would give the same tokens.
`entity` is how findings and tickets tell hosts, users and addresses apart: case is off, marks stay.
"""

from __future__ import annotations

import unicodedata

# What decomposition leaves apart: the Vietnamese đ, and the sigma that ends a word.
_APART = str.maketrans({"đ": "d", "Đ": "d", "ς": "σ"})


def is_token(char: str) -> bool:
    """Letters and numbers of any script make tokens; everything else parts them."""
    return unicodedata.category(char)[0] in "LN"


def fold_letters(text: str) -> str:
    """Case and marks off; nothing is parted yet."""
    if text.isascii():
        return text.lower()
    bare = unicodedata.normalize("NFD", text.lower())
    bare = "".join(char for char in bare if unicodedata.category(char) != "Mn")
    return unicodedata.normalize("NFC", bare.translate(_APART)).lower()


def lower(text: str) -> str:
    """Lower case, code point by code point: how the values of keyword fields are compared.

    >>> lower("İΣ")
    'iσ'
    """
    if text.isascii():
        return text.lower()
    return "".join("i" if char == "İ" else char.lower() for char in text)


def entity(text: str) -> str:
    """What two spellings of one host, user or address have in common: trimmed, and without case as Unicode
    compares it (canonical caseless matching).

    >>> entity(" PBN-PC07 ") == entity("pbn-pc07")
    True
    """
    text = text.strip()
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def tokens(text: str) -> list[str]:
    """The folded tokens of a text, in order.

    >>> tokens("Đăng nhập: user=ADMIN, IP 10.0.0.1")
    ['dang', 'nhap', 'user', 'admin', 'ip', '10', '0', '0', '1']
    """
    folded = fold_letters(text)
    return "".join(char if is_token(char) else " " for char in folded).split()


def fold(text: str) -> str:
    """The folded tokens with single spaces between them."""
    return " ".join(tokens(text))
