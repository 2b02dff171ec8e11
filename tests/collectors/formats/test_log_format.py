"""A layout from a server's configuration reads the lines that the server writes by it."""

from __future__ import annotations

import pytest

from collectors.formats.log_format import to_pattern
from collectors.formats.patterns import Patterns, PatternSpec, check

NGINX = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_user_agent" $request_time "$upstream_addr"'
)
APACHE = '%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\" %{X-Id}i %D'


def read(layout: str, line: str) -> dict[str, str]:
    pattern = to_pattern(layout)
    assert check(pattern) == ""
    (group,) = Patterns([PatternSpec("access", pattern)]).parse([line]).groups
    found = {name: column[0] for name, column in zip(group.names, group.columns, strict=True)}
    return {name: value for name, value in found.items() if value is not None}


def test_a_layout_of_nginx_reads_its_line() -> None:
    line = (
        '203.0.113.5 - an [25/Nov/2026:03:44:46 +0700] "GET /tra-cuu?q=1 HTTP/1.1" 200 2 '
        '"a\\"b" 0.003 "10.0.0.1:80, 10.0.0.2:80"'
    )
    assert read(NGINX, line) == {
        "client": "203.0.113.5",
        "user.name": "an",
        "time": "25/Nov/2026:03:44:46 +0700",
        "http.request.method": "GET",
        "url": "/tra-cuu?q=1",
        "http.version": "1.1",
        "http.response.status_code": "200",
        "http.response.body.bytes": "2",
        "user_agent.original": 'a\\"b',
        "request_time": "0.003",
        "upstream_addr": "10.0.0.1:80, 10.0.0.2:80",
    }


def test_a_layout_of_apache_reads_its_line() -> None:
    line = (
        "dichvucong.example.vn:443 198.51.100.7 - - [25/Nov/2026:03:44:47 +0700] "
        '"\\x16\\x03" 400 157 "-" "curl/7.88.1" 7f-1 1500'
    )
    assert read(APACHE, line) == {
        "server.domain": "dichvucong.example.vn",
        "destination.port": "443",
        "client": "198.51.100.7",
        "ident": "-",
        "user.name": "-",
        "time": "25/Nov/2026:03:44:47 +0700",
        "garbage": "\\x16\\x03",
        "http.response.status_code": "400",
        "http.response.bytes": "157",
        "http.request.referrer": "-",
        "user_agent.original": "curl/7.88.1",
        "header_x_id": "7f-1",
        "microseconds": "1500",
    }


def test_a_variable_that_comes_twice_is_kept_once() -> None:
    assert read("$remote_addr $remote_addr $status", "a b 200") == {
        "client": "a",
        "http.response.status_code": "200",
    }


@pytest.mark.parametrize(
    ("layout", "said"), [("a b", "no variable"), ("$status$host", "stand together")]
)
def test_a_layout_that_cannot_be_read_says_why(layout: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        to_pattern(layout)
