"""``product``: what can be read, how sure that is, which rules it feeds; and a new one drafted from lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import After, Home, Json, Limit, opened
from pipeline.cli.output import safe, show_list, show_one, show_part
from pipeline.cli.paging import page_of
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.model.scope import OPERATOR

if TYPE_CHECKING:
    from pipeline.serve.installation import Installation
    from pipeline.sources.product_list import ProductLine

product = typer.Typer(no_args_is_help=True, help="What log sources run, as it is read here.")
_COLUMNS = ("id", "proven", "format", "rules", "datasets", "title")


def attach(app: typer.Typer) -> None:
    app.add_typer(product, name="product")


@product.command("list")
def product_list(
    words: Annotated[str, typer.Argument(help="Sought in names and titles.")] = "",
    limit: Limit = 200,
    after: After = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Products by title: whether they are proven, their formats and datasets, how many rules they feed."""
    from pipeline.normalise.additions import own_products

    with opened(home) as here:
        lines = _lines(here)
        faults = own_products(here.state.additions).faults
    for fault in (one for each in faults.values() for one in each):
        sys.stderr.write(safe(f"thapcanh: left out: {fault}") + "\n")
    asked = words.casefold().split()
    items = [
        _item(one)
        for one in lines
        if all(word in f"{one.product} {one.title}".casefold() for word in asked)
    ]
    page, following = page_of(items, limit, after)
    if not as_json:
        page = [item | {"rules": len(item["rules"])} for item in page]
    show_list(page, as_json=as_json, columns=_COLUMNS, following=following)


@product.command("show")
def product_show(
    which: Annotated[str, typer.Argument(help="The product's name.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """One product: what it reads, where its samples come from, and the rules that it feeds."""
    from pipeline.detect.reads.rules import titles

    with opened(home) as here:
        found = next((one for one in _lines(here) if one.product == which), None)
        if found is None:
            raise UsageError("no such product", got=which, remedy="thapcanh product list")
        named = titles(here.state, OPERATOR, found.rules)
    item = _item(found)
    if as_json:
        show_one(item, as_json=True)
        return
    shown = item | {"rules": len(found.rules), "origins": _origins(found)}
    show_one({k: v for k, v in shown.items() if v not in ("", [], ())}, as_json=False)
    rules = sorted(({"id": i[:8], "title": t} for i, t in named.items()), key=lambda r: r["title"])
    show_part("rules that it feeds", rules[:100], ("id", "title"))
    if len(rules) > 100:
        sys.stderr.write(f"(and {len(rules) - 100:,} more; --json has them all)\n")


@product.command("draft")
def product_draft(
    file: Annotated[Path, typer.Argument(help="Sample lines; - for standard input.")],
    name: Annotated[str, typer.Option(help="The product's name: small letters, digits, _.")],
    title: Annotated[str, typer.Option(help="What people call it.")] = "",
    encoding: Annotated[str, typer.Option(help="Of the lines, UTF-8 if not given.")] = "",
    out: Annotated[Path | None, typer.Option(help="Where to write NAME.yml: a file or a folder.")] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Put it into the home, as `product add` does.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Draft a product from sample lines: its format, its fields in ECS, its samples; for a person to finish."""
    from msgspec import to_builtins

    from pipeline.sources.drafting.draft import draft_product
    from pipeline.sources.onboarding.samples import from_path, from_text

    samples = (
        from_text(sys.stdin.buffer.read(8_000_000).decode("utf-8", "replace"))
        if str(file) == "-"
        else from_path(file)
    )
    drafted = draft_product(name, samples.lines(encoding), now=utc_now(), title=title)
    path = None
    if publish:
        path = _add(home, drafted.text, name, str(file), replace=False)
    elif out is not None:
        path = out / f"{name}.yml" if out.is_dir() else out
        try:
            path.write_text(drafted.text, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"the file cannot be written: {error.strerror}", where=str(path)
            ) from None
    if as_json:
        show_one(to_builtins(drafted) | {"file": str(path) if path else ""}, as_json=True)
        return
    if path is None:
        typer.echo(safe(drafted.text).rstrip())
    _tell_draft(to_builtins(drafted), str(path or ""))


@product.command("add")
def product_add(
    file: Annotated[Path, typer.Argument(help="A product's file, NAME.yml.")],
    replace: Annotated[bool, typer.Option("--replace", help="In place of the home's own of this name.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Check a product's file and its samples, and put it into the home: sources can run it from now on."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the file cannot be read", where=str(file), got=str(error)) from None
    path = _add(home, text, file.stem, str(file), replace=replace)
    show_one({"product": file.stem, "file": str(path)}, as_json=as_json)


@product.command("remove")
def product_remove(
    which: Annotated[str, typer.Argument(help="The product's name.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take a product of the home's own away; the file stays beside it as NAME.yml.removed."""
    from pipeline.sources.products import remove

    with opened(home) as here:
        path = remove(here.state, OPERATOR, which, now=utc_now())
    show_one({"removed": which, "file": str(path)}, as_json=as_json)


def _add(home: Path | None, text: str, name: str, where: str, *, replace: bool) -> Path:
    from pipeline.sources.products import publish

    with opened(home, create=True) as here:
        publish(here.state, OPERATOR, text, name=name, where=where, replace=replace, now=utc_now())
        folder = here.state.additions.products
    assert folder is not None
    return folder / f"{name}.yml"


def _tell_draft(drafted: dict[str, Any], path: str) -> None:
    """To standard error: standard output may be the file."""
    head = "syslog header, " if drafted["header"] else ""
    sys.stderr.write(
        f"thapcanh: {head}{drafted['body']}; {drafted['read']} of {drafted['lines']} lines are read"
        f"{'; written to ' + path if path else ''}\n"
    )
    for one in drafted["proposals"]:
        what = f"{one['target']} (by {one['by']})" if one["target"] else "a leftover"
        sys.stderr.write(safe(f"  {one['field']}: {what}, e.g. {one['sample']}") + "\n")


def _lines(here: Installation) -> list[ProductLine]:
    from pipeline.detect.reads.rules import active_ids
    from pipeline.detect.reads.standing import RuleJudge
    from pipeline.normalise.additions import own_products, products_of
    from pipeline.sources.product_list import product_lines

    own = own_products(here.state.additions).products
    judged = RuleJudge(here.state, here.settings.cache)()
    with here.state.read() as session:
        active = active_ids(session)
    return product_lines(products_of(here.state.additions), judged, active, own)


def _item(one: ProductLine) -> dict[str, Any]:
    from msgspec import to_builtins

    item: dict[str, Any] = to_builtins(one)
    return {"id": item.pop("product")} | item


def _origins(one: ProductLine) -> str:
    return ", ".join(f"{count} {origin}" for origin, count in sorted(one.origins.items()))
