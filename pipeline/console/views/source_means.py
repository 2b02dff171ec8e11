"""By what a source is known: its keys, certificates and addresses on its page, and the forms that change them."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from pipeline.console.views.sources import shown
from pipeline.console.visit import Visit
from pipeline.model.errors import UsageError
from pipeline.sources import senders
from pipeline.sources.register import get_source


def make_key(visit: Visit) -> Response:
    """The key is on this answer and nowhere else: reloading the page asks before it makes another."""
    source = visit.request.path_params["source"]
    get_source(visit.state, visit.actor, source, "source.write")
    overlap = visit.field("overlap").strip()
    try:
        key = senders.new_source_key(
            visit.state, visit.actor, source, life=_days(visit, visit.field("days")),
            overlap=_days(visit, overlap) if overlap else None, now=visit.now,
        )  # fmt: skip
    except UsageError as error:
        return shown(visit, 422, error)
    return visit.render("source_key.html", source=source, key=key)


def revoke(visit: Visit) -> Response:
    """A key or a certificate of this source, at once."""
    source = visit.request.path_params["source"]
    get_source(visit.state, visit.actor, source, "source.write")
    means = senders.means_of(visit.state, visit.actor, source, now=visit.now)
    asked = visit.field("means")
    if asked in {one.id for one in means.keys}:
        senders.revoke_source_key(visit.state, visit.actor, asked, now=visit.now)
    elif asked in {one.name for one in means.certificates}:
        senders.revoke_certificate(visit.state, visit.actor, asked, now=visit.now)
    else:
        return shown(visit, 422, UsageError("no such key", got=asked[:80]))
    return visit.go(f"/sources/{source}?notice=revoked#means")


def _days(visit: Visit, text: str) -> timedelta:
    return timedelta(days=min(visit.number(text), 100_000))
