"""The deeds behind the forms of a ticket's page.

Every form carries the ticket's revision as its writer saw it and a key of its own: a form sent twice
does its deed once, one that is stale does nothing and says who was first, with what was typed kept.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from pipeline.api.uploads import given
from pipeline.console.views.tickets import shown
from pipeline.console.visit import Visit
from pipeline.model.errors import ConflictError, NotFoundError, UsageError
from pipeline.tickets import attachments, facts, life
from pipeline.tickets.clocks import incident
from pipeline.tickets.deeds import Outcome, Request

Deed = Callable[[Request], Outcome]


def _do(visit: Visit, notice: str, deed: Deed, *, fresh: bool = True) -> Response:
    """`fresh`: the deed demands that its writer saw the ticket as it is."""
    number = visit.request.path_params["number"]
    seen = visit.number(visit.field("revision")) if fresh and visit.field("revision") else None
    request = Request(actor=visit.actor, ticket=number, revision=seen, key=visit.field("key")[:128])
    try:
        outcome = deed(request)
    except (ConflictError, UsageError) as error:
        return shown(visit, 422 if error.http_status == 400 else error.http_status, error)
    except NotFoundError as error:
        if error.got in ("", number):
            raise  # the ticket itself
        return shown(visit, 422, error)
    return visit.go(f"/tickets/{outcome.number}?notice={notice}")


def claim(visit: Visit) -> Response:
    return _do(visit, "claimed", lambda asked: life.claim(visit.state, asked, now=visit.now))


def release(visit: Visit) -> Response:
    note = visit.field("note")
    return _do(
        visit, "released", lambda asked: life.release(visit.state, asked, note=note, now=visit.now)
    )


def take_over(visit: Visit) -> Response:
    reason = visit.field("note")
    return _do(
        visit,
        "claimed",
        lambda asked: life.take_over(visit.state, asked, reason=reason, now=visit.now),
    )


def assign(visit: Visit) -> Response:
    to, note = visit.field("to"), visit.field("note")
    return _do(
        visit,
        "assigned",
        lambda asked: life.assign(visit.state, asked, to=to, note=note, now=visit.now),
    )


def start(visit: Visit) -> Response:
    return _do(visit, "started", lambda asked: life.start(visit.state, asked, now=visit.now))


def wait(visit: Visit) -> Response:
    whom, note = visit.field("whom"), visit.field("note")
    return _do(
        visit,
        "waiting",
        lambda asked: life.wait_for(visit.state, asked, whom=whom, note=note, now=visit.now),
    )


def comment(visit: Visit) -> Response:
    text, files = visit.field("text"), given(visit.form, "file")
    if files:
        return _do(
            visit,
            "commented",
            lambda asked: attachments.attach(
                visit.state, asked, visit.console.shelf, files, text=text, now=visit.now
            ),
            fresh=False,
        )
    return _do(
        visit,
        "commented",
        lambda asked: life.comment(visit.state, asked, text=text, now=visit.now),
        fresh=False,
    )


def close(visit: Visit) -> Response:
    def deed(asked: Request) -> Outcome:
        return life.close(
            visit.state,
            asked,
            reason=visit.field("reason"),
            note=visit.field("note"),
            duplicate_of=visit.field("duplicate_of").strip(),
            now=visit.now,
        )

    return _do(visit, "closed", deed)


def reopen(visit: Visit) -> Response:
    note = visit.field("note")
    return _do(
        visit, "reopened", lambda asked: life.reopen(visit.state, asked, note=note, now=visit.now)
    )


def merge(visit: Visit) -> Response:
    into, note = visit.field("into").strip(), visit.field("note")
    return _do(
        visit,
        "merged",
        lambda asked: facts.merge(visit.state, asked, into=into, note=note, now=visit.now),
    )


def unmerge(visit: Visit) -> Response:
    note = visit.field("note")
    return _do(
        visit, "unmerged", lambda asked: facts.unmerge(visit.state, asked, note=note, now=visit.now)
    )


def tag(visit: Visit) -> Response:
    word, on = visit.field("tag"), visit.field("off") != "1"
    return _do(
        visit,
        "saved",
        lambda asked: facts.tag(visit.state, asked, tag=word, on=on, now=visit.now),
        fresh=False,
    )


def tlp(visit: Visit) -> Response:
    chosen = visit.field("tlp")
    return _do(
        visit, "saved", lambda asked: facts.set_tlp(visit.state, asked, tlp=chosen, now=visit.now)
    )


def check(visit: Visit) -> Response:
    step, done = visit.field("step"), visit.field("off") != "1"
    return _do(
        visit,
        "saved",
        lambda asked: facts.check(visit.state, asked, step=step, done=done, now=visit.now),
        fresh=False,
    )


def severity(visit: Visit) -> Response:
    chosen, reason = visit.field("severity"), visit.field("note")
    return _do(
        visit,
        "saved",
        lambda asked: facts.set_severity(
            visit.state, asked, severity=chosen, reason=reason, now=visit.now
        ),
    )


def sign(visit: Visit) -> Response:
    chosen, seen, reason = visit.field("sign"), visit.field("off") != "1", visit.field("note")
    return _do(
        visit,
        "saved",
        lambda asked: incident.mark(
            visit.state, asked, sign=chosen, seen=seen, reason=reason, now=visit.now
        ),
    )


def notified(visit: Visit) -> Response:
    clock, recipient = visit.field("clock"), visit.field("note")
    return _do(
        visit,
        "notified",
        lambda asked: incident.notified(
            visit.state, asked, clock=clock, recipient=recipient, now=visit.now
        ),
    )
