"""The products that can be read: all of them, and one with the rules that it feeds."""

from __future__ import annotations

import re

from starlette.responses import Response

from pipeline.console.forms import attempt
from pipeline.console.visit import Visit
from pipeline.detect.reads import rules
from pipeline.model.errors import NotFoundError, ThapCanhError, UsageError
from pipeline.normalise.additions import own_products
from pipeline.sources.product_list import product_line, product_lines
from pipeline.sources.products import publish

RULES = 100
MOST = 400_000


def list_page(visit: Visit) -> Response:
    return _list(visit)


def _list(visit: Visit, status: int = 200, error: ThapCanhError | None = None) -> Response:
    with visit.state.read() as db:
        active = rules.active_ids(db)
    own = own_products(visit.state.additions)
    words = visit.query("q")[:100]
    lines = [
        one
        for one in product_lines(visit.products, visit.console.rules(), active, own.products)
        if all(word in f"{one.product} {one.title}".casefold() for word in words.casefold().split())
    ]
    return visit.render(
        "products.html", status, lines=lines, asked=words, error=error, text=visit.field("text"),
        faults=[one for each in own.faults.values() for one in each],
    )  # fmt: skip


def add(visit: Visit) -> Response:
    """A product's file, pasted; its name is the one that it gives itself."""

    def deed() -> str:
        text = visit.field("text")
        named = re.search(
            r"^product:[ \t]*([a-z][a-z0-9_]{1,39})[ \t]*(?:#.*)?$", text, re.MULTILINE
        )
        if named is None:
            raise UsageError("the file names no product", expected="product: van_thu")
        if len(text) > MOST:
            raise UsageError("the text is too long", expected=f"{MOST:,}")
        publish(
            visit.state, visit.actor, text, name=named[1], where=f"{named[1]}.yml",
            replace=bool(visit.field("replace")), now=visit.now,
        )  # fmt: skip
        return f"/products/{named[1]}?notice=product_added"

    return attempt(visit, deed, lambda status, error: _list(visit, status, error))


def one_page(visit: Visit) -> Response:
    product = visit.products.get(visit.request.path_params["product"])
    if product is None:
        raise NotFoundError("nothing such")
    with visit.state.read() as db:
        active = rules.active_ids(db)
    own = own_products(visit.state.additions).products
    line = product_line(product, visit.console.rules(), active, own)
    fed = rules.lines_of(visit.state, visit.actor, line.rules[:RULES])
    return visit.render("product.html", line=line, fed=fed)
