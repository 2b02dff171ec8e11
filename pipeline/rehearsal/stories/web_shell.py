"""A scanner finds an upload form, a script is put behind it, and the server runs commands.

T1595.002, T1190, T1505.003, T1059. From 02:20 at the public site of the health department: nginx in
front, PHP on Windows behind it.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

from pipeline.rehearsal.lines import Draft, Trip
from pipeline.rehearsal.stories import rule_ids as rules
from pipeline.rehearsal.stories.base import Tale
from pipeline.rehearsal.wire import nginx, windows

NGINX, SERVER = "dt-so-suc-khoe.nginx", "dt-so-suc-khoe.windows"
HOST, ADDRESS = "SSK-WEB01.ssk.example", "203.0.113.66"
PHP, CMD = "C:\\nginx\\php\\php-cgi.exe", "C:\\Windows\\System32\\cmd.exe"
SHELL = "/uploads/anh/anh-bia.php"
SCANNER = (
    "Mozilla/5.0 (compatible; Nuclei - Open-source project (github.com/projectdiscovery/nuclei))"
)
PROBES = (
    "/wp-login.php", "/phpinfo.php", "/quan-tri/", "/backup.zip", "/server-status", "/admin.php",
    "/upload.php", "/quan-tri/tai-len.php", "/vendor/phpunit/phpunit/LICENSE", "/test.php",
)  # fmt: skip
COMMANDS = ("whoami", "ipconfig+/all", "net+user", "tasklist", "dir+C:%5CUsers")


def tell(start: datetime, rng: Random) -> list[Draft]:
    tale = Tale("web_shell", start)
    tale.begin(2, 20)
    scan = Trip(rules.CORRELATION_SCAN_THEN_EXPLOIT, ADDRESS, "correlation")
    for path in PROBES * 3:
        tale.wait(rng.uniform(0.2, 1.4))
        status = 200 if path.startswith("/quan-tri/") else 404
        line = nginx.access(
            tale.at,
            ADDRESS,
            f"GET {path} HTTP/1.1",
            status,
            rng.randrange(150, 4000),
            agent=SCANNER,
        )
        tale.tell(NGINX, line, scan)
    tale.wait(180)
    line = nginx.access(
        tale.at, ADDRESS, "POST /quan-tri/tai-len.php HTTP/1.1", 200, 81,
        referer="https://ssk.example/quan-tri/", agent=nginx.BROWSERS[1],
    )  # fmt: skip
    tale.tell(NGINX, line)
    tale.wait(0.3)
    tale.tell(
        SERVER,
        windows.file_created(
            tale.at,
            rng,
            HOST,
            PHP,
            "C:\\nginx\\html\\uploads\\anh\\anh-bia.php",
            "NT AUTHORITY\\IUSR",
        ),
        Trip(rules.WINDOWS_WEB_SCRIPT_WRITTEN, HOST),
    )
    for command in COMMANDS:
        tale.wait(rng.uniform(10, 40))
        line = nginx.access(
            tale.at, ADDRESS, f"GET {SHELL}?cmd={command} HTTP/1.1", 200, rng.randrange(40, 3000),
            agent=nginx.BROWSERS[1],
        )  # fmt: skip
        tale.tell(NGINX, line, Trip(rules.NGINX_WEB_SHELL, ADDRESS), scan)
        tale.wait(0.2)
        plain = command.replace("+", " ").replace("%5C", "\\")
        tale.tell(
            SERVER,
            windows.process(
                tale.at, rng, HOST, CMD, f'cmd.exe /c "{plain}"', parent=PHP,
                user="NT AUTHORITY\\IUSR", folder="C:\\nginx\\html\\uploads\\anh\\",
            ),
            Trip(rules.WINDOWS_WEB_SERVER_SHELL, HOST),
        )  # fmt: skip
    return tale.drafts
