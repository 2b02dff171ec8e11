"""The console's three cookies: the session, a visitor's seal, a visitor's language.

All are HttpOnly and SameSite; behind https they are Secure and take the ``__Host-`` prefix, which a
sibling site cannot plant.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from pipeline.console.visit import Console

SESSION_COOKIE: Final = "thapcanh_session"
VISITOR_COOKIE: Final = "thapcanh_visitor"
LANGUAGE_COOKIE: Final = "thapcanh_language"


def cookie_name(console: Console, name: str) -> str:
    return f"__Host-{name}" if console.secure else name


def set_cookie(console: Console, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        cookie_name(console, name),
        value,
        path="/",
        httponly=True,
        secure=console.secure,
        samesite="lax",  # strict would show the sign-in page to whoever follows a link from a mail
    )


def drop_cookie(console: Console, response: Response, name: str) -> None:
    response.delete_cookie(
        cookie_name(console, name), path="/", httponly=True, secure=console.secure, samesite="lax"
    )
