"""Every product's own samples are recognised as it; what nobody knows is not."""

from __future__ import annotations

import pytest

from pipeline.normalise.product import Product, load_products
from pipeline.sources.onboarding.recognise import GENERIC, GOOD, close, recognise, recognised

PRODUCTS = load_products()


def lines_of(product: Product) -> list[str]:
    return [sample.raw.rstrip("\n") for sample in product.samples]


@pytest.mark.parametrize("name", [name for name in PRODUCTS if name != GENERIC])
def test_a_product_s_samples_are_recognised_as_it(name: str) -> None:
    """By itself, or, where another reads the same lines as well, beside that one."""
    candidates = recognise(lines_of(PRODUCTS[name]), PRODUCTS)
    assert name in {one.product for one in [candidates[0], *close(candidates)]}
    assert candidates[-1].product == GENERIC


ALIKE = {"apache", "nginx", "tomcat"}  # the combined log is the same of all three
SURE = 0.1  # below it a line is nobody's: a heading, a text alone


@pytest.mark.parametrize("name", [name for name in PRODUCTS if name != GENERIC])
def test_no_sample_is_claimed_by_another_product(name: str) -> None:
    """The confusion matrix: for each sample its own product stands first, and no other is good."""
    confused = {}
    for sample in PRODUCTS[name].samples:
        scores = {
            one.product: one.score
            for one in recognise([sample.raw.rstrip("\n")], PRODUCTS)
            if one.product != GENERIC
        }
        best = max(scores.values(), default=0.0)
        claims = {one for one, score in scores.items() if score >= GOOD} - {name}
        if name in ALIKE:
            claims -= ALIKE
        failed = "_parse_failure" in sample.expected.get("tags", ())
        behind = best >= SURE and not failed and scores.get(name, 0.0) < best and sample.expected
        if claims or behind:
            confused[sample.name] = (scores.get(name), best, sorted(claims))
    assert confused == {}


def test_a_mark_of_another_product_keeps_a_line_from_everyone_else() -> None:
    line = "%ASA-6-302013: Built inbound TCP connection 8 for inside:10.1.1.2/12523 (10.1.1.2/12523) to x:1.1.1.1/22 (1.1.1.1/22)"
    scores = {one.product: one.score for one in recognise([line], PRODUCTS)}
    assert scores["cisco_asa"] == 1.0
    assert scores["cisco_ios"] < GOOD


def test_reasons_add_up() -> None:
    best = recognise(lines_of(PRODUCTS["fortinet_fortigate"]), PRODUCTS)[0]
    assert (best.product, best.lines) == ("fortinet_fortigate", len(best.kinds) and best.lines)
    assert best.read + best.failed == best.lines
    assert 0 < best.mapped <= best.fields
    assert 0 < best.named <= best.read


def test_two_that_read_a_line_alike_stand_side_by_side() -> None:
    line = lines_of(PRODUCTS["nginx"])[0]  # the combined format is Apache's and Tomcat's, too
    both = close(recognise([line], PRODUCTS))
    assert {one.product for one in both} == {"apache", "nginx", "tomcat"}


@pytest.mark.parametrize(
    "line",
    [
        "just some words",
        '{"a": 1, "b": 2, "c": [3, 4, 5], "d": "x, y, z", "e": {"f": 6, "g": 7}}',
        '{"a": {"b": 1}, "zone": "x"}',
        "k1=v1 k2=v2 k3=v3",
        "a;b;c;d",
    ],
)
def test_what_nobody_knows_is_generic(line: str) -> None:
    candidates = recognise([line], PRODUCTS)
    assert (recognised(candidates), close(candidates)) == (GENERIC, [])


@pytest.mark.parametrize(
    "line",
    [
        "[" * 10_000,
        "{" * 5_000,
        "\x00\x1b[31m",
        "=" * 60_000,
        "\ud800".encode("utf-8", "replace").decode(),
    ],
)
def test_hostile_lines_do_no_harm(line: str) -> None:
    assert recognised(recognise([line], PRODUCTS)) in PRODUCTS


def test_blank_lines_are_no_lines() -> None:
    assert recognise(["", "   "], PRODUCTS) == []
