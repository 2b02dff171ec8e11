"""A real EVTX of Sysmon from the corpora, with names of its fields replaced by others as long."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from collectors.tail.chunks import CHUNK, HEAD, Evtx


def sysmon_log(corpora: Path, names: Mapping[str, str]) -> bytes:
    """A log of one chunk with records that have all the names."""
    with tarfile.open(corpora / "sigma-regression.tar.xz") as archive:
        for info in archive:
            member = archive.extractfile(info) if info.size == HEAD + CHUNK else None
            data = member.read() if member is not None and info.name.endswith(".evtx") else b""
            if data and all(one.encode("utf-16-le") in data for one in ("RuleName", *names)):
                for old, new in names.items():
                    assert len(old) == len(new)
                    data = data.replace(old.encode("utf-16-le"), new.encode("utf-16-le"))
                if bodies(data) and all(
                    b'"%s"' % new.encode() in bodies(data)[0] for new in names.values()
                ):
                    return data
    pytest.skip("no such log in ../shared/corpora/sigma-regression.tar.xz")


def bodies(data: bytes) -> list[bytes]:
    return [body for one in Evtx(io.BytesIO(data)).chunks({}) for _, body in one.records]
