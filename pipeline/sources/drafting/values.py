"""What the values of one field look like: addresses, dates, numbers, hashes. Pure.

In: the texts of a field over all sample lines. Out: answers that hold for every one of them; a field without values
looks like nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pipeline.model.clock import CITY_ZONE
from pipeline.normalise.convert import address
from pipeline.normalise.dates import DateParser

DATES: Final = (
    "iso", "%d/%b/%Y:%H:%M:%S %z", "%d/%m/%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M:%S %p", "bsd", "%b %d %Y %H:%M:%S", "%d %b %Y %H:%M:%S",
    "%Y%m%d%H%M%S", "%Y%m%d %H%M%S",
)  # fmt: skip
"""The day before the month where both could be: so it is written here."""
_EPOCH: Final = re.compile(r"1[0-9]{9}(?:[0-9]{3}|[0-9]{6}|[0-9]{9}|\.[0-9]{1,9})?", re.ASCII)
_DAY: Final = re.compile(r"\d{4}[-/.]\d\d[-/.]\d\d|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}", re.ASCII)
_CLOCK: Final = re.compile(r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?[AaPp][Mm])?", re.ASCII)
_MAC: Final = re.compile(
    r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}", re.IGNORECASE | re.ASCII
)
_URL: Final = re.compile(r"(?:https?|ftp)://\S+", re.IGNORECASE)
_HASH: Final = {32: "file.hash.md5", 40: "file.hash.sha1", 64: "file.hash.sha256"}
_HEX: Final = re.compile(r"[0-9a-f]+", re.IGNORECASE | re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def are_addresses(texts: Sequence[str]) -> bool:
    return bool(texts) and all(address(text) is not None for text in texts)


def are_ports(texts: Sequence[str]) -> bool:
    return are_whole(texts) and all(0 <= int(text) <= 65_535 for text in texts)


def are_whole(texts: Sequence[str]) -> bool:
    return bool(texts) and all(_WHOLE.fullmatch(text) for text in texts)


def are_macs(texts: Sequence[str]) -> bool:
    return bool(texts) and all(_MAC.fullmatch(text) for text in texts)


def are_urls(texts: Sequence[str]) -> bool:
    return bool(texts) and all(_URL.fullmatch(text) for text in texts)


def are_days(texts: Sequence[str]) -> bool:
    return bool(texts) and all(_DAY.fullmatch(text) for text in texts)


def are_clocks(texts: Sequence[str]) -> bool:
    return bool(texts) and all(_CLOCK.fullmatch(text) for text in texts)


def hash_field(texts: Sequence[str]) -> str:
    """The field of a hash of that length; empty if they are none."""
    sizes = {len(text) for text in texts}
    if len(sizes) != 1 or not all(_HEX.fullmatch(text) for text in texts):
        return ""
    return _HASH.get(sizes.pop(), "")


def date_format(texts: Sequence[str], received: int) -> str:
    """The format that reads every one of them; empty if none does. `received`: microseconds, for dates without a year."""
    if not texts:
        return ""
    if all(_EPOCH.fullmatch(text) for text in texts):
        return "epoch"
    for name in DATES:
        parse = DateParser([name], CITY_ZONE, assumed=True)
        try:
            if all(parse(text, received) is not None for text in texts):
                return name
        except ValueError:
            continue
    return ""
