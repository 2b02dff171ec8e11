"""The options that many commands share, and the home that they open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.serve.installation import Installation

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", help="The home folder [default: $THAPCANH_HOME, else ./var].", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@contextmanager
def opened(home: Path | None, *, create: bool = False) -> Iterator[Installation]:
    """The installation of a home, closed at the end."""
    from pipeline.serve.installation import home_folder, open_home

    installation = open_home(home_folder(home), create=create)
    try:
        yield installation
    finally:
        installation.close()
