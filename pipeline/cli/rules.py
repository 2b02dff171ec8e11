"""``rules``: what is looked for, where it can fire, and whether a rule file keeps the law."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from pipeline.cli.options import After, Home, Json, Limit, opened
from pipeline.cli.output import safe, show_list, show_one, show_part, show_title
from pipeline.cli.paging import page_of
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.detect.rulebook.feeding import Standing

rules = typer.Typer(no_args_is_help=True, help="Sigma rules.")
Which = Annotated[str, typer.Argument(help="The rule's id, or its beginning.")]
_TOLD = 60  # lines of an update that a terminal shows
_STATES = {"runs": "runs", "off": "off", "unfit": "cannot fire here"}


def attach(app: typer.Typer) -> None:
    app.add_typer(rules, name="rules")


@rules.command("import")
def rules_import(
    paths: Annotated[list[Path], typer.Argument(help="Rule files, folders or archives.")],
    name: Annotated[str, typer.Option(help="The import's name; a further import of it updates.")],
    preview: Annotated[bool, typer.Option(help="Only tell what would change.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make the rules of the paths the installation's; what was switched off stays off."""
    from tqdm import tqdm

    from pipeline.detect.register.rules import import_rules

    with (
        opened(home, create=True) as here,
        tqdm(
            bar_format="{desc} … {elapsed}", disable=not sys.stderr.isatty(), file=sys.stderr,
            leave=False,
        ) as shown,
    ):  # fmt: skip
        diff = import_rules(
            here.state,
            OPERATOR,
            paths,
            origin=name,
            now=utc_now(),
            cache=here.settings.cache,
            preview=preview,
            report=shown.set_description_str,
        )
        shown.close()
        show_one(
            {
                "added": len(diff.added), "changed": len(diff.changed), "removed": len(diff.removed),
                "unchanged": diff.unchanged, "kept_off": len(diff.kept_off), "refused": len(diff.faults),
                **({"rules": list(diff.lines())} if as_json else {}),
            },
            as_json=as_json,
        )  # fmt: skip
        if not as_json and (preview or diff.changed or diff.removed):
            _tell(list(diff.lines()))
        refusal = diff.refusal()
    if refusal is not None:
        raise refusal


def _tell(lines: list[str]) -> None:
    """An update rule by rule, as much of it as a person reads."""
    for line in lines[:_TOLD]:
        typer.echo(safe(line))
    if len(lines) > _TOLD:
        typer.echo(f"and {len(lines) - _TOLD:,} more; --json has them all")


@rules.command("list")
def rules_list(
    words: Annotated[str, typer.Argument(help="Sought in titles, paths and ids.")] = "",
    state: Annotated[str, typer.Option(help="runs, off or unfit (cannot fire here)")] = "",
    level: Annotated[str, typer.Option(help="informational, low, medium, high, critical")] = "",
    agency: Annotated[str, typer.Option(help="Whether each can fire at this agency.")] = "",
    limit: Limit = 50,
    after: After = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Rules in order of path: those that run, and why the others cannot fire here."""
    from pipeline.access.agencies import check_agency
    from pipeline.detect.reads.standing import standings
    from pipeline.detect.register.rules import list_rules

    if state and state not in _STATES:
        raise UsageError("no such state", where="--state", got=state, expected=", ".join(_STATES))
    with opened(home) as here:
        check_agency(here.state, OPERATOR, agency)
        found = standings(here.state, OPERATOR, cache=here.settings.cache)
        lines = list_rules(here.state, OPERATOR)
    items: list[dict[str, Any]] = []
    for line in lines:
        text = f"{line.title} {line.path} {line.id}".casefold()
        if not all(word in text for word in words.casefold().split()):
            continue
        if level and line.level != level:
            continue
        item = msgspec.structs.asdict(line) | _standing(found, line.id, line.enabled, agency)
        if not state or item["state"] == _STATES[state]:
            items.append(item)
    page, following = page_of(items, limit, after)
    if not as_json:
        page = [
            item | {"id": item["id"][:8], "why": item["why"] or item["off_reason"]} for item in page
        ]
        page = [item | {"title": f"{item['title']}{_because(item['why'])}"} for item in page]
    columns = ("id", "state", "level", "origin", "title")
    show_list(page, as_json=as_json, columns=columns, following=following)
    if not as_json:
        sys.stderr.write(f"{len(items)} of {len(lines)} rules\n")


@rules.command("show")
def rules_show(
    which: Which,
    revision: Annotated[str, typer.Option(help="Its text at this revision.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """One rule: its text, what it found, its changes, and at which agencies it can fire."""
    from pipeline.detect.reads.rules import full_id, one_rule
    from pipeline.detect.reads.standing import standings
    from pipeline.detect.register.rules import show_rule

    with opened(home) as here:
        rule = full_id(here.state, OPERATOR, which)
        line, revisions, _ = one_rule(here.state, OPERATOR, rule)
        shown = show_rule(here.state, OPERATOR, rule)
        found = standings(here.state, OPERATOR, cache=here.settings.cache)
    text = shown["text"]
    if revision:
        texts = [one.text for one in revisions if one.revision.startswith(revision)]
        if len(texts) != 1:
            known = ", ".join(one.revision for one in revisions)
            raise UsageError("no such revision", where="--revision", got=revision, expected=known)
        text = texts[0]
    item = {k: v for k, v in shown.items() if k not in {"text", "revisions", "changes", "why"}}
    item |= {"findings": line.findings} | _standing(found, rule, line.enabled, "")
    where = found.get(rule)
    reasons = dict.fromkeys(where.runs, "") | where.cannot if where else {}
    places = [{"agency": a, "fires": not why, "why": why} for a, why in sorted(reasons.items())]
    if as_json:
        parts = {"text": text, "revisions": shown["revisions"], "changes": shown["changes"]}
        show_one(item | {"agencies": places} | parts, as_json=True)
        return
    show_one({k: v for k, v in item.items() if v not in ("", None)}, as_json=False)
    show_part("agencies", places, ("agency", "fires", "why"))
    show_part("changes", shown["changes"], ("at", "what", "by", "new", "note"))
    show_title("text")
    typer.echo(text.rstrip())


@rules.command("check")
def rules_check(
    paths: Annotated[list[Path], typer.Argument(help="Rule files or folders.")],
    law: Annotated[
        bool, typer.Option(help="Our own rules' law, with evidence; else only what import asks.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Every fault of rule files, with file and line; exit code 2 if there is any."""
    from pipeline.detect.proof.law import check
    from pipeline.detect.rulebook.rules import load_rules
    from pipeline.detect.rulebook.taxonomy import Taxonomy
    from pipeline.normalise.product import load_products
    from pipeline.settings.places import config_dir

    if law:
        taxonomy = Taxonomy.load(config_dir() / "taxonomy")
        faults = check(paths, taxonomy, load_products(), now=utc_now())
    else:
        faults = list(load_rules(paths).faults)
    items = [
        {"where": f.where, "what": f.what, "got": f.got, "expected": f.expected, "remedy": f.remedy}
        for f in sorted(faults, key=lambda fault: _by_line(fault.where))
    ]
    if as_json:
        show_list(items, as_json=True)
    for item in () if as_json else items:
        details = [f"got {item['got']}"] * bool(item["got"])
        details += [f"expected {item['expected']}"] * bool(item["expected"])
        told = f" ({'; '.join(details)})" if details else ""
        typer.echo(f"{item['where']}: {item['what']}{told}{_because(item['remedy'])}")
    if faults:
        raise UsageError(f"{len(faults)} faults")
    if not as_json:
        typer.echo("ok")


@rules.command("switch")
def rules_switch(
    which: Which,
    on: Annotated[bool, typer.Option("--on/--off", help="One of the two must be said.")],
    reason: Annotated[str, typer.Option(help="Why; needed to switch off.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Switch a rule on or off; it stays so over imports, and the deed is recorded."""
    from pipeline.detect.reads.rules import full_id
    from pipeline.detect.register.rules import switch

    with opened(home) as here:
        rule = full_id(here.state, OPERATOR, which)
        switch(here.state, OPERATOR, rule, on=on, reason=reason, now=utc_now())
    show_one({"rule": rule, "state": "on" if on else "off"}, as_json=as_json)


def _standing(
    standings: Mapping[str, Standing], rule: str, on: bool, agency: str
) -> dict[str, Any]:
    """`state` in words, why, and at how many agencies it fires: at the one, or at any of them."""
    if not on:
        return {"state": "off", "why": "", "fires_at": 0}
    found = standings.get(rule)
    if found is None:  # a filter: it works within the rules that it names
        return {"state": "runs", "why": "", "fires_at": 0}
    if agency:
        why = "" if agency in found.runs else found.cannot.get(agency, "it has no published source")
    else:
        reasons = dict.fromkeys(found.cannot.values()) or {"no agency has a published source": None}
        why = "" if found.runs else next(iter(reasons))
    state = "cannot fire here" if why else "runs"
    return {"state": state, "why": why, "fires_at": len(found.runs)}


def _because(why: str) -> str:
    return f" — {why}" if why else ""


def _by_line(where: str) -> tuple[str, int]:
    name, _, line = where.rpartition(":")
    return (name, int(line)) if line.isdecimal() else (where, 0)
