"""The products that can be read: all of them, and one with the rules that it feeds."""

from __future__ import annotations

from starlette.responses import Response

from pipeline.console.visit import Visit
from pipeline.detect.reads import rules
from pipeline.model.errors import NotFoundError
from pipeline.normalise.product import load_products
from pipeline.sources.product_list import product_line, product_lines

RULES = 100


def list_page(visit: Visit) -> Response:
    with visit.state.read() as db:
        active = rules.active_ids(db)
    words = visit.query("q")[:100]
    lines = [
        one
        for one in product_lines(load_products(), visit.console.rules(), active)
        if all(word in f"{one.product} {one.title}".casefold() for word in words.casefold().split())
    ]
    return visit.render("products.html", lines=lines, asked=words)


def one_page(visit: Visit) -> Response:
    product = load_products().get(visit.request.path_params["product"])
    if product is None:
        raise NotFoundError("nothing such")
    with visit.state.read() as db:
        active = rules.active_ids(db)
    line = product_line(product, visit.console.rules(), active)
    fed = rules.lines_of(visit.state, visit.actor, line.rules[:RULES])
    return visit.render("product.html", line=line, fed=fed)
