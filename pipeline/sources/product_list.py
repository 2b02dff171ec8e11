"""The products as people read them: what each reads, whether it is proven, and how many rules it feeds.

In: compiled products, what is judged of the rules, which rules are on. Out: `ProductLine` values, by title. A product
is *proven* when one of its samples comes from the vendor's document or a real run; what is only constructed is not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from pipeline.detect.reads.standing import Judged
from pipeline.normalise.product import Product


class ProductLine(msgspec.Struct, frozen=True, kw_only=True):
    """`format` is the body's kind, with `syslog` before it where a header is taken off. `origins`: kind of origin →
    number of samples. `own`: a file of the home's. `rules` are ids of those that are on and that the product can make fire."""

    product: str
    title: str
    about: str
    datasets: tuple[str, ...]
    format: str
    kinds: tuple[str, ...]
    proven: bool
    origins: Mapping[str, int]
    titles: tuple[str, ...]
    rules: tuple[str, ...]
    revision: str
    own: bool = False


def product_lines(
    products: Mapping[str, Product],
    judged: Judged,
    active: Collection[str],
    own: Collection[str] = (),
) -> list[ProductLine]:
    lines = [product_line(product, judged, active, own) for product in products.values()]
    return sorted(lines, key=lambda one: one.title.casefold())


def product_line(
    product: Product, judged: Judged, active: Collection[str], own: Collection[str] = ()
) -> ProductLine:
    spec = product.spec
    origins: dict[str, int] = {}
    titles: dict[str, None] = {}
    for sample in product.samples:
        origins[sample.origin] = origins.get(sample.origin, 0) + 1
        if sample.origin != "constructed":
            titles[sample.title] = None
    body = spec.format["body"]
    return ProductLine(
        product=product.name, title=product.title, about=" ".join(spec.about.split()), datasets=product.datasets,
        format=f"syslog, {body}" if product.header else body, kinds=tuple(kind.name for kind in spec.kinds),
        proven=product.proven, origins=origins, titles=tuple(titles),
        rules=tuple(sorted(judged.fed_by(product.name) & set(active))), revision=product.revision, own=product.name in own,
    )  # fmt: skip
