"""The folder of a node that will never write again (a file's, a replay's) goes when all of it is settled.

In: the node, and how far it is settled. Out: no folder any more. Invariants: a folder that a writer holds
stays; one whose durable mark cannot be read stays, unless it has no record at all; a crash half-way leaves
a folder of which nothing is left to settle, and the next call finishes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from collectors.spool import layout, segments
from collectors.spool.errors import SpoolBusyError
from collectors.spool.folder import take_lock


def remove_finished(root: Path, node: str, upto: int, *, abandoned: bool) -> bool:
    """Remove the folder if everything durable in it is settled `upto` there; whether it went.

    `abandoned`: no writer can still be about to begin, so that a folder without any record goes too.
    """
    folder = segments.node_folder(root, node)
    with contextlib.ExitStack() as held:
        try:
            held.callback(os.close, take_lock(folder))
        except (SpoolBusyError, FileNotFoundError, NotADirectoryError):
            return False
        found, mark = segments.segments(folder), segments.read_durable(folder)
        if mark is None:
            if not abandoned or any(_holds_records(one) for one in found):
                return False
        elif max([mark.last, *(one.last or 0 for one in found)]) > upto:
            return False
        for one in found:  # before the mark, which says to whoever looks that nothing waits
            one.path.unlink()
        shutil.rmtree(folder)
    return True


def _holds_records(segment: segments.Segment) -> bool:
    return segment.path.stat().st_size > layout.HEAD.size
