"""Of every rule and agency: runs, or why it cannot fire there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.people import analyst, officer
from support.states import empty_state

from pipeline.detect.reads.standing import standings
from pipeline.detect.register.rules import import_rules
from pipeline.detect.rulebook.feeding import Standing
from pipeline.model.clock import EPOCH
from pipeline.model.scope import OPERATOR
from pipeline.normalise.product import load_product
from pipeline.settings.places import products_dir
from pipeline.state.state import State
from pipeline.state.tables.register import Agency, Source

NOW = EPOCH + timedelta(days=1)
WEB, VPN, BOTH, ANY, CHAIN = (f"{n}0000000-0000-4000-8000-000000000000" for n in "abcde")
RULES = f"""title: Web
id: {WEB}
name: web
logsource: {{category: webserver}}
detection: {{s: {{cs-method: POST}}, condition: s}}
---
title: VPN
id: {VPN}
name: vpn
logsource: {{product: openvpn}}
detection: {{s: {{user: root}}, condition: s}}
---
title: Both
id: {BOTH}
name: both
correlation: {{type: temporal, rules: [web, vpn], group-by: [src_ip], timespan: 5m}}
---
title: Any
id: {ANY}
correlation: {{type: event_count, rules: [web, vpn], group-by: [src_ip], timespan: 5m, condition: {{gte: 3}}}}
---
title: Chain
id: {CHAIN}
correlation: {{type: event_count, rules: [both], group-by: [src_ip], timespan: 5m, condition: {{gte: 2}}}}
"""
NGINX, OPENVPN = (
    f"no published source feeds it; of these one would: {p}" for p in ("apache, nginx", "openvpn")
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = empty_state(tmp_path / "state.sqlite")
    with state.begin() as session:
        for agency in ("w1", "w2", "w3"):
            session.add(Agency(id=agency, name_vi=agency, name_en=agency, valid_from=EPOCH))
        session.flush()
        for number, (agency, product) in enumerate(
            [("w1", "nginx"), ("w2", "nginx"), ("w2", "openvpn"), ("w3", "postfix")]
        ):
            session.add(
                Source(
                    id=f"s{number}", agency=agency, product=product, name="x", state="published",
                    created=EPOCH,
                )
            )  # fmt: skip
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yml").write_text(RULES, "utf-8")
    import_rules(state, OPERATOR, [tmp_path / "rules"], origin="ours", now=NOW)
    yield state
    state.close()


def test_a_rule_runs_where_a_source_feeds_it_and_a_correlation_where_its_rules_do(
    state: State,
) -> None:
    products = {
        name: load_product(products_dir() / f"{name}.yml")
        for name in ("apache", "nginx", "openvpn", "postfix")
    }
    assert standings(state, analyst(), products=products) == {
        WEB: Standing(("w1", "w2"), {"w3": NGINX}),
        VPN: Standing(("w2",), {"w1": OPENVPN, "w3": OPENVPN}),
        BOTH: Standing(("w2",), {"w1": f"vpn: {OPENVPN}", "w3": f"web: {NGINX}; vpn: {OPENVPN}"}),
        ANY: Standing(("w1", "w2"), {"w3": f"web: {NGINX}; vpn: {OPENVPN}"}),
        CHAIN: Standing(
            ("w2",),
            {"w1": f"both: vpn: {OPENVPN}", "w3": f"both: web: {NGINX}; vpn: {OPENVPN}"},
        ),
    }


def test_an_officer_hears_of_the_own_agency_alone(state: State) -> None:
    found = standings(state, officer("chi", "w1"))
    assert {agency for s in found.values() for agency in (*s.runs, *s.cannot)} == {"w1"}
