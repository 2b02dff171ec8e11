"""The taxonomy that ships, and what a broken one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.detect.matching.compile import compile_rules
from pipeline.detect.rulebook.columns import columns_file, rendered
from pipeline.detect.rulebook.rules import LogSource, load_rules
from pipeline.detect.rulebook.taxonomy import Taxonomy
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


def test_a_field_that_has_no_column_says_why_and_every_map_says_whose_names_it_uses(
    taxonomy: Taxonomy,
) -> None:
    assert taxonomy.maps["filtering_platform"].why("User") == "5156 does not name the account"
    assert taxonomy.maps["windows"].why("Anything") == ""
    assert [name for name, names in taxonomy.maps.items() if not names.source] == []


def test_a_part_of_an_object_lies_under_the_object_s_column(taxonomy: Taxonomy) -> None:
    aws = taxonomy.maps["aws"]
    assert [
        aws.column(f) for f in ("requestParameters", "requestParameters.a.b", "requestX.a")
    ] == [
        "aws.cloudtrail.request_parameters",
        "aws.cloudtrail.flattened.request_parameters.a.b",
        None,
    ]


def test_every_route_says_whom_its_events_are_about(taxonomy: Taxonomy) -> None:
    assert [route for route in taxonomy.routes if not route.entity] == []


def test_no_column_is_an_object_that_holds_another(taxonomy: Taxonomy) -> None:
    """Elasticsearch cannot hold a value and an object under one name."""
    columns = taxonomy.columns()
    assert [c for c in columns if any(other.startswith(f"{c}.") for other in columns)] == []


def test_no_column_is_a_list_or_a_pattern(taxonomy: Taxonomy) -> None:
    assert [c for c in taxonomy.columns() if "," in c or "|" in c or "{" in c] == []


def test_all_of_sigmahq_runs_where_every_dataset_is_fed_save_six_rules_that_say_why(
    sigma_rules: Path, taxonomy: Taxonomy
) -> None:
    book = load_rules(sorted(path for path in sigma_rules.glob("rules*") if path.is_dir()))
    compiled = compile_rules(book.rules, taxonomy)
    assert (len(book.rules), len(book.faults)) == (3754, 0)
    assert sorted(compiled.unfit.values()) == [
        "a field without a column: ActivityDetails",
        "a field without a column: ConsentContext.IsAdminConsent",
        "a field without a column: blocked",
        "a field without a column: status",
        "a placeholder without values: known_cdcs",
        "a placeholder without values: known_cdcs",
    ]


def test_all_faults_of_a_taxonomy_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("routes: [{product: x, datasets: [x.log], map: nope}]")
    (tmp_path / "b.yml").write_text("maps: {m: {feilds: {}}}")
    (tmp_path / "c.yml").write_text("maps: {n: {source: x, without: [User]}}")
    (tmp_path / "d.yml").write_text("maps: {o: {fields: {a: b}}}")
    with pytest.raises(FaultsError) as caught:
        Taxonomy.load(tmp_path)
    assert [fault.what for fault in caught.value.faults] == [
        "route 1 has an unknown map",
        "the map m has an unknown key",
        "the map n has fields without a column and no reason",
        "the map o names no source",
    ]
