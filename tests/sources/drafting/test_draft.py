"""A product drafted from lines passes the schema and reads its own samples, whatever the lines are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.model.errors import UsageError
from pipeline.normalise.ecs import load_ecs
from pipeline.normalise.product import load_product
from pipeline.normalise.samples import faults, outcome
from pipeline.sources.drafting.draft import compiled, draft_product
from pipeline.sources.drafting.fields import folded, synonyms, words

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
KEYED = (
    "<134>Nov 24 09:00:00 gw1 date=24/11/2026 time=09:00:00 action=deny srcip=10.1.1.1 srcport=51122 "
    'dstip=203.0.113.9 dpt=443 user=an proto=TCP msg="x y" zone=lan'
)
LINES = {
    "key_value": [KEYED],
    "json": ['{"ts":"2026-11-24T09:00:00+07:00","client":{"ip":"10.1.1.1"},"verb":"GET","url":"https://a.vn/x"}'],
    "csv": [
        "Time;Source IP;Destination IP;Dest Port;Action",
        "24/11/2026 09:00:00;10.1.1.1;203.0.113.5;443;Allow",
        "24/11/2026 09:00:05;10.1.1.2;203.0.113.5;80;Block",
    ],
    "cef": ["<14>Nov 24 09:00:00 h CEF:0|V|P|1|7|name|5|src=10.1.1.1 dst=10.1.1.2 act=blocked"],
    "text": ["nothing that anybody could take apart"],
}  # fmt: skip


@pytest.mark.parametrize("body", LINES)
def test_the_format_is_inferred_and_the_samples_are_read(body: str, tmp_path: Path) -> None:
    drafted = draft_product("van_thu", LINES[body], now=NOW)
    assert (drafted.body, drafted.read) == (body, len(LINES[body]))
    path = tmp_path / "van_thu.yml"
    path.write_text(drafted.text, encoding="utf-8")
    product = load_product(path)  # the schema, patterns and names as for every shipped product
    assert {s.name: outcome(product, s) for s in product.samples} == {
        s.name: dict(s.expected) for s in product.samples
    }
    assert [faults(product, dict(s.expected)) for s in product.samples] == [[]] * len(
        product.samples
    )
    assert not product.proven


def test_fields_are_proposed_by_name_and_value() -> None:
    (line,) = LINES["key_value"]
    event = compiled(draft_product("x1", [line], now=NOW)).samples[0].expected
    wanted = {
        "@timestamp": "2026-11-24T02:00:00.000Z", "source.ip": "10.1.1.1", "source.port": 51122,
        "destination.ip": "203.0.113.9", "destination.port": 443, "user.name": "an", "network.transport": "tcp",
        "event.action": "deny", "event.outcome": "failure", "message": "x y", "host.name": "gw1", "x1.zone": "lan",
        "event.category": ["network"],
    }  # fmt: skip
    assert {name: event.get(name) for name in wanted} == wanted


def test_a_second_name_of_the_same_thing_is_not_lost_where_it_stands_alone() -> None:
    lines = [
        "srcip=10.1.1.1 dstip=203.0.113.9 dport=443 dst=203.0.113.7 dpt=8443 user=an",
        "srcip=10.1.1.2 dst=203.0.113.8 dpt=80 user=lan",
    ]
    both, alone = (one.expected for one in compiled(draft_product("x1", lines, now=NOW)).samples)
    names = ("destination.ip", "destination.port", "x1.dst", "x1.dpt")
    assert [both.get(name) for name in names] == ["203.0.113.9", 443, "203.0.113.7", "8443"]
    assert [alone.get(name) for name in names] == ["203.0.113.8", 80, "203.0.113.8", "80"]


def test_columns_without_names_are_told_by_their_values() -> None:
    lines = [
        "2026-11-24 09:00:00|10.1.1.1|203.0.113.5|x|LOGIN",
        "2026-11-24 09:00:05|10.1.1.2|203.0.113.5|y|OUT",
    ]
    event = compiled(draft_product("x1", lines, now=NOW)).samples[1].expected
    assert (event["@timestamp"], event["source.ip"], event["destination.ip"]) == (
        "2026-11-24T02:00:05.000Z", "10.1.1.2", "203.0.113.5",
    )  # fmt: skip
    assert event["x1.column_5"] == "OUT"


def test_a_name_whose_values_disagree_stays_a_leftover() -> None:
    event = (
        compiled(draft_product("x1", ["srcport=high dport=99999 time=soon a=b"], now=NOW))
        .samples[0]
        .expected
    )
    assert (event["x1.srcport"], event["x1.dport"], event["x1.time"]) == ("high", "99999", "soon")
    assert not {"source.port", "destination.port"} & set(event)


@pytest.mark.parametrize("name", ["", "A", "a-b", "1a", "x" * 41, "../x"])
def test_a_name_that_no_product_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        draft_product(name, ["a=b c=d"], now=NOW)


def test_nothing_can_be_drafted_of_nothing() -> None:
    with pytest.raises(UsageError):
        draft_product("x1", ["", "  "], now=NOW)


def test_the_table_of_synonyms_names_fields_of_ecs_and_each_name_once() -> None:
    ecs = load_ecs()
    objects = {"source", "destination", "user", "user.target", "url"}
    odd = [target for target, _, _ in synonyms() if target not in ecs and target not in objects]
    assert odd == []
    unfolded = [n for _, _, names in synonyms() for n in names if n != folded(n)]
    assert unfolded == []
    assert {outcome for outcome, _ in words().values()} <= {"success", "failure"}


NAMES = st.sampled_from(
    ["src", "srcip", "dport", "user", "time", "date", "action", "msg", "url", "mac", "sha256", "x", "Event ID", "a.b"]
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ["10.0.0.1", "fe80::1", "443", "70000", "-", "", "an", "CITY\\an", "2026-11-24 09:00:00", "24/11/2026",
         "09:00:00", "1795486385", "31/02/2026 09:00:00", "0000-00-00 00:00:00", "https://a.vn/?q=1", "aa:bb:cc:dd:ee:ff",
         "DENY", "9" * 30, "-1", "null", "%00", "organization.id"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12),
)  # fmt: skip
ROWS = st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6), min_size=1, max_size=4)
STYLES = st.sampled_from(["kv", "json", "csv", "tsv", "pipe", "text"])
HEADS = st.sampled_from(
    ["", "<13>", "<134>Nov 24 09:00:00 gw1 app: ", "2026-11-24T09:00:00Z gw1 app[7]: "]
)


def written(style: str, row: dict[str, str]) -> str:
    if style == "kv":
        return " ".join(
            '{}="{}"'.format(n.replace(" ", "_"), v.replace('"', "'")) for n, v in row.items()
        )
    if style == "json":
        return json.dumps(row, ensure_ascii=False)
    if style == "text":
        return " ".join(row.values())
    return {"csv": ",", "tsv": "\t", "pipe": "|"}[style].join(row.values())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(style=STYLES, head=HEADS, rows=ROWS)
def test_whatever_the_lines_a_draft_reads_its_own_samples(
    style: str, head: str, rows: list[dict[str, str]]
) -> None:
    lines = [head + written(style, row).replace("\n", " ").replace("\r", " ") for row in rows]
    if not any(line.strip(" \t\r\n\0") for line in lines):
        return
    drafted = draft_product("x1", lines, now=NOW)
    product = compiled(drafted)
    for sample in product.samples:
        event = outcome(product, sample)
        assert event == dict(sample.expected)
        assert "_parse_failure" not in (event.get("tags") or [])
        assert faults(product, event) == []
    assert drafted.read == drafted.lines
