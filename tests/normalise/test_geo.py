"""Countries of source addresses: by the narrowest range, and never over what a product said."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.errors import UsageError
from pipeline.normalise.geo import ADDRESS, COUNTRY, Countries, countries_for, load_countries


def test_the_table_that_comes_with_the_program_knows_the_documentation_ranges() -> None:
    of = countries_for("").of
    asked = ("10.1.2.3", "198.51.100.7", "203.0.113.9", "2001:db8::1", "8.8.8.8", "", "x", "::")
    assert [of(each) for each in asked] == ["VN", "VN", "NL", "NL", None, None, None, None]


def test_gaps_are_filled_and_what_the_product_said_stays() -> None:
    columns = {
        ADDRESS: pa.array(["203.0.113.9", "203.0.113.9", None, "8.8.8.8"]),
        COUNTRY: pa.array(["RU", None, None, None]),
    }
    table = countries_for("")
    assert {n: c.to_pylist() for n, c in table.fill(columns, None).items()} == {
        COUNTRY: ["RU", "NL", None, None]
    }
    assert table.fill(columns, frozenset({ADDRESS})) == {}
    assert table.fill({}, None) == {}


def _packed(number: int) -> bytes:
    return number.to_bytes(16, "big")


nested = st.lists(st.tuples(st.integers(0, 31), st.integers(0, 5)), max_size=8)


@given(nested)
def test_the_narrowest_network_wins_at_every_address(networks: list[tuple[int, int]]) -> None:
    spans = {(at >> bits << bits, bits) for at, bits in networks}
    named = {span: chr(65 + n) * 2 for n, span in enumerate(sorted(spans))}
    ranges = [(_packed(a), _packed(a + 2**bits - 1), c) for (a, bits), c in named.items()]
    table = Countries(ranges)
    for address in range(34):
        around = [(bits, c) for (a, bits), c in named.items() if a <= address < a + 2**bits]
        assert table.of(f"::{address:x}") == (min(around)[1] if around else None)


def test_a_file_of_ranges_is_read_as_the_free_lists_have_it(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text('"1.0.0.0","1.0.0.255","AU"\n2001:200::,2001:200:ffff:ffff::,jp\n')
    of = load_countries(file).of
    assert (of("1.0.0.255"), of("1.0.1.0"), of("2001:200::5")) == ("AU", None, "JP")
    assert ip_address("2001:200::5").version == 6


@pytest.mark.parametrize("line", ["1.2.3.4", "x,VN", "10.0.0.0/8,Việt Nam", "1.0.0.9,1.0.0.1,VN"])
def test_a_line_that_says_nothing_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"# head\n{line}\n")
    with pytest.raises(UsageError, match=r"list\.csv:2"):
        load_countries(file)
