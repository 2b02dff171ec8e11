"""Which rules and techniques a source would light, and which of them are new to its agency."""

from __future__ import annotations

import pytest

from pipeline.detect.reads.standing import Judged
from pipeline.detect.rulebook.feeding import judge
from pipeline.detect.rulebook.rules import rules_from_texts
from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.normalise.product import load_products
from pipeline.settings.places import config_dir
from pipeline.sources.onboarding.feeds import Technique, feeds

RULE = """title: {title}
id: {number:08d}-0000-4000-8000-000000000000
logsource: {{{source}}}
tags: [{tags}]
detection:
    s: {{{field}: x}}
    condition: s
"""
WEB, SSH, OTHER, ERROR = (f"{n:08d}-0000-4000-8000-000000000000" for n in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def judged() -> Judged:
    given = (
        ("category: webserver", "cs-method", "attack.initial-access, attack.t1190"),
        ("product: linux, service: sshd", "User", "attack.t1110.001, attack.credential-access"),
        ("category: webserver", "cs-uri-query", "attack.t1505.003, attack.t1190"),
    )
    texts = [
        ("x.yml", RULE.format(title=f"r{n}", number=n, source=source, field=field, tags=tags))
        for n, (source, field, tags) in enumerate(given, 1)
    ]
    book = rules_from_texts(texts)
    assert book.faults == ()
    taxonomy = Taxonomy.load(config_dir() / "taxonomy")
    return Judged(book, judge(book.rules, taxonomy, load_products()))


def test_what_a_first_web_server_lights(judged: Judged) -> None:
    made = feeds(judged, {WEB, SSH, OTHER}, "nginx", {"nginx.access"}, ())
    assert (made.sampled, made.fed, made.new) == ((WEB, OTHER), (WEB, OTHER), (WEB, OTHER))
    assert made.techniques == (
        Technique("T1190", ("initial-access",), 2, True),
        Technique("T1505.003", ("persistence",), 1, True),
    )
    assert list(made.by_tactic) == ["initial-access", "persistence"]


def test_a_second_one_brings_nothing_new(judged: Judged) -> None:
    made = feeds(judged, {WEB, SSH, OTHER}, "apache", {"apache.access"}, {"nginx"})
    assert (made.fed, made.new, made.new_techniques) == ((WEB, OTHER), (), 0)


def test_lines_of_another_kind_feed_nothing_by_themselves(judged: Judged) -> None:
    made = feeds(judged, {WEB, OTHER}, "nginx", {"nginx.error"}, ())
    assert (made.sampled, made.fed) == ((), (WEB, OTHER))


def test_a_rule_that_is_switched_off_is_fed_by_nobody(judged: Judged) -> None:
    assert feeds(judged, {SSH}, "nginx", {"nginx.access"}, ()).fed == ()
