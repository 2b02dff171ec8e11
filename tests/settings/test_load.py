"""Settings: frozen, and all faults at once with their places."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipeline.model.errors import FaultsError
from pipeline.settings.load import FILE_NAME, load_settings
from pipeline.settings.places import config_dir
from pipeline.settings.ranges import expected_instead
from pipeline.settings.values import Listener, Settings


def write(home: Path, text: str) -> Path:
    (home / FILE_NAME).write_text(text, encoding="utf-8")
    return home


def test_an_empty_home_has_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}) == Settings(home=tmp_path)


def test_the_annotated_file_says_what_the_defaults_are(tmp_path: Path) -> None:
    write(tmp_path, (config_dir() / FILE_NAME).read_text(encoding="utf-8"))
    assert load_settings(tmp_path, {}) == Settings(home=tmp_path)


def test_the_annotated_file_names_every_setting() -> None:
    text = (config_dir() / FILE_NAME).read_text(encoding="utf-8")
    sections = [f for f in dataclasses.fields(Settings) if f.name != "home"]
    names = {
        g.name for f in sections for g in dataclasses.fields(getattr(Settings(home=Path()), f.name))
    }
    assert [name for name in sorted(names) if f"{name}:" not in text] == []


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "detect:\n  interval: 5\n  window: 10\n")
    settings = load_settings(tmp_path, {"THAPCANH__DETECT__INTERVAL": "7.5", "PATH": "/bin"})
    assert (settings.detect.interval, settings.detect.window) == (7.5, 10)


def test_a_list_of_listeners_is_read_whole(tmp_path: Path) -> None:
    write(tmp_path, "collect:\n  listeners:\n    - {name: a, kind: syslog_udp, port: 514}\n")
    expected = (Listener(name="a", kind="syslog_udp", port=514),)
    assert load_settings(tmp_path, {}).collect.listeners == expected


def test_every_fault_is_told_at_once_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    write(
        tmp_path,
        "detect:\n  intervall: 5\n  window: soon\ndetectt: {}\n"
        "collect:\n  node: a\n  node: b\n  listeners:\n    - {name: x, kind: pigeon}\n",
    )
    with pytest.raises(FaultsError) as caught:
        load_settings(tmp_path, {"THAPCANH__CONSOLE__PROT": "1", "THAPCANH__ODD": "1"})
    text = str(caught.value)
    assert len(caught.value.faults) == 7
    for part in (
        "line 2); did you mean interval?".replace(");", ")."),
        f"{FILE_NAME}, line 3; got 'soon'; expected int",
        "did you mean detect?",
        "the key node stands twice",
        "line 9; got 'pigeon'; expected http_bulk or relp or syslog_tcp or syslog_udp",
        "did you mean port?",
        "THAPCANH__ODD",
    ):
        assert part in text


def test_a_file_that_is_no_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "detect:\n  interval: [1\n")
    with pytest.raises(FaultsError, match=r"this is not YAML .*line 3"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("retention: {days: -3}", "more than 0"),
        ("retention: {days: 0}", "more than 0"),
        ("retention: {at: '25:99'}", "HH:MM, 00:00 to 23:59"),
        ("retention: {disk_share: 85}", "0 to 1"),
        ("retention: {floor_days: -1}", "0 or more"),
        ("console: {port: 99999}", "0 to 65535"),
        ("normalise: {interval: .nan}", "0 or more"),
        ("collect: {listeners: [{name: a, kind: relp, port: -1}]}", "0 or more"),
    ],
)
def test_a_number_out_of_all_reason_is_refused_with_what_is_expected(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(FaultsError) as caught:
        load_settings(write(tmp_path, text), {})
    assert [one.expected for one in caught.value.faults] == [expected]


def test_no_default_is_out_of_reason(tmp_path: Path) -> None:
    sections = [getattr(Settings(home=tmp_path), f.name) for f in dataclasses.fields(Settings)]
    for section in filter(dataclasses.is_dataclass, sections):
        for one in dataclasses.fields(section):
            assert expected_instead(one.name, getattr(section, one.name)) == ""
