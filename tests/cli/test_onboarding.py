"""From sample lines to a source that may send, at the terminal; products listed and drafted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.seed_cast import OWN
from support.terminal import Terminal

from pipeline.normalise.product import load_product, load_products

LINES = [sample.raw.rstrip("\n") for sample in load_products()["nginx"].samples[:4]]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "mẫu.log"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


def test_lines_are_recognised_shown_and_published(morning: Terminal, sample: Path) -> None:
    said = morning.say(f"source onboard --agency {OWN} --product nginx", sample)
    assert said.code == 0
    assert "(not yet run" not in said.out
    assert "KEY-ID" in said.out
    assert "source.ip" in said.out
    made = morning.say(
        f"source onboard --agency {OWN} --product nginx --id web-9 --name Cổng --sender http --publish --json", sample
    ).json  # fmt: skip
    assert (made["source"], made["read"], made["published"]) == ("web-9", 4, True)
    assert made["candidates"][0]["product"] in {"nginx", "apache"}
    assert "/ingest/web-9" in made["snippet"]
    shown = morning.say("source show web-9 --json").json
    assert (shown["product"], shown["identity"], shown["name"]) == ("nginx", "strong", "Cổng")
    assert (
        morning.say(
            f"source onboard --agency {OWN} --id web-9 --sender http --publish", sample
        ).code
        == 2
    )


def test_a_source_that_sends_nothing_yet_is_code_1(morning: Terminal, sample: Path) -> None:
    morning.say(f"source onboard --agency {OWN} --id web-9 --sender http --publish", sample)
    done = morning.say("source live web-9 --json")
    found = json.loads(done.out)
    assert (done.code, found["sends"], found["received"], found["seen"]) == (1, False, 0, 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--agency nowhere", "no such agency"),
        (f"--agency {OWN} --product nginy", "no such product"),
        (f"--agency {OWN} --sender pigeon", "no such sender"),
        (f"--agency {OWN} --sender http --listener none", "no such listener"),
        (f"--agency {OWN} --sender fortigate --publish", "address is missing"),
    ],
)
def test_what_cannot_be_is_told(morning: Terminal, sample: Path, line: str, said: str) -> None:
    done = morning.say(f"source onboard {line}", sample)
    assert (done.code in (1, 2), said in done.err, "Traceback" in done.err) == (True, True, False)


def test_products_are_listed_and_shown(morning: Terminal) -> None:
    items = morning.say("product list nginx --json").json["items"]
    assert [(one["id"], one["format"]) for one in items] == [("nginx", "syslog, patterns")]
    assert morning.say("product show nginx --json").json["datasets"] == [
        "nginx.access",
        "nginx.error",
    ]
    assert morning.say("product show nothing").code == 2
    assert "rules that it feeds" in morning.say("product show nginx").out


def test_a_product_is_drafted_to_a_file_that_loads(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("src=10.0.0.1 dpt=22 act=deny\nsrc=10.0.0.2 dpt=23 act=allow\n")
    done = terminal.say("product draft --name gw --title Gateway --out", tmp_path, path)
    assert (done.code, done.out) == (0, "")
    assert "key_value; 2 of 2 lines are read" in done.err
    product = load_product(tmp_path / "gw.yml")
    assert (product.title, product.proven) == ("Gateway", False)
    assert product.samples[0].expected["source.ip"] == "10.0.0.1"
    drafted = terminal.say("product draft --name gw --json", path).json
    assert drafted["body"] == "key_value"
    assert terminal.say("product draft --name Bad-Name", path).code == 2


def test_a_source_has_thresholds_of_its_own(morning: Terminal) -> None:
    source = f"{OWN}-windows"
    made = morning.say(
        f"source limits {source} --set lag_minutes=90 --set failure_share=0.2 --json"
    ).json
    assert made["own"] == {"lag_minutes": 90, "failure_share": 0.2}
    assert (made["limits"]["lag_minutes"], made["limits"]["skew_minutes"]) == (90, 5)
    assert morning.say(f"source limits {source} --set lag_minutes= --json").json["own"] == {
        "failure_share": 0.2
    }
    assert morning.say(f"source limits {source} --set lag=1").code == 2
    assert morning.say(f"source limits {source} --set lag").code == 2
