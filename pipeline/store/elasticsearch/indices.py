"""The index of an event: ``logs-thapcanh.windows-kept-2026.11``.

In: its dataset, whether its agency is a drill's, when it was received. Out: a name that never changes for that
event, so that `_id` is unique: it is made of what the spool has fixed, not of the time of writing.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from pipeline.store.elasticsearch.templates import PREFIX

KEPT: Final = "kept"
DRILL: Final = "drill"
_NOT = re.compile("[^a-z0-9_]+")
_OURS = re.compile(re.escape(PREFIX) + r"[a-z0-9_]+-(?:kept|drill)-(\d{4})\.(\d\d)")


def family_of(dataset: str) -> str:
    """``windows.sysmon`` is of ``windows``; what would be no name is of ``other``."""
    return _NOT.sub("_", dataset.partition(".")[0].lower())[:40].strip("_") or "other"


def index_of(dataset: str, retention: str, created: datetime) -> str:
    return f"{PREFIX}{family_of(dataset)}-{retention}-{created:%Y.%m}"


def month_of(index: str) -> tuple[int, int] | None:
    """Year and month of receipt of all events of an index; None if it is not of our making."""
    found = _OURS.fullmatch(index)
    return (int(found[1]), int(found[2])) if found else None
