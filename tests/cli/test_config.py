"""``config show`` tells every setting and no secret."""

from __future__ import annotations

import pytest
from support.terminal import Terminal

from pipeline.settings.load import FILE_NAME


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://soc:t0p@se/cret@db:5432/t", "postgresql+psycopg://soc:***@db:5432/t"),
        ("postgresql+psycopg://soc@db/t?password=s3cret&sslmode=require",
         "postgresql+psycopg://soc@db/t?password=***&sslmode=require"),
        ("postgresql+psycopg://soc@db/t", "postgresql+psycopg://soc@db/t"),
        ("sqlite:////srv/state.sqlite", "sqlite:////srv/state.sqlite"),
    ],
)  # fmt: skip
def test_a_password_within_an_address_is_not_shown(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, url: str, shown: str
) -> None:
    monkeypatch.setenv("THAPCANH__STATE__URL", url)
    done = terminal.say("config show --json")
    assert (done.json["state"]["url"], "cret" in done.out) == (shown, False)


@pytest.mark.parametrize(
    ("password", "shown"), [("env:ES_PASSWORD", "env:ES_PASSWORD"), ("s3cret", "***")]
)
def test_a_reference_to_a_secret_is_shown_and_a_secret_is_not(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, password: str, shown: str
) -> None:
    monkeypatch.setenv("ES_PASSWORD", "s3cret")
    terminal.home.mkdir(exist_ok=True)
    (terminal.home / FILE_NAME).write_text(
        f"store: {{elasticsearch: {{password: '{password}'}}}}\n"
    )
    done = terminal.say("config show --json")
    found = done.json["store"]["elasticsearch"]["password"]
    assert (found, "s3cret" in done.out) == (shown, False)
