"""A real nginx: a page, one that is not there, a wrong password, a place that is closed, a handshake on the plain port."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from support.real_run import events, free_port, lines, program, running, said, seen

_CONF = """
{user} worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 32; }}
http {{
  access_log {folder}/access.log combined;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}; server_name web.example; root {folder};
    location /closed/ {{ deny all; }}
    location /desk/ {{ auth_basic desk; auth_basic_user_file {folder}/passwords; try_files $uri =404; }}
    location = / {{ return 200 "here"; }}
  }}
}}
"""


def _get(path: str, *more: str) -> bytes:
    words = [
        f"GET {path} HTTP/1.1",
        "Host: web.example",
        "User-Agent: probe/1.0",
        "Connection: close",
        *more,
    ]
    return ("\r\n".join(words) + "\r\n\r\n").encode()


def test_what_nginx_writes_of_visitors_is_read(tmp_path: Path) -> None:
    nginx, port = program("nginx", "nginx-light"), free_port()
    tmp_path.chmod(0o755)
    (tmp_path / "passwords").write_text("an:{PLAIN}right\n")
    (tmp_path / "nginx.conf").write_text(
        _CONF.format(folder=tmp_path, port=port, user="user root;" if os.geteuid() == 0 else "")
    )
    wrong = "Authorization: Basic " + base64.b64encode(b"an:wrong").decode()
    with running([nginx, "-p", tmp_path, "-c", tmp_path / "nginx.conf"], tmp_path / "said", port):
        said("127.0.0.5", port, _get("/?ho_ten=Tr%E1%BA%A7n"))
        said("127.0.0.5", port, _get("/wp-login.php"))
        said("127.0.0.5", port, _get("/desk/", wrong))
        said("127.0.0.9", port, _get("/closed/x"))
        said("127.0.0.9", port, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        access = lines(tmp_path / "access.log", "ho_ten", "wp-login", "/desk/", "closed", r"\x16")
        errors = lines(tmp_path / "error.log", "mismatch", "forbidden", "wp-login")
    names = (
        "source.ip",
        "http.response.status_code",
        "url.path",
        "event.outcome",
        "user_agent.original",
        "user.name",
    )
    assert seen(events("nginx", access), *names) == {
        ("127.0.0.5", 200, "/", "success", "probe/1.0", None),
        ("127.0.0.5", 404, "/wp-login.php", "failure", "probe/1.0", None),
        ("127.0.0.5", 401, "/desk/", "failure", "probe/1.0", "an"),
        ("127.0.0.9", 403, "/closed/x", "failure", "probe/1.0", None),
        ("127.0.0.9", 400, None, "failure", None, None),
    }
    assert seen(
        events("nginx", errors),
        "source.ip",
        "event.action",
        "event.category",
        "user.name",
        "url.domain",
    ) >= {
        ("127.0.0.5", "login", "web,authentication", "an", "web.example"),
        ("127.0.0.9", "denied", "web", None, "web.example"),
        ("127.0.0.5", None, "web", None, "web.example"),
    }
