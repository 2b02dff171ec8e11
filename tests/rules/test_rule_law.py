"""Our own rules keep their law, and the law catches who breaks it."""

from __future__ import annotations

import re
import shutil
import tarfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipeline.detect.proof.evidence import evidence_path, read_evidence
from pipeline.detect.proof.law import attack_tactics, check, check_form
from pipeline.detect.proof.lock import read_lock, write_lock
from pipeline.detect.proof.references import read_opened
from pipeline.detect.rulebook.rules import RuleBook, load_rules
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.model.errors import UsageError
from pipeline.normalise.product import Product, load_products
from pipeline.rehearsal.stories import rule_ids
from pipeline.settings.places import config_dir, rules_dir

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
RULE = "nginx/web_shell.yml"


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load_rules([rules_dir()])


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy.load(config_dir() / "taxonomy")


@pytest.fixture(scope="module")
def products() -> dict[str, Product]:
    return load_products()


@pytest.fixture
def one_rule(tmp_path: Path) -> Path:
    """A folder of its own with one rule of ours and its evidence; the path of the rule."""
    rule = tmp_path / "nginx" / "web_shell.yml"
    rule.parent.mkdir()
    shutil.copy(rules_dir() / RULE, rule)
    shutil.copy(evidence_path(rules_dir() / RULE), evidence_path(rule))
    return rule


def _faults(rule: Path, taxonomy: Taxonomy, products: dict[str, Product]) -> list[str]:
    return [str(fault) for fault in check([rule.parents[1]], taxonomy, products, now=NOW)]


def _swap(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_every_rule_of_ours_keeps_the_law(taxonomy: Taxonomy, products: dict[str, Product]) -> None:
    assert [str(fault) for fault in check([rules_dir()], taxonomy, products, now=NOW)] == []


def test_there_are_twenty_five_rules_and_more_and_each_opens_a_ticket_or_is_a_base(
    book: RuleBook,
) -> None:
    assert len(book.rules) >= 25
    assert {r.level.value for r in book.rules} == {"informational", "low", "medium", "high"}
    assert len(book.correlations) >= 8
    assert {rule.status for rule in book.rules} <= {"test", "stable"}


def test_the_drill_names_the_rules_by_the_ids_that_they_have(book: RuleBook) -> None:
    named = {value for name, value in vars(rule_ids).items() if name.isupper()}
    held = {rule.id for rule in (*book.rules, *book.correlations)}
    assert held == named


def test_no_evidence_lies_about_without_its_rule() -> None:
    lonely = [
        path
        for path in rules_dir().rglob("*.evidence.yml")
        if not path.with_name(path.name.removesuffix(".evidence.yml") + ".yml").is_file()
    ]
    assert lonely == []


def test_a_rule_that_keeps_the_law_has_no_faults(
    one_rule: Path, taxonomy: Taxonomy, products: dict[str, Product]
) -> None:
    assert _faults(one_rule, taxonomy, products) == []


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("author: Tháp Canh", "author: X", "author"),
        ("date: 2026-11-24", "date: 2027-11-24", "future"),
        ("attack.t1505.003", "attack.t9999", "unknown"),
        ("  - attack.t1505.003\n", "", "missing"),
        ("https://attack", "ftp://attack", "address"),
        ("category: webserver", "category: nothing_sends_this", "no product of ours"),
        ("uploads?|", "never|", "is not found"),
        ("attack.persistence", "attack.impact", "serves none of the tactics"),
        (
            "  - attack.persistence",
            "  - attack.persistence\n  - attack.impact",
            "is served by none",
        ),
        ("date: 2026-11-24", "date: 2026-11-24\nmodified: 2027-01-01", "modified in the future"),
        ("          - 500", "          - 500\n          - 404", "is found"),
        ("level: high", "level: very", "level"),
    ],
)
def test_a_breach_of_the_law_is_named(
    one_rule: Path,
    taxonomy: Taxonomy,
    products: dict[str, Product],
    old: str,
    new: str,
    word: str,
) -> None:
    _swap(one_rule, old, new)
    assert any(word in fault for fault in _faults(one_rule, taxonomy, products))


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("rule: ", "rule: x", "of another rule"),
        ("product: nginx", "product: ngin", "unknown product"),
        ("    fires: false", "    fires: true", "is not found"),
        ("near_misses:", "near_miss:", "not as it must be"),
    ],
)
def test_evidence_that_does_not_hold_is_named(
    one_rule: Path,
    taxonomy: Taxonomy,
    products: dict[str, Product],
    old: str,
    new: str,
    word: str,
) -> None:
    _swap(evidence_path(one_rule), old, new)
    assert any(word in fault for fault in _faults(one_rule, taxonomy, products))


def test_a_rule_without_evidence_is_named(
    one_rule: Path, taxonomy: Taxonomy, products: dict[str, Product]
) -> None:
    evidence_path(one_rule).unlink()
    with pytest.raises(UsageError, match="without evidence"):
        read_evidence(evidence_path(one_rule))
    assert any("without evidence" in fault for fault in _faults(one_rule, taxonomy, products))


@pytest.fixture
def one_correlation(tmp_path: Path) -> Path:
    """A folder of its own with one correlation of ours, the rules that it counts, and all evidence."""
    for name in ("correlations/two_countries_on_vpn.yml", "fortinet_fortigate/vpn_tunnel_up.yml"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(rules_dir() / name, tmp_path / name)
        shutil.copy(evidence_path(rules_dir() / name), evidence_path(tmp_path / name))
    return tmp_path / "correlations" / "two_countries_on_vpn.yml"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("gte: 2", "gte: 3", "is not found"),
        ("timespan: 1h", "timespan: 3h", "is found"),
        ("- user", "- remip", "is not found"),
        ("fortigate_vpn_tunnel_up", "gone", "unknown rule"),
    ],
)
def test_a_correlation_that_is_not_as_its_evidence_says_is_named(
    one_correlation: Path,
    taxonomy: Taxonomy,
    products: dict[str, Product],
    old: str,
    new: str,
    word: str,
) -> None:
    assert _faults(one_correlation, taxonomy, products) == []
    _swap(one_correlation, old, new)
    assert any(word in fault for fault in _faults(one_correlation, taxonomy, products))


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("rule: ", "rule: x", "of another rule"),
        ("product: fortinet_fortigate", "product: ngin", "unknown product"),
        ("fires: false", "fires: true", "is not found"),
        ("near_misses:", "near_miss:", "not as it must be"),
    ],
)
def test_evidence_of_a_correlation_that_does_not_hold_is_named(
    one_correlation: Path,
    taxonomy: Taxonomy,
    products: dict[str, Product],
    old: str,
    new: str,
    word: str,
) -> None:
    _swap(evidence_path(one_correlation), old, new)
    assert any(word in fault for fault in _faults(one_correlation, taxonomy, products))


def test_a_correlation_without_evidence_is_named(
    one_correlation: Path, taxonomy: Taxonomy, products: dict[str, Product]
) -> None:
    evidence_path(one_correlation).unlink()
    assert any("without evidence" in f for f in _faults(one_correlation, taxonomy, products))


def test_two_rules_of_one_id_are_named(
    one_rule: Path, taxonomy: Taxonomy, products: dict[str, Product]
) -> None:
    twin = one_rule.with_name("twin.yml")
    shutil.copy(one_rule, twin)
    shutil.copy(evidence_path(one_rule), evidence_path(twin))
    assert any(
        "web_shell.yml" in f and "twin.yml" in f for f in _faults(one_rule, taxonomy, products)
    )


def test_the_form_alone_can_be_checked_without_products(book: RuleBook) -> None:
    faults = [
        f
        for rule in book.rules
        for f in check_form(rule, attack_tactics(), today=date(2026, 11, 25))
    ]
    assert faults == []


def test_the_shipped_set_has_a_lock(book: RuleBook) -> None:
    lock = read_lock(rules_dir())
    assert lock is not None
    held = {rule.id for rule in (*book.rules, *book.correlations, *book.filters)}
    assert {rule for rule, locked in lock.items() if not locked.gone} == held


def test_a_changed_rule_breaks_the_law_until_it_has_its_next_version(
    one_rule: Path, taxonomy: Taxonomy, products: dict[str, Product]
) -> None:
    folder = one_rule.parents[1]
    assert write_lock(folder) == ["nginx/web_shell.yml: version 1"]
    assert (write_lock(folder), _faults(one_rule, taxonomy, products)) == ([], [])
    _swap(one_rule, "level: high", "level: medium")
    (fault,) = _faults(one_rule, taxonomy, products)
    assert "a changed rule without a new version" in fault
    assert write_lock(folder) == ["nginx/web_shell.yml: version 2"]
    assert _faults(one_rule, taxonomy, products) == []


def test_a_rule_that_is_new_moved_or_gone_breaks_the_law_until_the_lock_says_so(
    one_rule: Path, taxonomy: Taxonomy, products: dict[str, Product]
) -> None:
    folder = one_rule.parents[1]
    write_lock(folder)
    moved = one_rule.with_name("shell.yml")
    one_rule.rename(moved)
    evidence_path(one_rule).rename(evidence_path(moved))
    assert "moved from nginx/web_shell.yml" in _faults(moved, taxonomy, products)[0]
    assert write_lock(folder) == ["nginx/shell.yml: version 1, moved"]
    text = moved.read_text("utf-8")
    moved.unlink()
    evidence = evidence_path(moved).read_text("utf-8")
    evidence_path(moved).unlink()
    assert "a locked rule is gone" in _faults(moved, taxonomy, products)[0]
    assert write_lock(folder) == ["nginx/shell.yml: gone"]
    assert _faults(moved, taxonomy, products) == []
    moved.write_text(text, "utf-8")
    evidence_path(moved).write_text(evidence, "utf-8")
    assert "the id is that of a rule that is gone" in _faults(moved, taxonomy, products)[0]
    assert write_lock(folder) == ["nginx/shell.yml: version 2"]


def test_a_rule_without_a_version_is_named_and_a_broken_lock_too(
    one_rule: Path, taxonomy: Taxonomy, products: dict[str, Product]
) -> None:
    folder = one_rule.parents[1]
    (folder / "lock.json").write_text("{}", "utf-8")
    assert "a new rule without a version" in _faults(one_rule, taxonomy, products)[0]
    (folder / "lock.json").write_text("{", "utf-8")
    with pytest.raises(UsageError, match="cannot be read"):
        read_lock(folder)


def test_the_table_of_techniques_is_whole() -> None:
    table = attack_tactics()
    assert all(tactics for tactics in table.values())
    assert {technique.partition(".")[0] for technique in table} <= set(table)
    assert not {"t1562", "t1070.001"} & set(table)  # version 19 moved both to t1685


def test_every_attack_tag_of_sigmahq_is_known(shared: Path) -> None:
    tag = re.compile(
        rb"^ +- attack\.(?!(?:g|s|ds)\d{4}\s)(\S+)", re.MULTILINE
    )  # not groups, software
    known = set(attack_tactics()).union(*attack_tactics().values())
    with tarfile.open(shared / "corpora" / "sigma-rules.tar.xz") as archive:
        files = [archive.extractfile(member) for member in archive if member.name.endswith(".yml")]
        named = {found.decode() for file in files if file for found in tag.findall(file.read())}
    assert len(named) > 300
    assert named <= known


def test_a_reference_that_is_not_in_the_book_breaks_the_law(
    one_rule: Path, taxonomy: Taxonomy, products: dict[str, Product]
) -> None:
    folder = one_rule.parents[1]
    (rule,) = load_rules([one_rule]).rules
    lines = [f"{address}\t2026-11-24\tthe page" for address in rule.references]
    book = folder / "references.tsv"
    book.write_text("# where and when\n" + "\n".join(lines[1:]), "utf-8")
    (fault,) = check([folder], taxonomy, products, now=NOW)
    assert "a reference that nobody has opened" in str(fault)
    assert rule.references[0] in str(fault)
    book.write_text("\n".join(lines), "utf-8")
    assert check([folder], taxonomy, products, now=NOW) == []
    book.write_text("\n".join(lines).replace("2026-11-24", "2031-01-01"), "utf-8")
    assert len(check([folder], taxonomy, products, now=NOW)) == len(lines)
    book.write_text("https://example.org 2026-11-24", "utf-8")
    with pytest.raises(UsageError, match=r"references.tsv:1.*parted by tabs"):
        check([folder], taxonomy, products, now=NOW)


def test_the_shipped_set_has_its_book_of_references(book: RuleBook) -> None:
    opened = read_opened(rules_dir())
    assert opened is not None
    named = {r for rule in (*book.rules, *book.correlations) for r in rule.references}
    assert set(opened) == named
