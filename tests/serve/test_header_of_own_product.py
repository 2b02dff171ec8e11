"""Whether a file's lines need their header is asked of the home's own product before the shipped one."""

from __future__ import annotations

from pathlib import Path

from pipeline.serve.ingest import _is_w3c
from pipeline.settings.places import NOTHING, Additions, products_dir


def test_a_product_of_the_home_is_asked_first_and_one_that_is_gone_or_faulty_needs_no_header(
    tmp_path: Path,
) -> None:
    own = Additions(products=tmp_path)
    text = (products_dir() / "iis.yml").read_text("utf-8")
    (tmp_path / "nginx.yml").write_text(text.replace("product: iis", "product: nginx"), "utf-8")
    (tmp_path / "iis.yml").write_text("not: a product", "utf-8")
    asked = [(NOTHING, "iis"), (NOTHING, "nginx"), (own, "nginx"), (own, "iis"), (own, "retired")]
    assert [_is_w3c(*one) for one in asked] == [True, False, True, False, False]
