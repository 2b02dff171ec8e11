"""Backtests and backfills: asking for one, the jobs, and what one found."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from pipeline.access.agencies import agencies, unknown
from pipeline.access.names import person_names
from pipeline.console.days import days
from pipeline.console.forms import attempt
from pipeline.console.views.letters import job_page
from pipeline.console.visit import Visit
from pipeline.detect.jobs import jobs
from pipeline.detect.reads import rules
from pipeline.model.errors import ThapCanhError, UsageError

SPANS: Final = (1, 7, 30, 90, 365)
MOST_DRAFT: Final = 40_000


def list_page(visit: Visit) -> Response:
    return _list(visit)


def _list(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    found = jobs.list_jobs(visit.state, visit.actor, now=visit.now)
    titles = rules.titles(visit.state, visit.actor, [one.subject for one in found])
    with visit.state.read() as db:
        people = person_names(db, {one.by for one in found})
    return visit.render(
        "backtests.html", status, jobs=found, titles=titles, people=people, spans=SPANS, error=error,
        typed={name: visit.field(name) or visit.query(name) for name in ("rule", "draft", "days")},
    )  # fmt: skip


def ask(visit: Visit) -> Response:
    """Of a registered rule, or of the text of a draft."""

    def deed() -> str:
        draft = visit.field("draft").strip()
        if len(draft) > MOST_DRAFT:
            raise UsageError("the text is too long", expected=f"{MOST_DRAFT:,}")
        if not draft and not visit.field("rule").strip():
            raise UsageError("name a rule, or write the text of a draft")
        subject = ""
        if not draft:
            subject = rules.full_id(visit.state, visit.actor, visit.field("rule").strip())
        asked: dict[str, Any] = {"days": span_days(visit)}
        if draft:
            asked["draft"] = draft
        job = jobs.ask(visit.state, visit.actor, "backtest_rule", subject, asked, now=visit.now)
        return f"/jobs/{job}"

    return attempt(visit, deed, lambda status, error: _list(visit, status, error))


def span_days(visit: Visit) -> int:
    chosen = visit.number(visit.field("days") or "30")
    if chosen not in SPANS:
        raise UsageError("no such time range", got=str(chosen), expected=", ".join(map(str, SPANS)))
    return chosen


def one(visit: Visit) -> Response:
    job = _find(visit)
    if job.kind in jobs.REPLAY:
        return job_page(visit, job)
    subject = {job.subject} if job.subject else set()
    with visit.state.read() as db:
        people, names = person_names(db, {job.by}), agencies(db, visit.actor)
    return visit.render(
        "job.html", job=job, people=people, names=names, unknown=unknown,
        titles=rules.titles(visit.state, visit.actor, subject), plot=plot_of(job.result),
    )  # fmt: skip


def plot_of(found: dict[str, Any]) -> Any:
    """The bars of a stored backtest; None where there is none."""
    if "now" not in found:
        return None
    return days(found["now"]["days"], _time(found["since"]), _time(found["until"]))


def _time(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def progress(visit: Visit) -> Response:
    """The bar alone; when the work is over, the page asks for itself once more."""
    job = _find(visit)
    answer = visit.render("job_progress.html", job=job)
    if not job.open:
        answer.headers["HX-Refresh"] = "true"
    return answer


def cancel(visit: Visit) -> Response:
    job = visit.request.path_params["job"]
    jobs.cancel(visit.state, visit.actor, job, now=visit.now)
    return visit.go(f"/jobs/{job}")


def _find(visit: Visit) -> jobs.Job:
    job = visit.request.path_params["job"][:32]
    return jobs.find_job(visit.state, visit.actor, job, now=visit.now)
