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
Limit = Annotated[int, typer.Option(min=1, max=500, help="At most so many.")]
After = Annotated[str | None, typer.Option(help="The `next` of the page before.")]
Since = Annotated[
    str, typer.Option(help="Not before: 24h, 7d, 2026-11-24, 2026-11-24T09:00 (the city's zone).")
]
Until = Annotated[str, typer.Option(help="Before this time.")]
AgencyFilter = Annotated[str, typer.Option("--agency", help="Only of this agency.")]


@contextmanager
def opened(home: Path | None, *, create: bool = False) -> Iterator[Installation]:
    """The installation of a home, closed at the end."""
    from pipeline.serve.installation import home_folder, open_home

    installation = open_home(home_folder(home), create=create)
    try:
        yield installation
    finally:
        installation.close()
