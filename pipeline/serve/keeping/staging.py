"""A second name for each file that a backup will hold, so that nobody's sweeping takes it away meanwhile.

In: what the copied state names. Out: hard links (where the disk allows none, copies) in a folder of the
home, and what could not be found. The files are never changed once they have their name; the one that is,
a spool's open segment, is copied as far as it is durable.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from collectors.spool import layout, segments
from pipeline.serve.keeping.state_copy import Named
from pipeline.tickets.attachments import Shelf

_TRIES: Final = 20


def stage_lake(lake: Path, paths: Iterable[str], folder: Path) -> list[str]:
    """Link the lake's files under `folder`; those that are gone."""
    return [path for path in paths if not _second_name(lake / path, folder / path)]


def stage_attachments(source: Path, hashes: Iterable[str], folder: Path) -> list[str]:
    """Link the contents of attachments under `folder`; the hashes of those that are gone."""
    shelf, staged = Shelf(folder=source), Shelf(folder=folder)
    return [one for one in hashes if not _second_name(shelf.place(one), staged.place(one))]


def stage_spool(root: Path, named: Named, folder: Path) -> list[str]:
    """Link what is not settled of every node under `folder`; the ranges that are gone, in words."""
    gone = []
    for node in segments.nodes(root):
        settled = named.settled.get(node, 0)
        for _ in range(_TRIES):
            shutil.rmtree(folder / node, ignore_errors=True)
            if _stage_node(root / node, settled, folder / node, node in named.finished):
                break
        gone += [f"{node} {first}-{last}" for first, last in _holes(folder / node, settled)]
    return gone


def _stage_node(source: Path, settled: int, target: Path, finished: bool) -> bool:
    """False: the writer has moved on in between, try again."""
    mark = segments.read_durable(source)
    found = segments.segments(source)
    if finished and _end(mark, found) <= settled:
        return True
    target.mkdir(parents=True, mode=0o700)
    for place, segment in enumerate(found):
        # The newest two whatever they hold: the place of the next sequence is in their names.
        if segment.last is not None and (segment.last > settled or place >= len(found) - 2):
            if not _second_name(segment.path, target / segment.path.name):
                return False
        elif segment.last is None and mark is not None and segment.first == mark.segment:
            try:
                _copy_beginning(segment.path, target / segment.path.name, mark.offset)
            except FileNotFoundError:  # sealed in this moment
                return False
    if mark is not None:
        (target / segments.DURABLE_NAME).write_bytes(layout.pack_durable(mark))
    return True


def _end(mark: layout.Durable | None, found: Sequence[segments.Segment]) -> int:
    """The last durable sequence."""
    return max([mark.last if mark else 0, *(segment.last or 0 for segment in found)])


def _holes(staged: Path, settled: int) -> Iterator[tuple[int, int]]:
    """Ranges after `settled` that should be there and are not."""
    if not staged.is_dir():
        return
    mark, found = segments.read_durable(staged), segments.segments(staged)
    following, end = settled + 1, _end(mark, found)
    for segment in found:
        if segment.first > following:
            yield following, segment.first - 1
        following = max(following, (end if segment.last is None else segment.last) + 1)
    if following <= end:
        yield following, end


def _second_name(source: Path, target: Path) -> bool:
    """False: the source is gone."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.link(source.resolve(), target)
    except FileNotFoundError:
        return False
    except OSError:  # another disk, or one without links
        try:
            shutil.copyfile(source, target)
        except FileNotFoundError:
            return False
    return True


def _copy_beginning(source: Path, target: Path, size: int) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        while size:
            piece = reading.read(min(size, 1 << 20))
            if not piece:
                return  # shorter than its mark: restoring reports what is missing
            writing.write(piece)
            size -= len(piece)
