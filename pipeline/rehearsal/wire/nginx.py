"""nginx: the access log in the `combined` format, as a shipper reads it from the file.

192.0.2.7 - - [24/Nov/2026:09:13:05 +0700] "GET /tin-tuc/12 HTTP/1.1" 200 5316
"https://ssk.example/" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) …"      (one line)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from pipeline.rehearsal import cast
from pipeline.rehearsal.wire.text import common_log_time

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
BROWSERS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) {_WEBKIT} Version/17.6 Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (Linux; Android 14; SM-A546E) {_WEBKIT} Chrome/129.0.0.0 Mobile Safari/537.36",
)

_PAGES = (
    "/", "/tin-tuc", "/thu-tuc-hanh-chinh", "/dich-vu-cong", "/lien-he", "/van-ban",
    "/tra-cuu?ma=H29.{n}", "/tin-tuc/{n}", "/van-ban/tai-ve?id={n}", "/static/css/main.css",
    "/static/js/app.js", "/uploads/anh/{n}.jpg", "/uploads/vanban/{n}.pdf",
)  # fmt: skip


def access(at: datetime, address: str, request: str, status: int, size: int, *,
           referer: str = "-", agent: str = BROWSERS[0], user: str = "-") -> bytes:  # fmt: skip
    """One request. `request` is ``GET /path HTTP/1.1``."""
    return (
        f'{address} - {user} [{common_log_time(at)}] "{request}" {status} {size} "{referer}" "{agent}"'
    ).encode()


def noise(
    source: cast.DrillSource, rng: Random, times: list[datetime]
) -> Iterator[tuple[datetime, bytes]]:
    """Citizens read pages, send forms and mistype addresses."""
    domain = cast.AGENCY[source.agency].domain
    for at in times:
        page = rng.choice(_PAGES).format(n=rng.randrange(1000, 99_999))
        address = f"{cast.OUTSIDE_ADDRESSES}{rng.randrange(1, 255)}"
        if rng.random() < 0.3:
            address = f"{cast.HOME_ADDRESSES}{rng.randrange(1, 255)}"
        kind = rng.random()
        method, status = (
            ("GET", 200) if kind < 0.88 else ("POST", 302) if kind < 0.95 else ("GET", 404)
        )
        if method == "POST":
            page = rng.choice(("/dang-nhap", "/dich-vu-cong/nop-ho-so", "/gop-y"))
        yield at, access(
            at, address, f"{method} {page} HTTP/{rng.choice(('1.1', '2.0'))}", status,
            rng.randrange(300, 90_000) if status == 200 else 153,
            referer=f"https://{domain}/" if rng.random() < 0.6 else "-", agent=rng.choice(BROWSERS),
        )  # fmt: skip
