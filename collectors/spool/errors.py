"""What can go wrong with a spool, in the words of the one error tree."""

from __future__ import annotations

from pipeline.model.errors import ConflictError, DamagedError, ServiceAwayError


class SpoolFullError(ServiceAwayError):
    """No room: nothing was stored, the sender keeps its records and tries again later."""

    http_status = 429


class SpoolIOError(ServiceAwayError):
    """The disk refused to write or to sync: nothing of the call was acknowledged."""


class SpoolBusyError(ConflictError):
    """Another process writes to this node's folder."""


class SpoolDamagedError(DamagedError):
    """The receipts `first` to `last` cannot be read; those after `last` can be asked for."""

    def __init__(self, first: int, last: int, *, where: str, got: str) -> None:
        super().__init__(
            f"the spool's records {first} to {last} are damaged",
            where=where,
            got=got,
            remedy="They are settled as refused; check the disk (smartctl, dmesg)",
        )
        self.first, self.last = first, last
