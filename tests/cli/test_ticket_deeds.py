"""Every deed of the API is a command, too, and does the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import typer.main
from support.commands import commands
from support.terminal import Terminal

from pipeline.api.routes.deeds import DEEDS
from pipeline.cli.main import app
from pipeline.cli.options import opened
from pipeline.model.scope import OPERATOR
from pipeline.tickets.attachments import list_files
from pipeline.tickets.deeds import Request


def test_every_deed_of_the_api_is_a_command() -> None:
    said = {words[1] for words, _ in commands(typer.main.get_command(app)) if words[0] == "ticket"}
    assert set(DEEDS) - said == set()


def test_a_life_at_the_terminal(morning: Terminal) -> None:
    for line, status in (
        ("claim 1", "claimed"),
        ("start 1 --revision 2", "in_progress"),
        ('wait 1 --for agency --note "ai đăng nhập?"', "waiting"),
        ('comment 1 --text "đã gọi" --key k', "waiting"),
        ('comment 1 --text "đã gọi" --key k', "waiting"),
        ("tag 1 mimikatz", "waiting"),
        ("tag 1 mimikatz --off", "waiting"),
        ("tlp 1 red", "waiting"),
        ('severity 1 low --note "chỉ là thử"', "waiting"),
        ('severity 1 as-found --note "không phải"', "waiting"),
        ("check 1 0123456789abcdef", "waiting"),
        ('sign 1 serious --note "dịch vụ công"', "waiting"),
        ('notified 1 initial_24h --to "công văn 12"', "waiting"),
        ("release 1", "new"),
        ("assign 1 --to an", "claimed"),
        ('take-over 1 --note "hết ca"', "claimed"),
        ("merge 1 --into 4", "closed"),
        ('unmerge 1 --note "khác"', "reopened"),
        ('close 1 --reason test_drill --note "xong"', "closed"),
        ('reopen 1 --note "chưa"', "reopened"),
    ):
        answer = morning.say(f"ticket {line} --json")
        assert answer.json["status"] == status, (line, answer.out)
    stale = morning.say("ticket start 1 --revision 2")
    assert (stale.code, "the ticket has changed since you saw it" in stale.err) == (2, True)
    whats = [line["what"] for line in morning.say("ticket show 1 --json").json["history"]]
    assert whats.count("commented") == 1


def test_the_queue_s_filters_are_those_of_the_console_and_the_api(morning: Terminal) -> None:
    def numbers(words: str) -> list[int]:
        return [one["number"] for one in morning.say(f"ticket list {words} --json").json["items"]]

    every = numbers("--limit 100")
    assert set(numbers("--at-least high")) == {
        one["number"]
        for one in morning.say("ticket list --json").json["items"]
        if one["severity"] in ("high", "critical")
    }
    assert 0 < len(numbers("--at-least high")) < len(every)
    first = morning.say("ticket list --json").json["items"][0]
    assert first["number"] in numbers(f"--rule {_rule(morning, first)}")
    assert first["number"] in numbers(f"--entity {first['entity'].upper()}")
    assert numbers("--entity nobody") == []
    morning.say(f"ticket tag {first['number']} mimikatz")
    assert numbers("--tag mimikatz") == [first["number"]]
    assert numbers("--alert breached") == []
    morning.say(f"ticket claim {first['number']}")
    assert numbers("--owner me") == [first["number"]]
    assert set(numbers("--owner none")) == set(every) - {first["number"]}
    assert set(numbers("--drill no")) | set(numbers("--drill only")) == set(every)
    assert set(numbers("--status all")) >= set(every)
    for wrong in ("--drill x", "--alert x", "--at-least x", "--status x"):
        assert morning.say(f"ticket list {wrong}").code == 2


def _rule(morning: Terminal, line: dict[str, object]) -> str:
    found = morning.say(f"ticket show {line['number']} --json").json["findings"]
    return str(found[0]["rule"])


def test_evidence_and_files_at_the_terminal(morning: Terminal, tmp_path: Path) -> None:
    taken = tmp_path / "1.json"
    said = morning.say(f"ticket evidence 1 --out {taken} --json").json
    body = json.loads(taken.read_text("utf-8"))
    assert said["sha256"] == body["sha256"]
    assert morning.say("ticket evidence 1").json["ticket"]["number"] == 1
    assert (body["format"], body["taken_by"]) == ("thapcanh.ticket/1", OPERATOR.name)
    digest = body.pop("sha256")
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == digest
    page = tmp_path / "1.html"
    printed = morning.say(f"ticket evidence 1 --html --language en --out {page} --page 1")
    assert printed.code == 0, printed.err
    html = page.read_text("utf-8")
    assert ("SHA-256" in html, "<script" in html, "<link" in html) == (True, False, False)
    assert morning.say(f"ticket evidence 1 --out {page}").code == 2  # it is there already
    assert morning.say("ticket evidence 1 --html --language fr").code == 2
    assert morning.say("ticket evidence 99").code == 1
    note = tmp_path / "ghi chú.txt"
    note.write_text("máy chủ", "utf-8")
    for _ in range(2):
        done = morning.say(f'ticket attach 1 "{note}" --text "đây" --key k --json')
        assert done.json["number"] == 1
    assert [one["name"] for one in morning.say("ticket files 1 --json").json["items"]] == [
        "ghi chú.txt"
    ]
    with opened(morning.home) as here:  # what is said has its new ids masked
        (file,) = list_files(here.state, Request(actor=OPERATOR, ticket="1"))
    back = tmp_path / "back.txt"
    got = morning.say(f"ticket file 1 {file.id} --out {back} --json").json
    assert (back.read_text("utf-8"), got["name"]) == ("máy chủ", "ghi chú.txt")
    odd = tmp_path / "a.exe"
    odd.write_bytes(b"MZ\x90\0")
    assert morning.say(f"ticket attach 1 {odd}").code == 2


def test_a_timeline_at_the_terminal_marks_the_ticket_s_own_events(morning: Terminal) -> None:
    shown = morning.say("ticket timeline 1")
    assert (shown.code, "*" in shown.out) == (0, True)
    whole = morning.say("ticket timeline 1 --json").json
    assert whole["items"]
    assert whole["next"] is None
