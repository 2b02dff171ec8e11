"""Files in and out over HTTP. Forms with files, read within limits: as far as the limits go on disk, never whole in memory.

In: a request that has passed the guard and whose sender is known. Out: its form, or `UsageError`. A body that is
too large is read to its end (up to a multiple of the limit) and thrown away, so that the browser gets to see the
answer instead of a broken connection. A few uploads are read at a time; the others wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final
from urllib.parse import quote

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from pipeline.model.errors import LargeError, UsageError
from pipeline.tickets.attachments import AT_ONCE, Given, Shelf

_ROOM: Final = 65_536  # for the other fields and the borders
_PATIENCE: Final = 4
_AT_A_TIME: Final = asyncio.Semaphore(4)


async def read_files(request: Request, shelf: Shelf) -> FormData:
    """All files of one form together may have the size of one."""
    limit = shelf.max_bytes + _ROOM
    chunks = request.stream()
    read = 0

    async def within() -> AsyncGenerator[bytes, None]:
        nonlocal read
        async for chunk in chunks:
            read += len(chunk)
            if read > limit:
                return
            yield chunk

    async with _AT_A_TIME:
        parser = MultiPartParser(
            request.headers, within(), max_files=AT_ONCE + 1, max_fields=50, max_part_size=_ROOM
        )
        try:
            form = await parser.parse()
        except MultiPartException as error:
            fault = error.message
        else:
            if read <= limit:
                return form
            await form.close()
        async for chunk in chunks:
            read += len(chunk)
            if read > limit * _PATIENCE:
                break
    if read > limit:
        raise LargeError(
            "the files are too large",
            expected=f"\N{LESS-THAN OR EQUAL TO} {shelf.max_bytes / 2**20:.3g} MiB",
        )
    raise UsageError("the form cannot be read", got=fault)


def given(form: FormData, name: str) -> list[Given]:
    """The files of a field that were chosen (a browser sends an empty one where none was)."""
    files = [one for one in form.getlist(name) if isinstance(one, UploadFile)]
    return [Given(one.filename or "", one.file.read()) for one in files if one.filename or one.size]


def as_download(name: str) -> dict[str, str]:
    """The headers of a file that no browser shows or runs, under this name."""
    plain = name.encode("ascii", "replace").decode()
    for odd in '?\\"':
        plain = plain.replace(odd, "_")
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
