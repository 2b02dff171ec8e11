"""The taxonomy that ships, and what a broken one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.detect.columns import columns_file, rendered
from pipeline.detect.rules import LogSource
from pipeline.detect.taxonomy import Taxonomy
from pipeline.model.errors import FaultsError
from pipeline.settings.places import config_dir


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy.load(config_dir() / "taxonomy")


def test_the_list_of_columns_is_current() -> None:
    assert columns_file().read_text("utf-8") == rendered()


def test_process_creation_means_sysmon_1_and_security_4688(taxonomy: Taxonomy) -> None:
    routes = taxonomy.routes_for(LogSource("windows", "process_creation"), "sysmon")
    assert [(route.datasets, dict(route.where)["event.code"], route.map) for route in routes] == [
        (("windows.sysmon",), ("1",), "windows"),
        (("windows.security",), ("4688",), "audit_process"),
    ]


def test_the_sysmon_scope_leaves_4657_out_and_the_default_takes_it(taxonomy: Taxonomy) -> None:
    source = LogSource("windows", "registry_set")
    assert [route.datasets for route in taxonomy.routes_for(source, "sysmon")] == [
        ("windows.sysmon",)
    ]
    assert [route.datasets for route in taxonomy.routes_for(source)] == [
        ("windows.sysmon",),
        ("windows.security",),
    ]


def test_a_product_with_a_generic_category_gets_its_own_datasets_only(taxonomy: Taxonomy) -> None:
    routes = taxonomy.routes_for(LogSource("nginx", "webserver"))
    assert [route.datasets for route in routes] == [("nginx.access",)]


def test_an_unknown_log_source_has_no_route(taxonomy: Taxonomy) -> None:
    assert taxonomy.routes_for(LogSource("toaster", "crumbs")) == ()


def test_a_field_without_counterpart_has_no_column(taxonomy: Taxonomy) -> None:
    registry = taxonomy.maps["audit_registry"]
    assert (
        registry.column("EventType"),
        registry.column("TargetObject"),
        registry.column("Foo"),
    ) == (
        None,
        "winlog.event_data.ObjectName",
        "winlog.event_data.Foo",
    )


def test_all_faults_of_a_taxonomy_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("routes: [{product: x, datasets: [x.log], map: nope}]")
    (tmp_path / "b.yml").write_text("maps: {m: {feilds: {}}}")
    with pytest.raises(FaultsError) as caught:
        Taxonomy.load(tmp_path)
    assert [fault.what for fault in caught.value.faults] == [
        "route 1 has an unknown map",
        "the map m has an unknown key",
    ]
