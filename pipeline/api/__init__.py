"""The REST interface: the deeds and reads of the console and the command line, for programs."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "/api/v1"
