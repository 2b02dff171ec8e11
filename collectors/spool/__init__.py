"""The spool: what receivers took, durable on disk, until its settlement.

In: drafts of records from receivers (`SpoolWriter.append`, `.submit`). Out: `RawRecord` in order of
sequence, in any process (`SpoolReader.read`). Invariant: what was acknowledged is on disk, and
sequences of a node run from 1 without a gap. The format is described in `collectors.spool.layout`.
"""

from __future__ import annotations

from collectors.spool.errors import SpoolBusyError, SpoolDamagedError, SpoolFullError, SpoolIOError
from collectors.spool.finished import remove_finished
from collectors.spool.layout import Draft
from collectors.spool.reader import SpoolReader
from collectors.spool.segments import nodes
from collectors.spool.writer import Receipt, SpoolLimits, SpoolWriter

__all__ = [
    "Draft",
    "Receipt",
    "SpoolBusyError",
    "SpoolDamagedError",
    "SpoolFullError",
    "SpoolIOError",
    "SpoolLimits",
    "SpoolReader",
    "SpoolWriter",
    "nodes",
    "remove_finished",
]
