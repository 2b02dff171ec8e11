"""A real nginx that speaks TLS and asks who is there, before another server: certificates, an API key, a password.

In: the address behind it. Out: `Front`: its https address, the authority to trust, another one that signed nothing
of it, and two sign-ins. The server behind sees no credentials.
"""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.needs import missing

HOW = "as root: apt-get install -y nginx-light openssl"
KEY = base64.b64encode(b"thapcanh:a-key-of-the-test").decode()
USER, PASSWORD = "thapcanh", "mật khẩu của bài thử"
_CONF = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 200m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map_hash_bucket_size 256;
  map $http_authorization $known {{ default 0; "ApiKey {key}" 1; "Basic {basic}" 1; "ApiKey {weak}" 2; }}
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    location / {{
      if ($known = 0) {{ return 401; }}
      if ($known = 2) {{ return 403; }}
      proxy_pass {behind}; proxy_set_header Authorization ""; proxy_http_version 1.1;
    }}
  }}
}}
"""
WEAK = base64.b64encode(b"thapcanh:a-key-without-rights").decode()


@dataclass(frozen=True)
class Front:
    """`weak` is a key that is known and may do nothing."""

    url: str
    ca: Path
    other_ca: Path
    key: str = KEY
    weak: str = WEAK
    user: str = USER
    password: str = PASSWORD


@contextmanager
def before(behind: str, folder: Path) -> Iterator[Front]:
    """nginx in front of `behind`, ended at the end."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None or shutil.which("openssl") is None:
        missing("nginx and openssl", HOW)
    _authority(folder, "ca")
    _authority(folder, "other")
    _server(folder)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "nginx.conf").write_text(
        _CONF.format(folder=folder, key=KEY, weak=WEAK, basic=basic, port=port, behind=behind)
    )
    log = (folder / "said.log").open("wb")
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(folder / "nginx.conf")], stdout=log, stderr=log
    )
    try:
        _wait(port, process, folder)
        yield Front(f"https://127.0.0.1:{port}", folder / "ca.pem", folder / "other.pem")
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _wait(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(200):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError((folder / "said.log").read_text("utf-8", "replace"))


def _authority(folder: Path, name: str) -> None:
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", f"/CN=authority {name}", "-addext", "basicConstraints=critical,CA:TRUE",
        "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"),
    )  # fmt: skip


def _server(folder: Path) -> None:
    _openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=node",
        "-keyout", str(folder / "server.key"), "-out", str(folder / "server.csr"),
    )  # fmt: skip
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    _openssl(
        "x509", "-req", "-in", str(folder / "server.csr"), "-CA", str(folder / "ca.pem"),
        "-CAkey", str(folder / "ca.key"), "-CAcreateserial", "-days", "2",
        "-extfile", str(folder / "ext"), "-out", str(folder / "server.pem"),
    )  # fmt: skip


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
