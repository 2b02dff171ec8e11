"""``product add`` and a home's own folder: a source runs a product of its office alone, without a change of the program."""

from __future__ import annotations

from pathlib import Path

from support.terminal import Terminal

LINES = "".join(f"van_ban={n} user=an src_ip=10.0.0.{n} action=read\n" for n in range(1, 4))


def test_a_drafted_product_is_published_run_by_a_source_and_told_when_it_breaks(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "mau.log").write_text(LINES, "utf-8")
    home = terminal.home
    assert terminal.say("agency add p1 --name 'Phường Một'").code == 0
    drafted = terminal.say("product draft --name van_thu --publish", tmp_path / "mau.log")
    assert drafted.code == 0
    assert (home / "products" / "van_thu.yml").is_file()
    again = terminal.say("product add", home / "products" / "van_thu.yml")
    assert (again.code, "the home has a product of this name" in again.err) == (2, True)
    assert terminal.say("source add p1-vt --agency p1 --product van_thu").code == 0
    assert terminal.say("ingest --source p1-vt", tmp_path / "mau.log").code == 0
    found = terminal.say("event search van_thu.van_ban:2 --json").json["items"]
    assert [event["user"]["name"] for event in found] == ["an"]
    assert terminal.say("product list van_thu --json").json["items"][0]["own"]
    refused = terminal.say("product remove van_thu")
    assert (refused.code, "a source runs this product (got p1-vt)" in refused.err) == (2, True)

    (home / "products" / "vo.yml").write_text("product: vo\n", "utf-8")
    listed = terminal.say("product list van_thu")
    assert "left out: 'title' is a required property" in listed.err
    told = terminal.say("doctor --json").out
    assert "vo.yml: the top" in told
