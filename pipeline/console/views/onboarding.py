"""A source is connected, step by step: samples, product, what it feeds, the sender, published.

Each step is a page of its own over one draft (`sources/onboarding/drafts.py`), so that a reload, another day or a
colleague finds what was chosen. The key is on one answer only: the one to the form that publishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import PlainTextResponse, Response

from pipeline.access.agencies import agencies, unknown
from pipeline.access.permissions import require, scope_for
from pipeline.api.uploads import given
from pipeline.console.forms import attempt
from pipeline.console.visit import Visit
from pipeline.detect.reads import rules
from pipeline.detect.rulebook.feeding import products_of_agencies
from pipeline.model.clock import to_micros
from pipeline.model.errors import ConflictError, NotFoundError, ThapCanhError, UsageError
from pipeline.normalise.layout import as_laid_out, laid_out, takes_layout
from pipeline.sources.onboarding import drafts, publish, snippets
from pipeline.sources.onboarding.doors import Door, doors
from pipeline.sources.onboarding.drafts import Chosen, Draft
from pipeline.sources.onboarding.feeds import Feeds, feeds
from pipeline.sources.onboarding.preview import Preview, preview
from pipeline.sources.onboarding.recognise import GENERIC, Candidate, close, recognise, recognised
from pipeline.sources.onboarding.samples import from_file, from_text
from pipeline.sources.register import get_source, list_sources

ENCODINGS: Final = ("", "utf-16-le", "utf-16-be", "cp1258", "tcvn3", "viscii", "vni")
ZONES: Final = ("", "Asia/Ho_Chi_Minh", "UTC", "Asia/Singapore", "Asia/Tokyo", "Europe/London")
LINES: Final = 20  # sample lines on a page
RULES: Final = 60
DRAFTED: Final = "van_thu_log"


def start_page(visit: Visit) -> Response:
    return _start(visit)


def _start(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    with visit.state.read() as db:
        names = agencies(db, visit.actor)
    scope = scope_for(visit.actor, "source.write")
    mine = {key: one for key, one in names.items() if scope.allows(key)}
    return visit.render(
        "onboarding.html", status, error=error, names=mine, unknown=unknown, encodings=ENCODINGS,
        drafts=drafts.of_actor(visit.state, visit.actor), products=visit.products,
        typed={name: visit.field(name) for name in ("agency", "sample", "encoding")},
    )  # fmt: skip


def start(visit: Visit) -> Response:
    """Samples come in: pasted, or as a file."""

    def deed() -> str:
        agency = visit.field("agency")
        require(visit.actor, "source.write", agency)
        files = given(visit.form, "file")
        samples = (
            from_file(files[0].name, files[0].body) if files else from_text(visit.field("sample"))
        )
        encoding = visit.field("encoding") if visit.field("encoding") in ENCODINGS else ""
        best = recognised(recognise(samples.lines(encoding), visit.products))
        chosen = Chosen(product=best, encoding=encoding)
        draft = drafts.begin(visit.state, visit.actor, agency, samples, chosen, now=visit.now)
        return f"/onboarding/{draft}"

    return attempt(visit, deed, lambda status, error: _start(visit, status, error))


def product_page(visit: Visit) -> Response:
    return _product(visit)


def _product(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    draft = _find(visit)
    candidates = recognise(draft.samples.lines(draft.chosen.encoding), visit.products)
    shown = [one for one in candidates if one.score > 0.1 or one.product == GENERIC][:6]
    beside = close(candidates)
    both = [_seen(visit, draft, one.product) for one in beside] if len(beside) > 1 else []
    return _render(
        visit, "onboarding_product.html", draft, status, error=error, candidates=shown, beside=both,
        seen=_seen(visit, draft), encodings=ENCODINGS, zones=ZONES, most=LINES, generic=GENERIC,
        best=_of(candidates, draft.chosen.product),
        takes_layout=takes_layout(visit.products[draft.chosen.product]),
        layout=visit.field("layout") if error else draft.chosen.layout,
    )  # fmt: skip


def _of(candidates: Sequence[Candidate], product: str) -> Candidate | None:
    return next((one for one in candidates if one.product == product), None)


def choose(visit: Visit) -> Response:
    """Another product, encoding or zone."""
    draft = visit.request.path_params["draft"]

    def deed() -> str:
        chosen = {name: visit.field(name) for name in ("product", "encoding", "timezone", "layout")}
        if chosen["product"] not in visit.products:
            raise UsageError("no such product", got=chosen["product"][:60])
        if chosen["encoding"] not in ENCODINGS or chosen["timezone"] not in ZONES:
            raise UsageError("no such encoding", got=chosen["encoding"][:60])
        laid_out(visit.products[chosen["product"]], chosen["layout"])
        drafts.change(
            visit.state, visit.actor, draft, chosen, revision=_revision(visit), now=visit.now
        )
        return f"/onboarding/{draft}"

    return attempt(visit, deed, lambda status, error: _product(visit, status, error))


def rules_page(visit: Visit) -> Response:
    draft = _find(visit)
    fed = fed_by(visit, draft.agency, draft.chosen.product, _seen(visit, draft))
    shown = [*fed.sampled, *(one for one in fed.fed if one not in set(fed.sampled))][:RULES]
    return _render(
        visit, "onboarding_rules.html", draft, fed=fed, lines=rules.lines_of(visit.state, visit.actor, shown),
        new=set(fed.new), sampled=set(fed.sampled),
    )  # fmt: skip


def fed_by(visit: Visit, agency: str, product: str, seen: Preview) -> Feeds:
    with visit.state.read() as db:
        active = rules.active_ids(db)
    has = products_of_agencies(visit.state, visit.actor).get(agency, frozenset())
    return feeds(visit.console.rules(), active, product, seen.datasets, has)


def sender_page(visit: Visit) -> Response:
    return _sender(visit)


def _sender(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    draft = _find(visit)
    chosen, door = _settled(visit, draft)
    known = doors(visit.console.collect)
    able = snippets.fitting(chosen.product, known)
    text, lacking = "", None
    if door is not None:
        text = snippets.snippet(chosen.sender, door, chosen.source).text
        try:
            publish.check(draft.agency, chosen, known, visit.products, visit.actor)
        except ThapCanhError as found:
            lacking = found
    return _render(
        visit, "onboarding_sender.html", draft, status, error=error, chosen=chosen, door=door, text=text, lacking=lacking,
        senders=able, doors=snippets.doors_for(snippets.senders()[chosen.sender], known) if chosen.sender else [],
        sender=snippets.senders().get(chosen.sender), usual=snippets.usual,
    )  # fmt: skip


def _settled(visit: Visit, draft: Draft) -> tuple[Chosen, Door | None]:
    """What was chosen, with what goes without saying filled in."""
    import msgspec

    chosen, known = draft.chosen, doors(visit.console.collect)
    able = snippets.fitting(chosen.product, known)
    sender = next((one for one in able if one.name == chosen.sender), able[0] if able else None)
    ways = snippets.doors_for(sender, known) if sender else []
    door = next((one for one in ways if one.name == chosen.door), ways[0] if ways else None)
    source = chosen.source
    if not source:
        taken = {one.id for one in list_sources(visit.state, visit.actor)}
        base = f"{draft.agency}-{chosen.product.replace('_', '-')}"[:58]
        source = next(n for n in (base, *(f"{base}-{k}" for k in range(2, 999))) if n not in taken)
    made = msgspec.structs.replace(
        chosen, source=source, name=chosen.name or visit.products[chosen.product].title,
        sender=sender.name if sender else "", door=door.name if door else "",
    )  # fmt: skip
    return made, door


def set_sender(visit: Visit) -> Response:
    draft = visit.request.path_params["draft"]

    def deed() -> str:
        chosen = {
            name: visit.field(name).strip()
            for name in ("name", "source", "sender", "door", "address")
        }
        drafts.change(
            visit.state, visit.actor, draft, chosen, revision=_revision(visit), now=visit.now
        )
        return f"/onboarding/{draft}/sender"

    return attempt(visit, deed, lambda status, error: _sender(visit, status, error))


def publish_now(visit: Visit) -> Response:
    """The one answer that holds the key."""
    draft = visit.request.path_params["draft"]
    try:
        found = _find(visit)
    except NotFoundError:
        source = visit.field("source")[:64]
        if not source:
            raise
        get_source(visit.state, visit.actor, source)  # its form was sent twice: the source is there
        return visit.go(f"/sources/{source}/live?notice=published")
    chosen, door = _settled(visit, found)
    try:
        made = publish.publish_draft(
            visit.state, visit.actor, draft, _revision(visit), doors(visit.console.collect), visit.products,
            chosen=chosen, now=visit.now,
        )  # fmt: skip
    except ConflictError as error:
        return _sender(visit, error.http_status, error)
    except UsageError as error:
        return _sender(visit, 422, error)
    assert door is not None
    made_for = snippets.snippet(chosen.sender, door, made.source, made.key)
    return shown_key(visit, made.source, made.key, made_for)


def shown_key(visit: Visit, source: str, key: str, made: snippets.Snippet) -> Response:
    from pipeline.console.views.live import look

    return visit.render(
        "onboarding_done.html", source=source, key=key, made=made, sender=made.sender, text=made.text,
        live=look(visit, source),
    )  # fmt: skip


def drop(visit: Visit) -> Response:
    drafts.drop(visit.state, visit.actor, visit.request.path_params["draft"], now=visit.now)
    return visit.go("/onboarding?notice=draft_dropped")


def drafted(visit: Visit) -> Response:
    """A product drafted from the samples, to download: for who writes products."""
    from pipeline.sources.drafting.draft import draft_product

    draft = _find(visit)
    made = draft_product(DRAFTED, draft.samples.lines(draft.chosen.encoding), now=visit.now)
    answer = PlainTextResponse(made.text, media_type="application/yaml; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{DRAFTED}.yml"'
    return answer


def publish_product(visit: Visit) -> Response:
    """The product drafted from these samples becomes one of the home's, and this draft's."""
    from pipeline.sources.drafting.draft import draft_product
    from pipeline.sources.products import publish as publish_one

    draft = _find(visit)

    def deed() -> str:
        name, title = visit.field("name").strip()[:60], visit.field("title").strip()[:120]
        made = draft_product(
            name, draft.samples.lines(draft.chosen.encoding), now=visit.now, title=title
        )
        publish_one(
            visit.state, visit.actor, made.text, name=name, where=f"{name}.yml", now=visit.now
        )
        chosen = {"product": name}
        drafts.change(
            visit.state, visit.actor, draft.id, chosen, revision=_revision(visit), now=visit.now
        )
        return f"/onboarding/{draft.id}?notice=product_added"

    return attempt(visit, deed, lambda status, error: _product(visit, status, error))


def _find(visit: Visit) -> Draft:
    return drafts.find(visit.state, visit.actor, visit.request.path_params["draft"][:32])


def _revision(visit: Visit) -> int:
    return visit.number(visit.field("revision") or "0")


def _seen(visit: Visit, draft: Draft, product: str = "") -> Preview:
    chosen = draft.chosen
    return preview(
        draft.samples.bodies, as_laid_out(visit.products[product or chosen.product], chosen.layout), encoding=chosen.encoding,
        timezone=chosen.timezone, received=to_micros(visit.now),
    )  # fmt: skip


def _render(
    visit: Visit, template: str, draft: Draft, status: int = 200, **values: Any
) -> Response:
    with visit.state.read() as db:
        agency = agencies(db, visit.actor).get(draft.agency) or unknown(draft.agency)
    known = visit.products
    values.setdefault("error", None)
    return visit.render(
        template,
        status,
        draft=draft,
        agency=agency,
        product=known.get(draft.chosen.product),
        products=known,
        **values,
    )
