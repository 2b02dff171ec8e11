"""``deadletter``: the records that could not be read, and why."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer

from pipeline.cli.options import AgencyFilter, Home, Json, Limit, opened
from pipeline.cli.output import show_list, show_one
from pipeline.model.errors import RefusedError, UsageError
from pipeline.model.scope import OPERATOR

deadletter = typer.Typer(no_args_is_help=True, help="Records that could not be read.")
Cause = Annotated[str, typer.Option(help="Only of this cause, e.g. parse_failure.")]
Product = Annotated[str, typer.Option(help="Only of sources that run this product.")]
SourceOption = Annotated[str, typer.Option("--source", help="Only of this source.")]
_GROUPS = ("cause", "source", "product", "count", "last", "samples", "message")
_EACH = ("id", "received", "cause", "source", "message")


def attach(app: typer.Typer) -> None:
    app.add_typer(deadletter, name="deadletter")


@deadletter.command("list")
def deadletter_list(
    cause: Cause = "",
    source: SourceOption = "",
    product: Product = "",
    agency: AgencyFilter = "",
    state: Annotated[
        str, typer.Option(help="open, replayed, dismissed; all of them: any")
    ] = "open",
    each: Annotated[bool, typer.Option("--each", help="One by one, the newest first.")] = False,
    limit: Limit = 50,
    after: Annotated[
        int | None, typer.Option(help="With --each: the `next` of the page before.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Dead letters by cause and source, with ids of samples; or one by one."""
    from pipeline.access.agencies import check_agency
    from pipeline.sources.dead_letters import Filters, letter_groups, list_letters
    from pipeline.sources.register import get_source

    filters = Filters(
        cause=cause, source=source, product=product, agency=agency,
        state="" if state == "any" else state,
    )  # fmt: skip
    with opened(home) as here:
        check_agency(here.state, OPERATOR, agency)
        if source:
            get_source(here.state, OPERATOR, source)
        if not each:
            groups = letter_groups(here.state, OPERATOR, filters)
            items = [dataclasses.asdict(group) for group in groups]
            show_list(items, as_json=as_json, columns=_GROUPS)
            return
        lines = list_letters(here.state, OPERATOR, filters, limit=limit + 1, after=after)
    following = str(lines[limit - 1].id) if len(lines) > limit else None
    items = [dataclasses.asdict(line) for line in lines[:limit]]
    show_list(items, as_json=as_json, columns=_EACH, following=following)


@deadletter.command("show")
def deadletter_show(
    which: Annotated[int, typer.Argument(help="The letter's id.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """One dead letter: why, and the record as it came."""
    from pipeline.sources.dead_letters import get_letter

    with opened(home) as here:
        view = get_letter(here.state, here.store, OPERATOR, which)
    item = dataclasses.asdict(view.line) | {"node": view.node, "sequence": view.sequence}
    if as_json:
        show_one(item | {"text": view.text, "body": view.body}, as_json=True)
        return
    shown = {name: value for name, value in item.items() if value != ""}
    if view.line.event and view.document is None:
        shown["text"] = "(its event is no longer in the store)"
    else:
        shown["text"] = view.text
    if view.body is not None and view.body.decode("utf-8", "replace").encode() != view.body:
        shown["bytes"] = view.body.hex(" ")
    show_one(shown, as_json=False)


@deadletter.command("replay")
def deadletter_replay(
    which: Annotated[
        int | None, typer.Argument(help="The letter's id; else all open ones.")
    ] = None,
    cause: Cause = "",
    source: SourceOption = "",
    product: Product = "",
    agency: AgencyFilter = "",
    force: Annotated[
        bool, typer.Option("--force", help="Those too whose product reads as it did.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Until detected; else until it is on disk.")] = True,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take letters in again, after their product or source was mended; each makes one event, once."""
    from tqdm import tqdm

    from pipeline.access.agencies import check_agency
    from pipeline.serve.replay import replay
    from pipeline.sources.dead_letters import Filters
    from pipeline.sources.register import get_source

    if which is None and not (cause or source or product or agency):
        raise UsageError(
            "which letters?", expected="an id, --cause, --source, --product or --agency",
            remedy="thapcanh deadletter list",
        )  # fmt: skip
    with (
        opened(home) as here,
        tqdm(unit=" letters", disable=not sys.stderr.isatty(), file=sys.stderr) as bar,
    ):

        def report(stage: str, count: int) -> None:
            bar.set_description(stage)
            bar.n = count
            bar.refresh()

        check_agency(here.state, OPERATOR, agency)
        if source:
            get_source(here.state, OPERATOR, source)
        done = replay(
            here, OPERATOR, Filters(cause=cause, source=source, product=product, agency=agency),
            letter=which, force=force, wait=wait, report=report,
        )  # fmt: skip
    item = dataclasses.asdict(done)
    show_one({k: v for k, v in item.items() if as_json or k != "why"}, as_json=as_json)
    if done.unchanged and not as_json:
        sys.stderr.write("(unchanged: their product reads as it did; --force replays them too)\n")
    if done.impossible:
        more = done.impossible - len(done.why)
        lines = [*done.why, *([f"and {more} more"] if more else [])]
        raise RefusedError(
            f"letters that cannot be replayed: {done.impossible}\n  " + "\n  ".join(lines)
        )
