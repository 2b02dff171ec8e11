"""Every deed of the API is a command, too, and does the same."""

from __future__ import annotations

import typer.main
from support.commands import commands
from support.terminal import Terminal

from pipeline.api.routes.deeds import DEEDS
from pipeline.cli.main import app


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
