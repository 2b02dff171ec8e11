"""Dead letters: by cause, product and source with samples; one with its bytes; and taking them in again.

A replay is a job (`serve.replay_work`): the console has no spool. Whoever may replay their agency's letters asks for it
here, and sees how far it is and what came of it on the job's page.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.console.forms import attempt
from pipeline.console.hexdump import hexdump
from pipeline.console.visit import Visit
from pipeline.detect.jobs import jobs
from pipeline.model.errors import ThapCanhError, UsageError
from pipeline.sources.dead_letters import (
    STATES,
    Filters,
    get_letter,
    letter_groups,
    list_letters,
)
from pipeline.sources.register import list_sources

GROUPS = 200
EACH = 50
BYTES = 2_048
NARROWING = ("cause", "product", "source", "agency")


def list_page(visit: Visit) -> Response:
    return _list(visit)


def _list(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    read = visit.field if visit.request.method == "POST" else visit.query
    asked = {name: read(name)[:64] for name in NARROWING}
    state = visit.query("state", "open")
    filters = Filters(**asked, state=state if state in STATES else "")
    groups = letter_groups(visit.state, visit.actor, filters, limit=GROUPS + 1)
    lines, following = [], ""
    if any(asked.values()):
        after = visit.query("after")
        lines = list_letters(
            visit.state, visit.actor, filters, limit=EACH + 1,
            after=visit.number(after) if after else None,
        )  # fmt: skip
        following = str(lines[EACH - 1].id) if len(lines) > EACH else ""
    every = letter_groups(visit.state, visit.actor, Filters(state=filters.state), limit=GROUPS)
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
    return visit.render(
        "letters.html", status, groups=groups[:GROUPS], more=len(groups) > GROUPS,
        lines=lines[:EACH], following=following, asked=asked | {"state": state}, states=STATES,
        choices={name: sorted({getattr(one, name) for one in every} - {""}) for name in NARROWING},
        names=names, unknown=unknown, error=error, narrowed=any(asked.values()),
        titles={one.id: one.name for one in list_sources(visit.state, visit.actor)},
        replays=jobs.list_jobs(visit.state, visit.actor, kinds=jobs.REPLAY, limit=5, now=visit.now),
    )  # fmt: skip


def one_page(visit: Visit) -> Response:
    return _one(visit, visit.number(visit.request.path_params["letter"]))


def _one(
    visit: Visit, number: int, status: int = 200, error: ThapCanhError | None = None
) -> Response:
    view = get_letter(visit.state, visit.store, visit.actor, number)
    body = view.body
    if view.document is not None:
        kept = view.document.get("thapcanh", {}).get("original_bytes")
        body = str(kept).encode("latin-1", "replace") if kept else view.text.encode()
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
    return visit.render(
        "letter.html", status, view=view, line=view.line, error=error, names=names, unknown=unknown,
        rows=hexdump(body[:BYTES]) if body else (), length=len(body or b""), most=BYTES,
    )  # fmt: skip


def ask(visit: Visit) -> Response:
    """The letters of a group, of all filters, or a single one."""
    number = visit.field("letter")

    def deed() -> str:
        asked: dict[str, Any] = {name: visit.field(name)[:64] for name in NARROWING}
        if number:
            view = get_letter(
                visit.state, None, visit.actor, visit.number(number), permission="dead.replay"
            )
            if view.line.state != "open":
                raise UsageError("the letter is not open")
            asked = {"letter": view.line.id}
        elif not any(asked.values()):
            raise UsageError("which letters?", remedy="narrow the list first")
        if visit.field("force"):
            asked["force"] = True
        subject = number or asked.get("source") or asked.get("cause") or ""
        job = jobs.ask(visit.state, visit.actor, "replay", subject, asked, now=visit.now)
        return f"/jobs/{job}"

    def again(status: int, error: ThapCanhError) -> Response:
        if number:
            return _one(visit, visit.number(number), status, error)
        return _list(visit, status, error)

    return attempt(visit, deed, again)


def job_page(visit: Visit, job: jobs.Job) -> Response:
    """How far a replay is, and what came of it. Whether detection has passed the records is asked now."""
    from pipeline.detect.running.runs import cursors_of

    node, records = job.result.get("node", ""), job.result.get("records", 0)
    with visit.state.read() as db:
        evaluated = bool(node) and cursors_of(db, "main").get(node, 0) >= records
    filters = {name: job.asked[name] for name in NARROWING if job.asked.get(name)}
    return visit.render(
        "replay.html", job=job, evaluated=evaluated, filters=filters,
        back="/letters?" if not filters else "/letters?" + _query(filters),
    )  # fmt: skip


def _query(filters: dict[str, str]) -> str:
    from urllib.parse import urlencode

    return urlencode(filters)
