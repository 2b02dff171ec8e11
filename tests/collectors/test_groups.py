"""Which process collects what."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.collector import file_input, running, spooled
from support.relp import RelpClient

from collectors import groups
from pipeline.model.errors import UsageError
from pipeline.settings.values import CollectSettings, Listener

HTTP = Listener(name="http", kind="http_bulk")
TCP = Listener(name="tcp", kind="syslog_tcp", group="syslog")
UDP = Listener(name="udp", kind="syslog_udp", group="syslog")
RELP = Listener(name="relp", kind="relp", group="relp")


def test_each_group_is_a_node_and_files_are_the_collectors_own(tmp_path: Path) -> None:
    files = (file_input(tmp_path),)
    settings = CollectSettings(node="n1", listeners=(HTTP, TCP, RELP, UDP), files=files)
    parts = {role: groups.part(settings, role) for role in groups.roles(settings)}
    assert {r: (p.node, p.listeners, p.files) for r, p in parts.items()} == {
        "collect": ("n1", (HTTP,), files),
        "collect.syslog": ("n1.syslog", (TCP, UDP), ()),
        "collect.relp": ("n1.relp", (RELP,), ()),
    }
    assert groups.with_groups(("collect", "detect"), settings) == (*parts, "detect")


def test_without_groups_one_process_collects_all() -> None:
    settings = CollectSettings()
    assert groups.roles(settings) == ("collect",)
    assert groups.part(settings, "collect") == settings


def test_a_group_that_nobody_named_or_whose_name_is_no_file_name_is_refused() -> None:
    with pytest.raises(UsageError, match="no listener is in this group"):
        groups.part(CollectSettings(), "collect.relp")
    odd = CollectSettings(listeners=(Listener(name="a", kind="relp", group="../x"),))
    with pytest.raises(UsageError, match="the group's name cannot be used"):
        groups.roles(odd)


def test_what_relp_has_stored_is_known_in_the_group_that_its_listener_moves_to(
    tmp_path: Path,
) -> None:
    before = CollectSettings(node="n1", listeners=(Listener(name="relp", kind="relp"),))
    after = CollectSettings(node="n1", listeners=(RELP,))
    records = [b"<1>%d" % n for n in range(20)]
    with running(tmp_path, before) as collector:
        client = RelpClient(collector.ports["relp"])
        client.open()
        client.send(records)
        client.lose_answers(20)
    with running(tmp_path, groups.part(after, "collect.relp")) as collector:
        client.port = collector.ports["relp"]
        client.open()
        client.send([b"<1>new"])
        client.settle()
    assert [one.body for one in spooled(tmp_path)] == records
    assert [one.body for one in spooled(tmp_path, "n1.relp")] == [b"<1>new"]
