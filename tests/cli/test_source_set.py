"""``source set``: a source that was registered wrongly is mended, and what it could not read comes again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli_words import EVENT
from support.people import AUDITOR, officer
from support.terminal import Terminal

from pipeline.access.log import recent
from pipeline.model.clock import utc_now
from pipeline.model.errors import ForbiddenError, NotFoundError
from pipeline.model.scope import OPERATOR
from pipeline.serve.installation import open_home
from pipeline.sources.register import set_source


@pytest.fixture
def wrong(terminal: Terminal) -> Terminal:
    assert terminal.say("agency add p1 --name 'Phường Một'").code == 0
    assert terminal.say("agency add p2 --name 'Phường Hai'").code == 0
    assert terminal.say("source add p1-win --agency p1 --product nginx").code == 0
    return terminal


def test_a_mended_product_and_a_replay_make_the_letters_events(
    wrong: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text(json.dumps(EVENT) + "\n", "utf-8")
    assert wrong.say("ingest --source p1-win", tmp_path / "log").code == 0
    done = wrong.say("source set p1-win --product windows")
    assert (done.code, done.err) == (
        0,
        "thapcanh: 1 of its dead letters are open: thapcanh deadletter replay --source p1-win\n",
    )
    assert wrong.say("deadletter replay --source p1-win --json").json["stored"] == 1
    assert wrong.say("source show p1-win --json").json["product"] == "windows"


def test_what_changed_is_told_and_stands_in_the_access_log(wrong: Terminal) -> None:
    line = (
        "source set p1-win --timezone UTC --encoding cp1258 --name 'Máy chủ' --state paused --json"
    )
    assert wrong.say(line).json == {
        "source": "p1-win",
        "changed": {
            "timezone": {"was": "", "is": "UTC"},
            "encoding": {"was": "", "is": "cp1258"},
            "name": {"was": "p1-win", "is": "Máy chủ"},
            "state": {"was": "published", "is": "paused"},
        },
        "letters": 0,
    }
    assert wrong.say("source set p1-win --timezone '' --json").json["changed"] == {
        "timezone": {"was": "UTC", "is": ""}
    }
    assert wrong.say("source set p1-win --state paused --json").json["changed"] == {}
    here = open_home(wrong.home)
    found = [e.detail for e in recent(here.state, OPERATOR) if e.what == "source_changed"]
    here.close()
    assert found == [
        "p1-win: timezone UTC → -",
        "p1-win: timezone - → UTC; encoding - → cp1258; name p1-win → Máy chủ; state published → paused",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("p1-win", 2, "nothing to change was given"),
        ("p1-win --product windos", 2, "did you mean windows?"),
        ("p1-win --timezone Asia/Hanoi", 2, "no such time zone"),
        ("p1-win --encoding utf-9", 2, "no such encoding"),
        ("p1-win --state gone", 2, "expected draft, published, paused, retired"),
        ("p1-win --name ' '", 2, "a source has a name"),
        ("p9-win --product windows", 1, "no such source"),
    ],
)
def test_what_cannot_be_is_said(wrong: Terminal, words: str, code: int, said: str) -> None:
    done = wrong.say(f"source set {words}")
    assert (done.code, said in done.err) == (code, True), done.err


def test_only_who_may_write_the_agency_s_sources_can_set_one(wrong: Terminal) -> None:
    here = open_home(wrong.home)
    try:
        for actor, error in ((AUDITOR, ForbiddenError), (officer("binh", "p2"), NotFoundError)):
            with pytest.raises(error):
                set_source(
                    here.state, actor, "p1-win", known_products={"windows"}, product="windows",
                    now=utc_now(),
                )  # fmt: skip
    finally:
        here.close()
