"""What agencies own: the register, and a CSV file that changes it, seen before it is carried out.

A file is read, planned and shown; the form that carries it out names the text that was shown, which waits in memory
for ten minutes: what is done is what was seen.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from pipeline.access.agencies import agencies
from pipeline.access.permissions import scope_for
from pipeline.api.uploads import given
from pipeline.console.forms import attempt
from pipeline.console.visit import Visit
from pipeline.model.errors import LargeError, ThapCanhError, UsageError
from pipeline.model.ids import content_hash
from pipeline.sources.assets import Plan, import_assets, list_assets

LARGEST: Final = 1_048_576  # bytes of a file: 5,000 assets of two hundred
SHOWN: Final = 200  # of each part of a plan


def page(visit: Visit) -> Response:
    return _page(visit)


def _page(
    visit: Visit, status: int = 200, error: ThapCanhError | None = None, **plan: Any
) -> Response:
    scope = scope_for(visit.actor, "asset.read")
    with visit.state.read() as db:
        names = {key: one for key, one in agencies(db, visit.actor).items() if scope.allows(key)}
    chosen = visit.query("agency") or visit.field("agency") or next(iter(names), "")
    return visit.render(
        "assets.html", status, error=error, names=names, chosen=chosen, shown=SHOWN,
        assets=list_assets(visit.state, visit.actor, chosen) if chosen else [],
        **({"plan": None, "text": "", "replace": False} | plan),
    )  # fmt: skip


def preview(visit: Visit) -> Response:
    """What the file would do; nothing is done."""
    try:
        text = _read(visit)
        plan = _import(visit, text, dry_run=True)
    except UsageError as error:
        return _page(visit, 413 if isinstance(error, LargeError) else 422, error)
    name = content_hash(visit.actor.name, text)
    visit.console.previews.keep(name, text, now=visit.now)
    return _page(visit, plan=plan, text=name, replace=visit.field("replace") == "1")


def carry_out(visit: Visit) -> Response:
    def deed() -> str:
        text = visit.console.previews.get(visit.field("text"), now=visit.now)
        if text is None or content_hash(visit.actor.name, text) != visit.field("text"):
            raise UsageError(
                "the preview is too old", remedy="choose the file again, and look at what it does"
            )
        _import(visit, text, dry_run=False)
        return f"/assets?agency={visit.field('agency')}&notice=saved"

    return attempt(visit, deed, lambda status, error: _page(visit, status, error))


def _import(visit: Visit, text: str, *, dry_run: bool) -> Plan:
    return import_assets(
        visit.state, visit.actor, text, agency=visit.field("agency"),
        replace=visit.field("replace") == "1", dry_run=dry_run, now=visit.now,
    )  # fmt: skip


def _read(visit: Visit) -> str:
    files = given(visit.form, "file")
    if len(files) != 1:
        raise UsageError("no file is chosen")
    body = files[0].body
    if len(body) > LARGEST:
        raise LargeError("the file is too large", expected="1 MiB")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("the file is not text in UTF-8", got=str(error.reason)) from error
