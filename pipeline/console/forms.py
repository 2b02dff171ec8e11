"""What becomes of a form: done, and the way to the page that shows it; or the page again, with the fault.

A fault of what was typed leaves the page as it is, with what was typed kept (422, or 409 where somebody
was first); a record that is not there, or not theirs, is 404 for the whole page.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from pipeline.console.visit import Visit
from pipeline.model.errors import ConflictError, ThapCanhError, UsageError

Again = Callable[[int, ThapCanhError], Response]


def attempt(visit: Visit, deed: Callable[[], str], again: Again) -> Response:
    """`deed` gives the address of the page that shows what was done; `again` shows the form once more."""
    try:
        done = deed()
    except ConflictError as error:
        return again(error.http_status, error)
    except UsageError as error:
        return again(422, error)
    return visit.go(done)
