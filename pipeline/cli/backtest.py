"""``rules backtest``: what a rule, a draft or an exception would have done, before anything goes live."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from pipeline.cli.moments import moment
from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.cli.rules import rules
from pipeline.cli.whole_ids import whole_exception, whole_rule
from pipeline.model.clock import utc_now
from pipeline.model.errors import NotFoundError, RefusedError, UsageError
from pipeline.model.scope import OPERATOR

if TYPE_CHECKING:
    from pipeline.detect.jobs.backtest import Backtest
    from pipeline.serve.installation import Installation


def attach(app: typer.Typer) -> None:  # noqa: ARG001 - the group `rules` has its place already
    rules.command("backtest")(rules_backtest)
    rules.command("backfill")(rules_backfill)


def rules_backtest(
    which: Annotated[str, typer.Argument(help="A rule's or an exception's id.")] = "",
    draft: Annotated[Path | None, typer.Option(help="A rule file that is not live yet.")] = None,
    since: Annotated[str, typer.Option(help="Received since: 12h, 30d, 8w, 2026-11-01.")] = "30d",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Play the stored events through it. Writes no finding; an exception keeps the result."""
    from tqdm import tqdm

    from pipeline.detect.jobs.backtest import backtest_rule
    from pipeline.detect.register.rules import sync_shipped
    from pipeline.serve.policy import opens_tickets

    if bool(which) == (draft is not None):
        raise UsageError("give a rule's or an exception's id, or --draft", where="rules backtest")
    now = utc_now()
    with (
        opened(home) as here,
        tqdm(unit=" receipts", disable=not sys.stderr.isatty(), file=sys.stderr) as bar,
    ):

        def progress(done: int, total: int) -> None:
            bar.total, bar.n = total, done
            bar.refresh()

        span: dict[str, Any] = {
            "since": moment(since, "--since", now=now) or now,
            "now": now,
            "progress": progress,
        }
        sync_shipped(here.state, now=now, cache=here.settings.cache)
        text = draft.read_text("utf-8") if draft is not None else ""
        found = None if text else _exception(here, which, span)
        if found is None:
            which = which and whole_rule(here, which)
            found = backtest_rule(here.state, here.store, OPERATOR, which, draft=text, **span)
            _keep(here, found)
        opens = opens_tickets(here, found.level, found.status)
    _show(found, opens=opens, as_json=as_json)


def rules_backfill(
    which: Annotated[str, typer.Argument(help="A rule's or a correlation's id.")],
    since: Annotated[str, typer.Option(help="Received since: 12h, 30d, 2026-11-01.")] = "7d",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Evaluate a rule over what is stored already, in runs of its own. Its findings are real."""
    from pipeline.detect.jobs.backfills import backfill_rule
    from pipeline.detect.register.rules import sync_shipped

    now = utc_now()
    with opened(home) as here:
        sync_shipped(here.state, now=now, cache=here.settings.cache)
        done = backfill_rule(
            here.state, here.store, OPERATOR, whole_rule(here, which),
            since=moment(since, "--since", now=now) or now, now=now,
        )  # fmt: skip
    show_list(
        [
            {
                "run": r.run, "status": r.status, "events": r.events, "matches": r.applied.matches,
                "findings": r.applied.born, "error": r.error,
            }
            for r in done
        ],
        as_json=as_json,
    )  # fmt: skip
    if done and done[-1].status == "failed":
        raise RefusedError("a backfill stopped at a run that failed; the rest is not evaluated")


def _exception(here: Installation, which: str, span: dict[str, Any]) -> Backtest | None:
    from pipeline.detect.jobs.backtest import backtest_exception
    from pipeline.detect.register.exceptions import keep_backtest

    try:
        which = whole_exception(here, which)
        found = backtest_exception(here.state, here.store, OPERATOR, which, **span)
    except NotFoundError:
        return None
    keep_backtest(here.state, OPERATOR, which, _plain(found))
    return found


def _keep(here: Installation, found: Backtest) -> None:
    from pipeline.detect.jobs.backtests import keep_result

    keep_result(here.state, OPERATOR, found.subject, found.revision, _plain(found), now=found.until)


def _plain(found: Backtest) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _show(found: Backtest, *, opens: bool, as_json: bool) -> None:
    if as_json:
        show_one(_plain(found) | {"opens_tickets": opens}, as_json=True)
        return
    now = found.now
    head: dict[str, Any] = {
        "subject": found.subject, "title": found.title, "revision": found.revision,
        "events": found.events, "matches": now.matches, "findings": now.findings,
        "tickets": f"{now.findings} at most" if opens else f"none: {found.level}, {found.status}",
    }  # fmt: skip
    if now.hidden:
        head["hidden"] = now.hidden
    if found.against is not None:
        head |= {
            "running now": f"{found.against.matches} matches, {found.against.findings} findings",
            "difference": f"{found.only_now} new, {found.only_then} gone, {found.both} the same",
        }
    if found.cut:
        head["note"] = "too many matches: the oldest are left out"
    show_one(head, as_json=False)
    show_list(
        [
            {"day": day, "agency": a, "matches": n}
            for day, of in now.days.items()
            for a, n in of.items()
        ],
        as_json=False,
    )
    show_list([{"agency": a, "entity": e, "matches": n} for a, e, n in now.entities], as_json=False)
    show_list(
        [{"field": f, "value": v, "samples": n} for f, of in now.values.items() for v, n in of],
        as_json=False,
    )
