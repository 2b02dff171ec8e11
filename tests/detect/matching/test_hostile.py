"""Rules and events made to hurt: what cannot be borne is refused by name at load, the rest is right and bounded."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from support.differential import disagreements

from pipeline.detect.matching import matcher as matcher_module
from pipeline.detect.matching import scan
from pipeline.detect.matching.compile import Compiled, compile_rules
from pipeline.detect.matching.matcher import NEW_KEYS
from pipeline.detect.matching.plan import MAX_KEYS, Plan
from pipeline.detect.rulebook.rules import RuleBook, rules_from_texts
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model import events
from pipeline.settings.places import config_dir

DATASET = "windows.sysmon"
DATA = "winlog.event_data."


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy.load(config_dir() / "taxonomy")


def book_of(*detections: str) -> RuleBook:
    return rules_from_texts(
        (
            f"made{number}.yml",
            f"title: made {number}\nid: 00000000-0000-4000-8000-{number:012d}\nlevel: low\nstatus: test\n"
            "logsource: {product: windows, category: process_creation}\ndetection:\n"
            + "".join(f"  {line}\n" for line in detection.splitlines()),
        )
        for number, detection in enumerate(detections, 1)
    )


def compiled_of(taxonomy: Taxonomy, *detections: str) -> Compiled:
    book = book_of(*detections)
    assert book.faults == ()
    return compile_rules(book.rules, taxonomy)


def process(**fields: Any) -> dict[str, Any]:
    row = {"winlog.channel": "Microsoft-Windows-Sysmon/Operational", "event.code": "1"}
    return row | {DATA + name: value for name, value in fields.items()}


def table_of(*rows: dict[str, Any]) -> pa.Table:
    names = sorted({name for row in rows for name in row})
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def firing(compiled: Compiled, *rows: dict[str, Any]) -> list[int]:
    table = table_of(*rows)
    assert disagreements(compiled, DATASET, table) == []
    found: list[int] = compiled.match(DATASET, table)[0].tolist()
    return found


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("'(?=a)b'", "RE2 cannot take"),
        (r"'(a)\1'", "RE2 cannot take"),
        ("'((x{1000}){1000}){10}'", "RE2 cannot take"),
        ("'" + "(" * 2_000 + "a" + ")" * 2_000 + "'", "nested too deep"),
        ("'" + "a" * 30_000 + "'", "too long"),
    ],
)
def test_a_regular_expression_that_cannot_be_borne_is_refused_by_name(
    value: str, reason: str
) -> None:
    book = book_of(f"s: {{Image|re: {value}}}\ncondition: s", "s: {Image: a}\ncondition: s")
    assert [rule.title for rule in book.rules] == ["made 2"]
    assert reason in str(book.faults[0])
    assert "made1.yml" in str(book.faults[0])


def test_a_value_of_ten_thousand_wildcards_is_refused_by_name() -> None:
    book = book_of(f"s: {{Image: '{'a*' * 100_000}b'}}\ncondition: s")
    assert book.rules == ()
    assert "made1.yml" in str(book.faults[0])


def test_a_detection_nested_too_deep_is_refused_by_name() -> None:
    deep = "[" * 3_000 + "a" + "]" * 3_000
    book = book_of(
        f"s: {deep}\ncondition: s",
        f"s: {{Image: a}}\ncondition: {'(' * 3_000}s{')' * 3_000}",
        "s: {Image: a}\ncondition: s",
    )
    assert [rule.title for rule in book.rules] == ["made 3"]
    assert [fault.where.split(":")[0] for fault in book.faults] == ["made1.yml", "made2.yml"]


def test_an_expression_that_python_would_hang_on_is_answered(taxonomy: Taxonomy) -> None:
    compiled = compiled_of(taxonomy, "s: {CommandLine|re: '(a+)+x$'}\ncondition: s")
    assert firing(compiled, process(CommandLine="a" * 200_000), process(CommandLine="aax")) == [1]


def test_a_rule_of_ten_thousand_selections_runs(taxonomy: Taxonomy) -> None:
    many = "\n".join(f"s{n}: {{User|contains: 'name{n:05d}x'}}" for n in range(10_000))
    compiled = compiled_of(
        taxonomy, f"{many}\ncondition: 1 of s*", f"{many}\ncondition: not 1 of s*"
    )
    rows = (process(User="a name09999x"), process(User="name"), process())
    assert firing(compiled, *rows) == [0, 1, 2]


def test_a_list_of_a_hundred_thousand_values_runs(taxonomy: Taxonomy) -> None:
    values = ", ".join(f"h{n:06x}" for n in range(100_000))
    compiled = compiled_of(taxonomy, f"s:\n  User: [{values}]\ncondition: s")
    assert firing(compiled, process(User="H0000FF"), process(User="h0000fg")) == [0]


def test_a_condition_at_the_deepest_that_is_allowed_runs(taxonomy: Taxonomy) -> None:
    inner = "s"
    for number in range(45):
        inner = f"not ({inner} or t{number})"
    more = "\n".join(f"t{n}: {{User: 'u{n}'}}" for n in range(45))
    compiled = compiled_of(taxonomy, f"s: {{Image: a}}\n{more}\ncondition: {inner}")
    firing(compiled, *(process(User=f"u{n}") for n in range(45)), process(Image="a"))


def test_megabytes_in_one_value_are_searched(
    taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "CHUNK", 1 << 16)
    compiled = compiled_of(
        taxonomy, "s: {CommandLine|endswith: whoami}\ncondition: s", "s: {CommandLine|contains: '../../..'}\ncondition: s",
        "k: ['../etc/shadow']\ncondition: k",
    )  # fmt: skip
    rows = (
        process(CommandLine="x" * (1 << 20) + "WHOAMI"),
        process(CommandLine="../" * 350_000) | {events.ORIGINAL: "../" * 350_000},
        process(CommandLine="y" * (1 << 20)) | {events.ORIGINAL: "a" * (1 << 20) + "../ETC/shadow"},
    )
    assert firing(compiled, *rows) == [0, 1, 2]


def test_a_hundred_thousand_event_ids_make_no_new_plans(taxonomy: Taxonomy) -> None:
    compiled = compiled_of(taxonomy, "s: {User: root}\ncondition: s")
    rows = [process(User="root") | {"event.code": str(n)} for n in range(100_000)]
    assert compiled.match(DATASET, table_of(*rows))[0].tolist() == [1]
    assert len(plan_of(compiled)._lives) == 2


def test_event_ids_that_rules_name_make_a_bounded_number_of_plans(taxonomy: Taxonomy) -> None:
    named = ", ".join(str(n) for n in range(2_000))
    compiled = compiled_of(
        taxonomy,
        f"s: {{User: root}}\nt:\n  EventID: [{named}]\ncondition: s and t",
        "s: {EventID: 1}\ncondition: s",
    )
    rows = [process(User="root") | {"event.code": str(n)} for n in range(2_000)]
    table = table_of(*rows)
    for _ in range(8):
        found = compiled.match(DATASET, table)
        assert [each.tolist() for each in found] == [[1, 1], [0, 1]]
        assert len(plan_of(compiled)._lives) <= MAX_KEYS + NEW_KEYS


def test_a_channel_that_is_several_texts_hides_nothing(taxonomy: Taxonomy) -> None:
    compiled = compiled_of(
        taxonomy, "s: {User: root}\ncondition: s", "s: {EventID: 1}\ncondition: s"
    )
    rows = [process(User="root") | {"event.code": code} for code in (["9", "1"], ["1"], [], None)]
    assert firing(compiled, *rows) == [0, 0, 1, 1]
    assert firing(compiled, process(User="root") | {"event.code": "1\u0301"}) == []


def test_nul_and_odd_letters_hide_nothing(taxonomy: Taxonomy) -> None:
    compiled = compiled_of(
        taxonomy, "s: {User|contains: mimikatz}\ncondition: s", "k: [mimikatz]\ncondition: k"
    )
    rows = [
        process(User="a\0MIMIKATZ"), process(User="mimi\u212aatz"), process(User="M\u0130M\u0130katz\u0301"),
        process() | {events.ORIGINAL: "a\0mimi\u212aatz"}, process() | {events.ORIGINAL: '{"a": "m\\u0130mikat\\u007a"}'},
        process() | {events.ORIGINAL: "<a>m&#x69;mikatz</a>"}, process(User="mimi\0katz"),
    ]  # fmt: skip
    assert firing(compiled, *rows) == [0, 1, 2, 3, 4, 5]


def test_a_rule_with_half_a_character_is_refused_by_name() -> None:
    book = book_of('s: {Image: "a\\ud800b"}\ncondition: s')
    assert book.rules == ()
    assert "made1.yml" in str(book.faults[0])


def test_one_field_may_be_text_number_and_list_from_table_to_table(taxonomy: Taxonomy) -> None:
    compiled = compiled_of(
        taxonomy, "s: {ProcessId: 443}\ncondition: s", "s: {ProcessId|gte: 443}\ncondition: s"
    )
    for values in (
        ["443", "x"],
        [443, 442],
        [443.0, 0.5],
        [["a", "443"], []],
        [None, None],
        [True, False],
    ):
        firing(compiled, *(process(ProcessId=value) for value in values))
    encoded = pa.array(["443", "442", "443"]).dictionary_encode()
    twice = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2, None]), pa.array(["443", "443", None])
    )
    for column in (encoded, twice):
        rows = table_of(*[process()] * len(column)).append_column(DATA + "ProcessId", column)
        assert disagreements(compiled, DATASET, rows) == []


def test_cutting_a_table_in_parts_changes_nothing(
    taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    detections = [f"s: {{User|contains: [common, rare{n}]}}\ncondition: s" for n in range(40)]
    rows = [process(User=f"a common name {n}" if n % 3 else f"rare{n}") for n in range(200)]
    whole = compiled_of(taxonomy, *detections).match(DATASET, table_of(*rows))
    for name, value in (("MAX_PAIRS", 500), ("MAX_ROWS", 7), ("MAX_BYTES", 2_000)):
        with monkeypatch.context() as patch:
            patch.setattr(matcher_module, name, value)
            parts = compiled_of(taxonomy, *detections).match(DATASET, table_of(*rows))
        assert [each.tolist() for each in parts] == [each.tolist() for each in whole]


def plan_of(compiled: Compiled) -> Plan:
    return compiled._matcher(DATASET)._plan


def test_events_that_crowd_every_rule_do_not_make_plans_without_end(
    taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = Plan.choose
    monkeypatch.setattr(
        Plan, "choose", lambda plan, *given: (made.append(1), real(plan, *given))[1]
    )
    monkeypatch.setattr(matcher_module, "_SAMPLE", 8)
    compiled = compiled_of(
        taxonomy,
        *(f"s: {{User|contains|all: [word{n}, other{n}]}}\ncondition: s" for n in range(20)),
    )
    quiet = table_of(*(process(User="nothing") for _ in range(16)))
    loud = [" ".join(f"{way}{n}" for n in range(20)) for way in ("word", "other", "word")]
    for turn in range(200):
        text = loud[turn // 4 % 3]
        compiled.match(
            DATASET, quiet if turn % 5 else table_of(*(process(User=text) for _ in range(16)))
        )
    assert 1 < len(made) < 10
