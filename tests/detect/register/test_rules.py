"""The rule register: imports with a diff, switches that stay, faults that refuse one file alone."""

from __future__ import annotations

import tarfile
import zipfile
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
import zstandard
from support.detecting import ColumnStore, event
from support.people import AUDITOR, analyst

from pipeline.detect.register.rules import (
    Diff,
    active_texts,
    import_rules,
    list_rules,
    show_rule,
    switch,
    version,
)
from pipeline.detect.running.active import ActiveRules
from pipeline.detect.running.runs import run_once
from pipeline.model.clock import EPOCH
from pipeline.model.errors import ForbiddenError, NotFoundError, RefusedError, UsageError
from pipeline.model.scope import OPERATOR
from pipeline.state.state import State
from pipeline.state.tables.detection import FindingRow

NOW = EPOCH + timedelta(days=1)
A, B, C = (f"{n}0000000-0000-4000-8000-000000000000" for n in "abc")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    (folder / "win").mkdir(parents=True)
    write(folder / "win" / "a.yml", A, "whoami")
    write(folder / "b.yml", B, "net")
    return folder


def write(path: Path, rule: str, word: str) -> None:
    path.write_text(
        f"""title: Rule about {word}
id: {rule}
status: test
level: high
description: Sees {word}.
author: An
date: 2026-01-01
logsource:
    category: process_creation
    product: windows
detection:
    selection:
        CommandLine|contains: {word}
    condition: selection
""",
        "utf-8",
    )


def take(state: State, *paths: Path, origin: str = "ours", preview: bool = False) -> Diff:
    """What an import did, but for the titles, which have a test of their own."""
    diff = import_rules(state, OPERATOR, paths, origin=origin, now=NOW, preview=preview)
    return msgspec.structs.replace(diff, titles={})


def test_an_update_is_told_rule_by_rule_with_titles(state: State, rules: Path) -> None:
    take(state, rules)
    switch(state, analyst(), B, on=False, reason="ồn", now=NOW)
    write(rules / "b.yml", B, "net1")
    write(rules / "c.yml", C, "nltest")
    (rules / "win" / "a.yml").unlink()
    diff = import_rules(state, OPERATOR, [rules], origin="ours", now=NOW, preview=True)
    assert list(diff.lines()) == [
        f"+ Rule about nltest  {C}",
        f"~ Rule about net1  {B}  (switched off, and stays off)",
        f"- Rule about whoami  {A}",
    ]


def test_an_import_tells_what_was_added_changed_removed_and_left(state: State, rules: Path) -> None:
    assert take(state, rules) == Diff(added=(A, B))
    assert take(state, rules) == Diff(unchanged=2)
    write(rules / "b.yml", B, "net1")
    write(rules / "c.yml", C, "nltest")
    (rules / "win" / "a.yml").unlink()
    assert take(state, rules) == Diff(added=(C,), changed=(B,), removed=(A,))
    assert [(r.id, r.path) for r in list_rules(state, AUDITOR)] == [(B, "b.yml"), (C, "c.yml")]
    shown = show_rule(state, AUDITOR, A)
    assert shown["retired"] == NOW
    assert [c["what"] for c in shown["changes"]] == ["added", "removed"]
    assert len(show_rule(state, AUDITOR, B)["revisions"]) == 2
    write(rules / "win" / "a.yml", A, "whoami")
    assert take(state, rules) == Diff(added=(A,), unchanged=2)


def test_a_preview_tells_the_same_and_changes_nothing(state: State, rules: Path) -> None:
    before = version(state)
    assert take(state, rules, preview=True) == Diff(added=(A, B))
    assert list_rules(state, AUDITOR) == []
    assert version(state) == before


def test_what_was_switched_off_stays_off_over_an_import_that_changes_it(
    state: State, rules: Path
) -> None:
    take(state, rules)
    switch(state, analyst(), A, on=False, reason="quá ồn", now=NOW)
    write(rules / "win" / "a.yml", A, "whoami /all")
    assert take(state, rules) == Diff(changed=(A,), unchanged=1, kept_off=(A,))
    lines = {line.id: line for line in list_rules(state, AUDITOR)}
    assert (lines[A].standing, lines[A].off_reason, lines[B].standing) == ("off", "quá ồn", "runs")
    assert [path for path, _ in active_texts(state, "main")] == ["b.yml"]
    switch(state, analyst(), A, on=True, now=NOW)
    assert [path for path, _ in active_texts(state, "main")] == ["b.yml", "win/a.yml"]
    assert [c["what"] for c in show_rule(state, AUDITOR, A)["changes"]] == [
        "added", "off", "changed", "on",
    ]  # fmt: skip


def test_a_broken_file_is_refused_by_name_and_keeps_the_rule_that_came_from_it(
    state: State, rules: Path
) -> None:
    take(state, rules)
    (rules / "b.yml").write_text("title: x\ntitle: y\n", "utf-8")
    (rules / "d.yml").write_bytes(b"\xff\xfe")
    write(rules / "c.yml", C, "nltest")
    diff = take(state, rules)
    assert (diff.added, diff.changed, diff.removed) == ((C,), (), ())
    refusal = diff.refusal()
    assert isinstance(refusal, RefusedError)
    assert "b.yml" in str(refusal)
    assert "d.yml" in str(refusal)
    assert {line.id for line in list_rules(state, AUDITOR)} == {A, B, C}


@pytest.mark.parametrize("kind", ["tar.xz", "tar.gz", "tar.bz2", "tar.zst", "tar", "zip"])
def test_an_archive_is_the_same_set_as_its_folder(
    state: State, rules: Path, tmp_path: Path, kind: str
) -> None:
    archive = tmp_path / f"rules.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in rules.rglob("*.yml"):
                file.write(path, path.relative_to(rules))
    else:
        mode = "w:" if kind == "tar.zst" else f"w:{kind[4:]}"
        with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
            for path in rules.rglob("*.yml"):
                tar.add(path, path.relative_to(rules))
        if kind == "tar.zst":
            archive.write_bytes(zstandard.compress(archive.read_bytes()))
    take(state, archive)
    assert take(state, rules) == Diff(unchanged=2)


def test_a_broken_or_missing_source_retires_nothing(
    state: State, rules: Path, tmp_path: Path
) -> None:
    take(state, rules)
    broken = tmp_path / "broken.tar.xz"
    broken.write_bytes(b"not an archive")
    for path in (broken, tmp_path / "nowhere"):
        diff = take(state, path)
        assert diff.removed == ()
        assert path.name in str(diff.refusal())
    assert len(list_rules(state, AUDITOR)) == 2


def test_a_rule_id_belongs_to_one_origin(state: State, rules: Path, tmp_path: Path) -> None:
    take(state, rules)
    other = tmp_path / "other"
    other.mkdir()
    write(other / "mine.yml", A, "stolen")
    diff = take(state, other, origin="theirs")
    assert diff.added == ()
    assert "belongs to the rules of 'ours'" in str(diff.refusal())
    assert show_rule(state, AUDITOR, A)["title"] == "Rule about whoami"


def test_every_change_moves_the_version_that_workers_watch(state: State, rules: Path) -> None:
    seen = [version(state)]
    take(state, rules)
    seen.append(version(state))
    take(state, rules)
    assert version(state) == seen[-1]
    switch(state, OPERATOR, A, on=False, reason="x", now=NOW)
    seen.append(version(state))
    assert seen == sorted(set(seen))


def test_a_filter_of_another_origin_is_part_of_the_revision_that_runs_and_no_change_of_the_rule(
    state: State, rules: Path, tmp_path: Path
) -> None:
    take(state, rules)
    plain = {line.id: line.revision for line in list_rules(state, AUDITOR)}
    filters = tmp_path / "filters"
    filters.mkdir()
    (filters / "f.yml").write_text(
        f"""title: Not the build server
id: {C}
logsource: {{category: process_creation, product: windows}}
filter:
    rules: [{A}]
    build:
        User: build
    condition: not build
""",
        "utf-8",
    )
    assert take(state, filters, origin="filters").added == (C,)
    active = ActiveRules(state)
    facts = active("main").facts
    assert facts[A].revision != plain[A]
    assert facts[B].revision == plain[B]
    assert show_rule(state, AUDITOR, A)["revision"] == facts[A].revision
    assert take(state, rules) == Diff(unchanged=2)
    switch(state, OPERATOR, C, on=False, reason="thôi", now=NOW)
    assert active("main").facts[A].revision == plain[A]


def test_the_active_set_is_made_anew_only_when_the_register_changed(
    state: State, rules: Path, tmp_path: Path
) -> None:
    take(state, rules)
    active = ActiveRules(state, tmp_path / "cache")
    first = active("main")
    assert active("main") is first
    switch(state, OPERATOR, A, on=False, reason="x", now=NOW)
    assert set(active("main").facts) == {B}
    assert active("main").ruleset != first.ruleset


def test_real_rules_over_real_columns_become_a_finding_with_its_matched_fields(
    state: State, rules: Path
) -> None:
    take(state, rules)
    row = event(1, process="whoami.exe")
    row |= {
        "event.code": "1",
        "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
        "winlog.computer_name": "pc-1",
        "winlog.event_data.CommandLine": "WHOAMI /all",
    }
    store = ColumnStore([row])
    result = run_once(state, store, ActiveRules(state)("main"), holder="w", clock=lambda: NOW)  # type: ignore[arg-type]
    assert result is not None
    assert (result.status, result.error) == ("done", "")
    with state.read() as session:
        (finding,) = session.scalars(sa.select(FindingRow))
    assert (finding.rule, finding.entity, finding.title) == (A, "pc-1", "Rule about whoami")
    assert finding.samples[0]["fields"] == {"winlog.event_data.CommandLine": "WHOAMI /all"}


def test_only_who_may_write_rules_changes_them_and_off_needs_a_reason(
    state: State, rules: Path
) -> None:
    with pytest.raises(ForbiddenError):
        import_rules(state, AUDITOR, [rules], origin="ours", now=NOW)
    take(state, rules)
    with pytest.raises(ForbiddenError):
        switch(state, AUDITOR, A, on=False, reason="x", now=NOW)
    with pytest.raises(UsageError, match="reason"):
        switch(state, OPERATOR, A, on=False, now=NOW)
    with pytest.raises(NotFoundError):
        switch(state, OPERATOR, C, on=True, now=NOW)
    with pytest.raises(UsageError, match="the program's own"):
        take(state, rules, origin="shipped")
