"""A home's own products: read beside the shipped ones, checked, and a broken one stops no other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.detect.rulebook.feeding import judge
from pipeline.detect.rulebook.rules import rules_from_texts
from pipeline.detect.rulebook.taxonomy import Taxonomy, taxonomy_faults
from pipeline.model.errors import ConflictError, FaultsError, UsageError
from pipeline.normalise.additions import (
    add_product,
    own_products,
    products_of,
    remove_product,
)
from pipeline.normalise.product import load_products
from pipeline.settings.places import Additions
from pipeline.sources.drafting.draft import draft_product

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LINES = [f"van_ban={n} user=an src_ip=10.0.0.{n} action=read" for n in range(1, 4)]
RULE = """title: x
id: 5f1b2a0e-6f50-4a8b-9f0d-0d9f8a7c1e11
logsource: {product: van_thu}
detection: {selection: {user: an}, condition: selection}
"""
ROUTE = """maps:
  van_thu: {source: the office's own list, base: lines, fields: {user: user.name}}
routes:
  - {product: van_thu, datasets: [van_thu.log], map: van_thu, entity: [user.name]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Additions:
    return Additions(tmp_path / "products", tmp_path / "taxonomy")


def text_of(name: str = "van_thu") -> str:
    return draft_product(name, LINES, now=NOW).text


def test_a_home_without_own_files_has_the_shipped_products(home: Additions) -> None:
    assert products_of(home) == load_products()
    assert own_products(Additions()).products == {}


def test_a_drafted_product_is_added_used_and_removed(home: Additions) -> None:
    made = add_product(home, text_of(), name="van_thu", where="van_thu.yml")
    assert products_of(home).keys() - load_products().keys() == {"van_thu"}
    assert products_of(home)["van_thu"].revision == made.revision
    assert "van_thu" not in load_products()
    with pytest.raises(ConflictError):
        add_product(home, text_of(), name="van_thu", where="van_thu.yml")
    remove_product(home, "van_thu")
    assert products_of(home) == load_products()


def test_a_changed_file_is_read_again(home: Additions) -> None:
    add_product(home, text_of(), name="van_thu", where="x")
    before = products_of(home)["van_thu"].revision
    text = text_of().replace("title: van_thu", "title: Văn thư")
    add_product(home, text, name="van_thu", where="x", replace=True)
    found = products_of(home)["van_thu"]
    assert (found.title, found.revision != before) == ("Văn thư", True)


def test_a_broken_file_is_told_with_its_place_and_stops_no_other(home: Additions) -> None:
    add_product(home, text_of(), name="van_thu", where="x")
    assert home.products is not None
    broken = text_of("hong").replace("dataset: hong.log", "datset: hong.log")
    (home.products / "hong.yml").write_text(broken, "utf-8")
    (home.products / "vo.yml").write_bytes(b"\xff\xfe")
    own = own_products(home)
    assert list(own.products) == ["van_thu"]
    assert {name: [fault.what for fault in faults] for name, faults in own.faults.items()} == {
        "hong": ["'dataset' is a required property",
                 "Additional properties are not allowed ('datset' was unexpected)"],
        "vo": ["the file cannot be read"],
    }  # fmt: skip
    assert own.faults["hong"][1].remedy == "did you mean 'dataset'?"
    assert all("hong.yml" in fault.where for fault in own.faults["hong"])


def test_a_shipped_product_is_replaced_only_by_who_says_so(home: Additions) -> None:
    text = text_of("nginx")
    with pytest.raises(UsageError, match="ships with the program"):
        add_product(home, text, name="nginx", where="nginx.yml")
    assert home.products is not None
    home.products.mkdir()
    (home.products / "nginx.yml").write_text(text, "utf-8")
    assert products_of(home) == load_products()
    assert list(own_products(home).faults) == ["nginx"]
    (home.products / "nginx.yml").write_text(text + "replaces_shipped: true\n", "utf-8")
    assert products_of(home)["nginx"].datasets == ("nginx.log",)
    assert load_products()["nginx"].datasets != ("nginx.log",)


def test_samples_that_become_something_else_are_refused(home: Additions) -> None:
    text = text_of().replace("user.name: an", "user.name: binh", 1)
    assert text != text_of()
    with pytest.raises(FaultsError) as caught:
        add_product(home, text, name="van_thu", where="van_thu.yml")
    assert [fault.where for fault in caught.value.faults] == ["van_thu.yml: line 1"]
    assert own_products(home).products == {}


def test_a_route_of_the_home_lets_rules_read_its_product(home: Additions) -> None:
    add_product(home, text_of(), name="van_thu", where="x")
    book = rules_from_texts([("r.yml", RULE)])
    before = judge(book.rules, Taxonomy.here(home), products_of(home))[book.rules[0].id]
    assert not before.feeds
    assert home.taxonomy is not None
    home.taxonomy.mkdir()
    (home.taxonomy / "van_thu.yml").write_text(ROUTE, "utf-8")
    (home.taxonomy / "vo.yml").write_text("routes:\n  - {product: y, datasets: [y.log]}\n", "utf-8")
    taxonomy = Taxonomy.here(home)
    after = judge(book.rules, taxonomy, products_of(home))[book.rules[0].id]
    assert set(after.feeds) == {"van_thu"}
    assert taxonomy.digest != Taxonomy.here().digest
    assert [fault.what for fault in taxonomy_faults(home)] == ["route 1 has an unknown map"]
