"""Bad input at the command: a clear line with the place and the remedy, and nothing that was accepted lost."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.cli_words import EVENT, RULE
from support.serving import free_port
from support.terminal import Terminal

from collectors.spool import Draft, SpoolWriter
from pipeline.model import events
from pipeline.model.clock import to_micros, utc_now
from pipeline.model.detections import Window
from pipeline.model.scope import Scope
from pipeline.normalise.product import load_products
from pipeline.serve.ingest import settle_node
from pipeline.serve.installation import open_home
from pipeline.state.state import State

TWICE = RULE.replace(b"  condition", b"  selection: {Image|endswith: '\\\\b.exe'}\n  condition")


class Home:
    def __init__(self, terminal: Terminal) -> None:
        self.path, self._terminal = terminal.home, terminal

    def say(self, *words: str | Path, code: int = 0) -> tuple[str, str]:
        """Standard output and error of a command that ends with `code`, and never with a traceback."""
        done = self._terminal.say("", *words, masked=False)
        assert (done.code, "Traceback" in done.err) == (code, False), done.err
        return done.out, done.err

    def answer(self, *words: str | Path) -> Any:
        return json.loads(self.say(*words, "--json")[0])

    def stored(self) -> list[dict[str, Any]]:
        """Every event in the order of commits, with its text, bytes, tags and error."""
        here = open_home(self.path)
        try:
            window = Window({node: (0, last) for node, last in here.store.watermark().items()})
            names = (events.ORIGINAL, events.ORIGINAL_BYTES, events.TAGS, events.ERROR)
            return [
                {name: row.get(name) for name in names}
                for _, table in here.store.scan(window, scope=Scope.everything())
                for row in table.to_pylist()
            ]
        finally:
            here.close()


@pytest.fixture
def bare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Home:
    """A folder with nothing in it."""
    made = Home(Terminal(tmp_path / "home", capsys, monkeypatch))
    made.path.mkdir()
    return made


@pytest.fixture
def home(bare: Home) -> Home:
    """With an agency and two sources, `win` of Windows and `any` of anything, on ports of its own."""
    made = bare
    (made.path / "thapcanh.yml").write_text(
        f"collect:\n  listeners:\n    - {{name: http, kind: http_bulk, port: {free_port()}}}\n"
        f"console: {{port: {free_port()}}}\nserve: {{health_port: {free_port()}}}\n"
    )
    made.say("agency", "add", "p1", "--name", "Phường Một")
    made.answer("source", "add", "win", "--agency", "p1", "--product", "windows")
    made.answer("source", "add", "any", "--agency", "p1", "--product", "generic")
    return made


def test_a_broken_line_is_an_event_and_is_told_with_its_place_and_reason(
    home: Home, tmp_path: Path
) -> None:
    log = tmp_path / "win.json"
    log.write_text(f'{json.dumps(EVENT)}\n{{"EventID":1,\n{json.dumps(EVENT)}\n')
    _, said = home.say("ingest", log, "--source", "win")
    for part in (
        "1 records could not be parsed",
        f"{log}, record 2: ",
        "not JSON",
        "_parse_failure",
        "product",
    ):
        assert part in said
    found = home.stored()
    assert sorted(one[events.ORIGINAL] for one in found) == sorted(log.read_text().splitlines())
    assert [one[events.ORIGINAL] for one in found if one[events.TAGS] == ["_parse_failure"]] == [
        '{"EventID":1,'
    ]


def test_a_line_of_more_than_a_megabyte_a_nul_and_no_utf8_come_through_a_file_byte_for_byte(
    home: Home, tmp_path: Path
) -> None:
    lines = [b"first", b"x" * 1_100_000, b"\x00 caf\xe9 \xff\xfe \xc3\x28", b"last"]
    log = tmp_path / "any.log"
    log.write_bytes(b"\n".join(lines))
    assert home.answer("ingest", log, "--source", "any")["stored"] == 4
    found = home.stored()
    assert [one[events.ORIGINAL_BYTES] or one[events.ORIGINAL].encode() for one in found] == lines
    assert [one[events.ORIGINAL_BYTES] is not None for one in found] == [False, False, True, False]


def test_an_unknown_product_is_told_with_the_nearest_or_all(home: Home, tmp_path: Path) -> None:
    add = ("source", "add", "x", "--agency", "p1", "--product")
    assert (
        "no such product (got wndows). did you mean windows?" in home.say(*add, "wndows", code=2)[1]
    )
    far = home.say(*add, "zzz", code=2)[1]
    known = f"known are {', '.join(sorted(load_products()))}"
    assert known in far
    (tmp_path / "rule.yml").write_bytes(RULE)
    match = ("match", tmp_path / "rule.yml", "--rules", tmp_path, "--product", "zzz")
    assert f"no such product (at --product; got zzz). {known}" in home.say(*match, code=2)[1]
    assert [s["id"] for s in home.answer("source", "list")["items"]] == ["any", "win"]


def test_an_event_of_a_product_that_is_gone_is_seen_as_generic(home: Home, tmp_path: Path) -> None:
    here = open_home(home.path)
    with here.state.begin() as session:
        session.execute(sa.text("UPDATE source SET product = 'retired_one' WHERE id = 'any'"))
    here.close()
    log = tmp_path / "any.log"
    log.write_text("one line")
    _, said = home.say("ingest", log, "--source", "any")
    assert "no such product: retired_one; read as generic" in said
    (found,) = home.stored()
    assert (found[events.ORIGINAL], found[events.TAGS]) == ("one line", ["_unknown_product"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("match", "-", "--product", "windows", "--rules"), 3),
        (("rules", "import", "--name", "t"), 3),
        (("rules", "check"), 2),
    ],
    ids=["match", "import", "check"],
)
def test_a_rule_file_with_a_key_twice_is_refused_by_file_and_line_and_the_others_stay(
    home: Home, tmp_path: Path, words: tuple[str, ...], code: int
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "good.yml").write_bytes(RULE)
    (rules / "twice.yml").write_bytes(TWICE.replace(b"5f1b2a0e", b"5f1b2a0f"))
    out, err = home.say(*words, rules, code=code)
    line = TWICE.split(b"\n").index(b"  selection: {Image|endswith: '\\\\b.exe'}") + 1
    for part in (f"twice.yml:{line}", "the key selection occurs twice", "give one another name"):
        assert part in out + err
    if words[0] == "rules" and words[1] == "import":
        assert [one["id"] for one in home.answer("rules", "list")["items"]] == [
            "5f1b2a0e-6f50-4a8b-9f0d-0d9f8a7c1e11"
        ]


def test_a_port_in_use_is_told_with_the_listener_the_setting_and_the_remedy(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (home.path / "thapcanh.yml").write_text(
            f"collect:\n  listeners:\n    - {{name: web, kind: http_bulk, port: {port}}}\n"
        )
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli.main", "serve", "collect"],
            capture_output=True, text=True, check=False,
            env=os.environ | {"THAPCANH_HOME": str(home.path)},
        )  # fmt: skip
    said = done.stderr
    assert (done.returncode, "Traceback" in said) == (2, False), said
    for part in (
        "the port is in use",
        "collect.listeners web",
        f"127.0.0.1:{port}",
        "Change the setting",
    ):
        assert part in said


def test_a_parquet_file_cut_short_stops_detection_in_words_and_the_gap_is_shown(
    home: Home, tmp_path: Path
) -> None:
    here = open_home(home.path)
    with SpoolWriter(here.settings.spool, "n1") as writer:
        writer.append([Draft("win", to_micros(utc_now()), json.dumps(EVENT).encode())])
    settle_node(here, "n1")
    here.close()
    (file,) = (home.path / "lake").rglob("*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "rule.yml").write_bytes(RULE)
    home.answer("rules", "import", tmp_path / "rule.yml", "--name", "t")
    log = tmp_path / "more.json"
    log.write_text(json.dumps(EVENT))

    said = home.say("ingest", log, "--source", "win", code=4)[1]
    for part in (
        "the detection run failed",
        file.name,
        "is damaged",
        "thapcanh store verify",
    ):
        assert part in said
    runs = home.answer("run", "list")["items"]
    assert [(one["status"], file.name in one["error"]) for one in runs] == [("failed", True)]
    assert file.name in home.say("doctor", "--json", code=3)[0]
    assert home.answer("finding", "list")["items"] == []

    file.write_bytes(whole)  # restored: nothing was skipped, both events are found
    here = open_home(home.path)
    try:
        from pipeline.serve.ingest import detect_all

        assert detect_all(here) == 2
    finally:
        here.close()
    assert file.name not in home.say("doctor", "--json")[0]


def test_half_a_file_without_a_row_is_no_event_and_is_swept(home: Home, tmp_path: Path) -> None:
    log = tmp_path / "any.log"
    log.write_text("one line")
    home.answer("ingest", log, "--source", "any")
    (file,) = (home.path / "lake").rglob("*.parquet")
    half = [file.with_name("0000.parquet"), file.with_name("0001.part")]
    for one in half:
        one.write_bytes(file.read_bytes()[:100])
        os.utime(one, (0, 0))
    assert [one[events.ORIGINAL] for one in home.stored()] == ["one line"]
    here = open_home(home.path)
    try:
        assert here.store.sweep(utc_now()) == 2
    finally:
        here.close()
    assert [*(home.path / "lake").rglob("*.p*")] == [file]


def _content(folder: Path) -> dict[str, str]:
    """Every file's hash, save what SQLite keeps beside its file while it is open."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_a_home_of_a_newer_version_is_refused_by_every_command_and_nothing_is_touched(
    home: Home, tmp_path: Path
) -> None:
    state = State.at(home.path / "state.sqlite")
    with state.begin() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9001'"))
    state.close()
    before = _content(home.path)
    (tmp_path / "x.log").write_text("x")
    for words in (
        ("ticket", "list"), ("serve", "normalise"), ("doctor", "--json"),  # exit code 3: what is wrong
        ("ingest", str(tmp_path / "x.log"), "--source", "any"), ("admin", "init"),
    ):  # fmt: skip
        said = "".join(home.say(*words, code=3 if words[0] == "doctor" else 2))
        for part in ("a newer version of the program", "state.sqlite", "9001", "restore a backup"):
            assert part in said, words
    assert _content(home.path) == before


def test_wrong_settings_are_all_told_at_once_by_any_command_with_file_line_and_nearest_key(
    bare: Home,
) -> None:
    file = bare.path / "thapcanh.yml"
    file.write_text("detect:\n  intervall: 5\n  window: soon\ncolect: {}\n")
    for words in (("config", "check"), ("ticket", "list"), ("serve",)):
        said = bare.say(*words, code=2)[1]
        for part in (
            "the settings cannot be used: 3",
            f"there is no setting intervall (at {file}, line 2). did you mean interval?",
            f"window is of another type (at {file}, line 3; got 'soon'; expected int)",
            "line 4). did you mean collect?",
        ):
            assert part in said, (words, said)
    assert [path.name for path in bare.path.iterdir()] == ["thapcanh.yml"]


def test_a_file_or_source_that_is_not_there_is_named(home: Home, tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("x")
    for words, part in (
        (("ingest", tmp_path / "none.log", "--source", "any"), "none.log"),
        (("ingest", tmp_path / "x.log", "--source", "nobody"), "no such source (got nobody). thapcanh source list"),
    ):  # fmt: skip
        assert part in home.say(*words, code=1)[1]
    assert home.stored() == []
