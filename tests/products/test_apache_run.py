"""A real Apache httpd: a page, one that is not there, a wrong password, a place that is closed."""

from __future__ import annotations

import base64
from pathlib import Path

from support.needs import missing
from support.real_run import events, folder_of, free_port, lines, program, running, said, seen

_MODULES = Path("/usr/lib/apache2/modules")
_LOADED = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "dir")
_CONF = """
ServerRoot {folder}
ServerName web.example
Listen 127.0.0.1:{port}
PidFile {folder}/pid
DefaultRuntimeDir {folder}
Mutex file:{folder}
DocumentRoot {folder}/www
ErrorLog {folder}/error.log
CustomLog {folder}/access.log "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\""
<Location /desk>
  AuthType Basic
  AuthName desk
  AuthUserFile {folder}/passwords
  Require valid-user
</Location>
<Location /closed>
  Require all denied
</Location>
"""


def _laid_out(folder: Path, port: int) -> Path:
    if not (_MODULES / "mod_authz_core.so").exists():
        missing("Apache httpd", "apt-get install apache2")
    (folder / "www").mkdir()
    (folder / "www/index.html").write_text("here")
    (folder / "passwords").write_text(
        "an:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n"
    )  # of the word `test`
    loaded = "".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so\n" for name in _LOADED)
    config = folder / "httpd.conf"
    config.write_text(loaded + _CONF.format(folder=folder, port=port))
    return config


def _get(path: str, *more: str) -> bytes:
    words = [
        f"GET {path} HTTP/1.1",
        "Host: web.example",
        "User-Agent: probe/1.0",
        "Connection: close",
        *more,
    ]
    return ("\r\n".join(words) + "\r\n\r\n").encode()


def test_what_apache_writes_of_visitors_is_read() -> None:
    httpd, port = program("apache2", "apache2"), free_port()
    right = "Authorization: Basic " + base64.b64encode(b"an:test").decode()
    wrong = "Authorization: Basic " + base64.b64encode(b"an:wrong").decode()
    with folder_of("www-data") as (folder, user):
        command = [httpd, "-D", "FOREGROUND", "-f", _laid_out(folder, port)]
        with running(command, folder / "said", port, user):
            said("127.0.0.5", port, _get("/?ho_ten=Tr%E1%BA%A7n"))
            said("127.0.0.5", port, _get("/wp-login.php"))
            said("127.0.0.5", port, _get("/desk", wrong))
            said("127.0.0.5", port, _get("/desk", right))
            said("127.0.0.9", port, _get("/closed"))
            access = lines(folder / "access.log", "ho_ten", "wp-login", " 401 ", "an [", "/closed")
            errors = lines(folder / "error.log", "AH01617", "AH01630")
    names = (
        "source.ip",
        "http.response.status_code",
        "url.path",
        "event.outcome",
        "user_agent.original",
        "user.name",
    )
    assert seen(events("apache", access), *names) == {
        ("127.0.0.5", 200, "/", "success", "probe/1.0", None),
        ("127.0.0.5", 404, "/wp-login.php", "failure", "probe/1.0", None),
        ("127.0.0.5", 401, "/desk", "failure", "probe/1.0", "an"),
        ("127.0.0.5", 404, "/desk", "failure", "probe/1.0", "an"),
        ("127.0.0.9", 403, "/closed", "failure", "probe/1.0", None),
    }
    names = ("source.ip", "event.action", "event.category", "user.name", "event.code")
    assert seen(events("apache", errors), *names) >= {
        ("127.0.0.5", "login", "web,authentication", "an", "AH01617"),
        ("127.0.0.9", "denied", "web", None, "AH01630"),
    }
