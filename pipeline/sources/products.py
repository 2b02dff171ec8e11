"""A home's own products, as people put them in and take them away; each is in the access log.

In: an actor who may (`product.write`: a product is seen by every agency), a file's text. Out: the compiled product. What
is not right is refused whole, with the place of every fault (`normalise.additions`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from pipeline.access import log
from pipeline.access.permissions import require
from pipeline.model.errors import ConflictError
from pipeline.model.scope import Actor
from pipeline.normalise.additions import add_product, remove_product
from pipeline.normalise.product import Product, load_products
from pipeline.state.state import State
from pipeline.state.tables.register import Source


def publish(
    state: State,
    actor: Actor,
    text: str,
    *,
    name: str,
    where: str,
    replace: bool = False,
    now: datetime,
) -> Product:
    require(actor, "product.write", None)
    made = add_product(state.additions, text, name=name, where=where, replace=replace)
    with state.begin() as db:
        log.record(db, actor.name, "product_added", name, now=now)
    return made


def remove(state: State, actor: Actor, name: str, *, now: datetime) -> Path:
    """Refused while a source runs it, unless a shipped one of this name takes its place."""
    require(actor, "product.write", None)
    with state.read() as db:
        runs = sa.select(Source.id).where(Source.product == name, Source.state != "retired")
        users = list(db.scalars(runs.limit(3)))
    if users and name not in load_products():
        raise ConflictError(
            "a source runs this product", got=", ".join(users), remedy="give the source another product first"
        )  # fmt: skip
    path = remove_product(state.additions, name)
    with state.begin() as db:
        log.record(db, actor.name, "product_removed", name, now=now)
    return path
