"""``source add|set --layout``: tried when it is set, read by from then on, and dead letters of before come again."""

from __future__ import annotations

from pathlib import Path

from support.terminal import Terminal

LAYOUT = "log_format rieng '$remote_addr [$time_iso8601] \"$request\" $status';\n"
LINE = '192.0.2.7 [2026-11-24T09:00:00+07:00] "GET /tra-cuu HTTP/1.1" 404\n'


def test_a_source_with_a_layout_of_its_own(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "layout").write_text(LAYOUT, "utf-8")
    (tmp_path / "log").write_text(LINE, "utf-8")
    assert terminal.say("agency add p1 --name 'Phường Một'").code == 0
    assert terminal.say("source add p1-web --agency p1 --product nginx").code == 0
    assert terminal.say("ingest --source p1-web", tmp_path / "log").code == 0
    refused = terminal.say("source set p1-web --layout '$remote_addr$status'")
    assert (refused.code, "the layout cannot be used" in refused.err) == (2, True)
    assert terminal.say(f"source set p1-web --layout @{tmp_path / 'layout'}").code == 0
    assert terminal.say("source show p1-web --json").json["options"] == {"layout": LAYOUT}
    assert terminal.say("deadletter replay --source p1-web --json").json["stored"] == 1
    found = terminal.say("event search http.response.status_code:404 --json").json["items"]
    assert [event["http"]["response"]["status_code"] for event in found] == [404]
    wide = terminal.say(
        "source add p1-w --agency p1 --product generic --encoding utf-16-le"
        " --address syslog-tcp=10.0.0.1/32"
    )
    assert (wide.code, "cannot be cut into lines over syslog TCP" in wide.err) == (2, True)
