"""What a syslog header becomes where a product does not say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.normalise.spec import EntrySpec

HEADER_FIELDS: Final[Mapping[str, tuple[EntrySpec, ...]]] = {
    "syslog.priority": (EntrySpec(("log.syslog.priority",), "long"),),
    "syslog.time": (EntrySpec(("@timestamp",), "date", {"format": ["iso", "bsd"]}),),
    "syslog.host": (EntrySpec(("host.name",)),),
    "syslog.program": (EntrySpec(("process.name",)),),
    "syslog.pid": (
        EntrySpec(("process.pid",), "extract", {"pattern": r"^(?P<process.pid>\d{1,10})$"}),
    ),
    "syslog.msgid": (EntrySpec(("log.syslog.msgid",)),),
    "syslog.data": (EntrySpec(("log.syslog.structured_data",)),),
    "message": (EntrySpec(("message",)),),
}
"""By raw name of the header's part; `message` is the text behind the header."""
