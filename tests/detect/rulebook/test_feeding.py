"""Per rule and agency: whether some source of it makes what the rule reads, and if not, what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.people import analyst, officer
from support.states import empty_state

from pipeline.detect.rulebook.feeding import Standing, Verdict, fills, judge, products_of_agencies
from pipeline.detect.rulebook.rules import rules_from_texts
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model.clock import EPOCH
from pipeline.normalise.product import Product, load_products
from pipeline.settings.places import config_dir
from pipeline.state.tables.register import Agency, Source


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy.load(config_dir() / "taxonomy")


@pytest.fixture(scope="module")
def products() -> dict[str, Product]:
    return {name: product for name, product in load_products().items() if name in NAMES}


NAMES = {"nginx", "windows", "squid", "generic", "linux_auth", "openvpn"}
BLOCKED = (
    "a field without a column: blocked (no firewall of ours says it in a field of its own; "
    "what it did is in action)"
)
AGENCIES = {"ward-1": frozenset({"nginx"}), "ward-2": frozenset({"windows"})}


def verdict(
    source: str, detection: str, taxonomy: Taxonomy, products: dict[str, Product]
) -> Verdict:
    text = f"""title: t
id: a0000000-0000-4000-8000-000000000000
logsource: {{{source}}}
detection:
    s: {detection}
    condition: s
"""
    book = rules_from_texts([("x.yml", text)])
    assert book.faults == ()
    (found,) = judge(book.rules, taxonomy, products).values()
    return found


@pytest.mark.parametrize(
    ("source", "detection", "runs", "why"),
    [
        (
            "category: webserver", "{cs-method: POST}",
            ("ward-1",), "no published source feeds it; of these one would: nginx",
        ),
        (
            "product: windows, category: process_creation", "{Image: x}",
            ("ward-2",), "no published source feeds it; of these one would: windows",
        ),
        ("category: webserver", "{cs-cookie: x}", (), "nginx never fills http.request.headers.cookie"),
        ("category: webserver", "{cs-method: POST, cs-cookie: x}", (), "nginx never fills http.request.headers.cookie"),
        (
            "category: webserver", "[{cs-method: POST}, {cs-cookie: x}]",
            ("ward-1",), "no published source feeds it; of these one would: nginx",
        ),
        (
            "category: webserver", "{cs-cookie: null}",
            ("ward-1",), "no published source feeds it; of these one would: nginx",
        ),
        ("product: aws, service: cloudtrail", "{eventName: x}", (), "no product feeds it yet: aws.cloudtrail"),
        ("product: toaster, service: crumbs", "{a: x}", (),
         "the taxonomy does not know such a log: product toaster, service crumbs"),
        ("product: windows, category: process_creation", "{'Image|expand': '%list%'}", (), "a placeholder without values: list"),
        (
            "category: firewall", "{blocked: 'false'}", (),
            BLOCKED,
        ),
    ],
)  # fmt: skip
def test_a_rule_runs_or_says_what_is_missing(
    source: str, detection: str, runs: tuple[str, ...], why: str,
    taxonomy: Taxonomy, products: dict[str, Product],
) -> None:  # fmt: skip
    standing = verdict(source, detection, taxonomy, products).standing(AGENCIES)
    assert standing.runs == runs
    assert set(standing.cannot.values()) == {why}
    assert {*standing.runs, *standing.cannot} == set(AGENCIES)


def test_an_agency_hears_both_what_its_product_lacks_and_what_would_do() -> None:
    found = Verdict(frozenset({"apache"}), {"nginx": ("x.cookie",)})
    assert found.standing({"a": frozenset({"nginx"}), "b": frozenset({"apache"})}) == Standing(
        ("b",),
        {
            "a": "nginx never fills x.cookie; no published source feeds it; of these one would: apache"
        },
    )


def test_what_a_product_fills_covers_every_sample_s_event(products: dict[str, Product]) -> None:
    for product in products.values():
        filled = fills(product)
        for sample in product.samples:
            fill = filled[sample.expected["event.dataset"]]
            other = [c for c in sample.expected if not fill.can(c)]
            assert [c for c in other if c not in {"@timestamp", "tags", "error.message"}] == []


def test_an_actor_hears_of_the_agencies_in_its_scope_and_of_published_sources(
    tmp_path: Path,
) -> None:
    state = empty_state(tmp_path / "s.sqlite")
    with state.begin() as session:
        for agency in ("ward-1", "ward-2"):
            session.add(Agency(id=agency, name_vi=agency, name_en=agency, valid_from=EPOCH))
        session.flush()
        for id_, agency, product, status in (
            ("s1", "ward-1", "windows", "published"),
            ("s2", "ward-2", "nginx", "published"),
            ("s3", "ward-2", "windows", "draft"),
        ):
            session.add(
                Source(
                    id=id_, agency=agency, product=product, name=id_, state=status, created=EPOCH
                )
            )
    whole = {"ward-1": frozenset({"windows"}), "ward-2": frozenset({"nginx"})}
    assert products_of_agencies(state, analyst()) == whole
    assert list(products_of_agencies(state, officer("chi", "ward-2"))) == ["ward-2"]
    state.close()
