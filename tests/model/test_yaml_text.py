"""What is written as YAML is read as the same again."""

from __future__ import annotations

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.model.yaml_text import write_yaml


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4))
@example({"a": "\x85", "b": "x\u2028y", "c\u2029": " \x85 "})
def test_every_text_comes_back(document: dict[str, str]) -> None:
    assert yaml.safe_load(write_yaml(document, width=20)) == document
