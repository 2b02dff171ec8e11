"""`docs/api.md`: every curl example of it is run, in order, and every deed stands in its table."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from support.api_client import Api

from pipeline.api.routes.deeds import DEEDS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text("utf-8")
EXAMPLES = [
    line
    for block in re.findall(r"^```curl\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def test_every_example_is_answered(api: Api) -> None:
    stranger, token = api.stranger(), api.token("an")
    assert len(EXAMPLES) > 15
    for line in EXAMPLES:
        said = line.replace("$TOKEN", token).replace("$API", "http://testserver/api/v1")
        method, headers, body, address = _read(shlex.split(said)[1:])
        answer = stranger.client.request(method, address, headers=headers, content=body)
        assert answer.status_code == 200, (line, answer.text)


def _read(words: list[str]) -> tuple[str, dict[str, str], bytes | None, str]:
    """What curl would send."""
    method, headers, body, address = "GET", {}, None, ""
    rest = iter(words)
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(rest).encode()
        elif not word.startswith("-"):
            address = word
    return method, headers, body, address


def test_every_deed_is_on_the_page_with_its_permission() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|[^|]*\| `([a-z.]+)` \|$", PAGE, re.MULTILINE)
    told = {name: right for names, right in rows for name in re.findall(r"`([a-z-]+)`", names)}
    assert told == {name: parts[0] for name, parts in DEEDS.items()}
