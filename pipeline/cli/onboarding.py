"""``source onboard`` and ``source live``: from sample lines to a source that sends, and whether it does."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import safe, show_one, show_part, show_title
from pipeline.cli.register import WhichSource, source
from pipeline.model.clock import to_micros, utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

if TYPE_CHECKING:
    from pipeline.serve.installation import Installation
    from pipeline.sources.onboarding.doors import Door
    from pipeline.sources.onboarding.drafts import Chosen
    from pipeline.sources.onboarding.feeds import Feeds
    from pipeline.sources.onboarding.live import Live
    from pipeline.sources.onboarding.preview import Preview
    from pipeline.sources.onboarding.recognise import Candidate
    from pipeline.sources.onboarding.samples import Samples

_SHOWN = 3  # lines that a terminal shows as events
_CANDIDATES = ("product", "score", "read", "named", "mapped", "fields", "title")


def attach(app: typer.Typer) -> None:
    del app  # the commands stand in the group `source`


@source.command("onboard")
def source_onboard(
    file: Annotated[Path, typer.Argument(help="Sample lines, packed or plain, or EVTX; - for standard input.")],
    agency: Annotated[str, typer.Option("--agency", help="Whose source it is to be.")],
    product: Annotated[str, typer.Option(help="What wrote the lines; else what is recognised.")] = "",
    which: Annotated[str, typer.Option("--id", help="The source's id.")] = "",
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    encoding: Annotated[str, typer.Option(help="Of its text, UTF-8 if not given.")] = "",
    timezone: Annotated[str, typer.Option(help="IANA zone of times without one.")] = "",
    layout: Annotated[
        str, typer.Option(help="The lines' own layout: log_format, LogFormat, a CSV header, #Fields.")
    ] = "",
    sender: Annotated[str, typer.Option(help="What sends: rsyslog, winlogbeat, fortigate, http …")] = "",
    listener: Annotated[str, typer.Option(help="Which listener it sends to; else the best for the sender.")] = "",
    address: Annotated[
        str, typer.Option(help="The sender's address or range; its certificate where the listener asks for one.")
    ] = "",
    publish: Annotated[bool, typer.Option("--publish", help="Make the source; print its key, once.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """What sample lines are, what they become, which rules they feed, and how to send them; with --publish, do it."""
    from pipeline.normalise.additions import products_of
    from pipeline.normalise.layout import laid_out
    from pipeline.sources.onboarding.doors import door_of, doors
    from pipeline.sources.onboarding.drafts import Chosen
    from pipeline.sources.onboarding.preview import preview
    from pipeline.sources.onboarding.publish import publish as do_publish
    from pipeline.sources.onboarding.recognise import recognise, recognised
    from pipeline.sources.onboarding.snippets import doors_for, fitting, senders, snippet
    from pipeline.sources.register import get_agency

    with opened(home) as here:
        get_agency(here.state, OPERATOR, agency)
        samples = _samples(file)
        products = products_of(here.state.additions)
        candidates = recognise(samples.lines(encoding), products)
        chosen_product = product or recognised(candidates)
        if chosen_product not in products:
            raise UsageError("no such product", got=product, remedy="thapcanh product list")
        now = utc_now()
        seen = preview(
            samples.bodies, laid_out(products[chosen_product], layout), encoding=encoding, timezone=timezone,
            received=to_micros(now),
        )  # fmt: skip
        fed = _feeds(here, agency, chosen_product, seen)
        known = doors(here.settings.collect)
        by = senders().get(sender) if sender else next(iter(fitting(chosen_product, known)), None)
        if by is None:
            raise UsageError("no such sender", got=sender or "-", expected=", ".join(senders()))
        able = doors_for(by, known)
        door = door_of(known, listener) if listener else next(iter(able), None)
        if door is None:
            raise UsageError(
                "no listener takes this sender", got=by.name, expected=", ".join(by.ways)
            )
        chosen = Chosen(
            product=chosen_product, source=which or f"{agency}-{chosen_product.replace('_', '-')}", name=name,
            encoding=encoding, timezone=timezone, layout=layout, sender=by.name, door=door.name, address=address,
        )  # fmt: skip
        key = ""
        if publish:
            key = do_publish(here.state, OPERATOR, agency, chosen, known, products, now=now).key
        text = snippet(by.name, door, chosen.source, key).text
    report = _report(samples, candidates, seen, fed, chosen, door, text, published=publish, key=key)
    if as_json:
        show_one(report, as_json=True)
        return
    _tell(report, candidates, seen, fed, text, by.run)


def _samples(file: Path) -> Samples:
    from pipeline.sources.onboarding.samples import from_path, from_text

    if str(file) == "-":
        return from_text(sys.stdin.buffer.read(8_000_000).decode("utf-8", "replace"))
    return from_path(file)


def _feeds(here: Installation, agency: str, product: str, seen: Preview) -> Feeds:
    from pipeline.detect.reads.rules import active_ids
    from pipeline.detect.reads.standing import RuleJudge
    from pipeline.detect.rulebook.feeding import products_of_agencies
    from pipeline.sources.onboarding.feeds import feeds

    judged = RuleJudge(here.state, here.settings.cache)()
    with here.state.read() as session:
        active = active_ids(session)
    has = products_of_agencies(here.state, OPERATOR).get(agency, frozenset())
    return feeds(judged, active, product, seen.datasets, has)


def _report(
    samples: Samples, candidates: list[Candidate], seen: Preview, fed: Feeds, chosen: Chosen, door: Door,
    text: str, *, published: bool, key: str,
) -> dict[str, Any]:  # fmt: skip
    from msgspec import to_builtins

    return {
        "product": seen.product, "published": published, "source": chosen.source, "key": key,
        "lines": len(samples.bodies), "skipped": samples.skipped, "cut": samples.cut,
        "read": seen.read, "failed": seen.failed, "datasets": list(seen.datasets),
        "leftovers": dict(seen.leftovers),
        "candidates": to_builtins(candidates[:5]),
        "events": to_builtins(seen.lines),
        "rules": {"sampled": list(fed.sampled), "fed": list(fed.fed), "new": list(fed.new)},
        "techniques": to_builtins(fed.techniques),
        "sender": chosen.sender, "listener": door.name, "known_by": door.known_by, "snippet": text,
    }  # fmt: skip


def _tell(
    report: dict[str, Any],
    candidates: list[Candidate],
    seen: Preview,
    fed: Feeds,
    text: str,
    run: str,
) -> None:
    names = ("product", "lines", "read", "failed", "datasets")
    show_one({name: report[name] for name in names}, as_json=False)
    show_part("recognised", [_line(one) for one in candidates[:4]], _CANDIDATES)
    for number, line in enumerate(seen.lines[:_SHOWN], 1):
        show_title(f"line {number}: {line.outcome}")
        typer.echo(safe(line.text[:300]))
        show_one({name: str(value)[:160] for name, value in line.fields}, as_json=False)
        show_one({f"· {name}": str(value)[:160] for name, value in line.leftovers}, as_json=False)
        for remark in line.remarks:
            typer.echo(f"! {safe(remark)}")
    if seen.leftovers:
        show_title("without a place in ECS (kept, searchable, no rule reads them)")
        typer.echo(", ".join(safe(f"{name} ({count})") for name, count in seen.leftovers[:40]))
    show_title("feeds")
    show_one(
        {
            "rules by these lines": len(fed.sampled), "rules by the product": len(fed.fed),
            "new at the agency": len(fed.new), "techniques": len(fed.techniques),
            "techniques new at the agency": fed.new_techniques,
        },
        as_json=False,
    )  # fmt: skip
    show_title(f"{report['sender']} to {report['listener']}, known by {report['known_by']}")
    if not run:
        typer.echo("(not yet run against the real system)")
    typer.echo(safe(text).rstrip())
    if report["published"]:
        show_title("published")
        shown = {"source": report["source"], "key": report["key"]}
        show_one({k: v for k, v in shown.items() if v}, as_json=False)
        sys.stderr.write(
            f"thapcanh: whether it sends: thapcanh source live {report['source']} --wait 600\n"
        )


def _line(one: Candidate) -> dict[str, Any]:
    item: dict[str, Any] = {name: getattr(one, name) for name in _CANDIDATES}
    return item | {
        "score": f"{one.score:.2f}",
        "title": one.title + ("" if one.proven else " (unproven)"),
    }


@source.command("live")
def source_live(
    which: WhichSource,
    wait: Annotated[float, typer.Option(help="Until it sends, so many seconds at the most.")] = 0.0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Whether a source sends: received, read, looked at, and what it feeds. Exit code 1 while something is missing."""
    from msgspec import to_builtins

    from pipeline.detect.reads.standing import RuleJudge
    from pipeline.sources.onboarding.live import live

    with opened(home) as here:
        judge = RuleJudge(here.state, here.settings.cache)
        limit = time.monotonic() + wait
        while True:
            found = live(here.state, here.store, judge, OPERATOR, which, now=utc_now())
            if found.green or time.monotonic() >= limit:
                break
            time.sleep(1.0)
    if as_json:
        show_one(to_builtins(found) | {"sends": found.green}, as_json=True)
    else:
        _tell_live(found)
    if not found.green:
        raise typer.Exit(1)


def _tell_live(found: Live) -> None:
    show_one(
        {
            "source": found.source, "sends": found.green, "received": found.received,
            "last_received": found.last_received, "dropped": found.dropped,
            "newest events": found.seen, "of these not read": found.failed, "datasets": list(found.datasets),
            "looked at by detection": found.looked_at, "rules that read them": found.rules,
            "findings": found.findings, "dead letters": found.letters, "why": found.why,
        },
        as_json=False,
    )  # fmt: skip
    if found.knocks and not found.arrived:
        columns = ("listener", "address", "count")
        show_part(
            "unknown senders lately", [dict(zip(columns, one, strict=True)) for one in found.knocks]
        )
