"""Countries of source addresses: by the narrowest range, and never over what a product said."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

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


def database(path: Path, networks: dict[str, object]) -> Path:
    """A MaxMind database in which each network has the record."""
    writer = MMDBWriter(6, "Test-Country", ipv4_compatible=True)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def test_a_maxmind_database_says_countries_too(tmp_path: Path) -> None:
    file = database(
        tmp_path / "city.mmdb",
        {
            "198.51.100.0/24": {"country": {"iso_code": "VN"}, "location": {"latitude": 10.7}},
            "203.0.113.0/24": {"country": "nl"},
            "192.0.2.0/24": {"continent": {"code": "EU"}},
            "2001:db8::/32": {"country": {"iso_code": "JP"}},
        },
    )
    asked = ("198.51.100.7", "203.0.113.9", "192.0.2.1", "2001:db8::5", "8.8.8.8", "", "x")
    table = countries_for(str(file))
    assert [table.of(each) for each in asked] == ["VN", "NL", None, "JP", None, None, None]
    columns = {ADDRESS: pa.array(["198.51.100.7", None])}
    assert table.fill(columns, None)[COUNTRY].to_pylist() == ["VN", None]


def test_a_replaced_file_is_taken_up_and_a_broken_one_leaves_the_old(tmp_path: Path) -> None:
    file = tmp_path / "c.mmdb"

    def put(content: Path) -> None:
        content.replace(file)

    put(database(tmp_path / "new", {"203.0.113.0/24": {"country": {"iso_code": "NL"}}}))
    said = [countries_for(str(file)).of("203.0.113.9")]
    put(database(tmp_path / "new", {"203.0.113.0/24": {"country": {"iso_code": "DEU"[:2]}}}))
    os.utime(file, ns=(1, 1))
    said.append(countries_for(str(file)).of("203.0.113.9"))
    (tmp_path / "new").write_bytes(b"no database")
    put(tmp_path / "new")
    said.append(countries_for(str(file)).of("203.0.113.9"))
    assert said == ["NL", "DE", "DE"]
    file.rename(tmp_path / "other.mmdb")
    with pytest.raises(UsageError, match="cannot be read"):
        countries_for(str(tmp_path / "other.mmdb"))


def test_a_database_of_networks_says_whose_an_address_is(tmp_path: Path) -> None:
    viettel = {"autonomous_system_number": 7552, "autonomous_system_organization": "Viettel Group"}
    networks = {
        "198.51.100.0/24": viettel,
        "203.0.113.0/24": {"autonomous_system_number": 64500},
        "192.0.2.0/24": "odd",
    }
    file = database(tmp_path / "asn.mmdb", networks)
    table = countries_for("", str(file))
    assert table.of("198.51.100.7") == "VN"
    columns = {
        ADDRESS: pa.array(["198.51.100.7", "203.0.113.9", None, "192.0.2.1", "x"]),
        "source.as.number": pa.array([1, None, None, None, None]),
        "destination.ip": pa.array([None, None, None, None, "198.51.100.8"]),
    }
    made = {name: column.to_pylist() for name, column in table.fill(columns, None).items()}
    assert made == {
        COUNTRY: ["VN", "NL", None, "VN", None],
        "source.as.number": [1, 64500, None, None, None],
        "source.as.organization.name": ["Viettel Group", None, None, None, None],
        "destination.as.number": [None, None, None, None, 7552],
        "destination.as.organization.name": [None, None, None, None, "Viettel Group"],
    }
    assert table.fill(columns, frozenset({"source.as.number"})).keys() == {"source.as.number"}
    (tmp_path / "none.mmdb").write_bytes(b"no database")
    with pytest.raises(UsageError, match="networks"):
        countries_for("", str(tmp_path / "none.mmdb"))
