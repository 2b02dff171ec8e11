"""Per rule and agency: whether some source of it makes what the rule reads."""

from __future__ import annotations

from pathlib import Path

from support.people import analyst, officer

from pipeline.detect.feeding import Fed, datasets_of_agencies, fed
from pipeline.detect.rules import LogSource
from pipeline.detect.taxonomy import Route, Taxonomy
from pipeline.model.clock import EPOCH
from pipeline.state.state import State
from pipeline.state.tables.register import Agency, Source

SYSMON = LogSource("windows", "process_creation", "")
TAXONOMY = Taxonomy((Route(SYSMON, ("windows.sysmon",)),), {}, "t")
PRODUCTS = {"windows": ("windows.sysmon", "windows.security"), "nginx": ("nginx.access",)}


def test_an_agency_without_a_published_source_for_a_rule_is_told_what_is_missing(
    tmp_path: Path,
) -> None:
    state = State.at(tmp_path / "s.sqlite")
    state.create_tables()
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
    agencies = datasets_of_agencies(state, analyst(), PRODUCTS)
    assert fed(SYSMON, TAXONOMY, agencies) == Fed(
        ("ward-1",), {"ward-2": "no source feeds windows.sysmon"}
    )
    other = LogSource("okta", "", "okta")
    assert fed(other, TAXONOMY, agencies).cannot["ward-1"].startswith("no product makes such a log")
    assert list(datasets_of_agencies(state, officer("chi", "ward-2"), PRODUCTS)) == ["ward-2"]
    state.close()
