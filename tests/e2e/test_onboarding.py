"""An officer connects a source in a real browser, in Vietnamese; what the page says is done, and the check turns green.

The roles collect, normalise, detect and console run, each in a thread: the lines go in by the address and the key that
the page shows, and come out as events that rules have looked at.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e.test_browser import assert_accessible
from support.serving import free_port, until

from pipeline.access import links, people
from pipeline.detect.register.rules import import_rules
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR
from pipeline.serve.installation import open_home
from pipeline.serve.roles import run_role
from pipeline.settings.places import rules_dir
from pipeline.sources.register import add_agency

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROLES = ("collect", "normalise", "detect", "console")
SSH = (
    "<38>{at:%b %d %H:%M:%S} web1 sshd[77]: Failed password for root from 203.0.113.9 port 5112{n} ssh2\n"
    "<38>{at:%b %d %H:%M:%S} web1 sshd[78]: Accepted password for root from 203.0.113.9 port 5113{n} ssh2\n"
)


class Installation:
    """A home with an agency, its officer and the rules for SSH, and the program over it."""

    def __init__(self, home: Path) -> None:
        self.home, self.console = home, free_port()
        home.mkdir()
        (home / "thapcanh.yml").write_text(
            f"collect:\n  listeners:\n    - {{name: http, kind: http_bulk, port: {free_port()}}}\n"
            f"    - {{name: syslog-tcp, kind: syslog_tcp, port: {free_port()}}}\n"
            f"detect: {{interval: 0.2}}\nnormalise: {{interval: 0.2}}\nserve: {{health_port: {free_port()}}}\n"
            f"console: {{port: {self.console}}}\n"
        )
        here = open_home(home, create=True)
        now = utc_now()
        add_agency(
            here.state, OPERATOR, agency="p1", name_vi="Phường Một", name_en="Ward One", now=now
        )
        people.add(
            here.state, OPERATOR, person="binh", name="Trần Thanh Bình", role="officer", agencies=("p1",), now=now
        )  # fmt: skip
        import_rules(here.state, OPERATOR, [rules_dir() / "linux_auth"], origin="linux", now=now)
        self.link = links.issue(here.state, OPERATOR, "binh", now=now)
        here.close()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(role,)) for role in ROLES]
        for thread in self._threads:
            thread.start()

    def _run(self, role: str) -> None:
        here = open_home(self.home)
        try:
            run_role(here, role, self._stop)
        finally:
            here.close()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "home")
    yield made
    made.end()


def come_in(page: Page, installation: Installation) -> str:
    import requests

    address = f"http://127.0.0.1:{installation.console}"

    def answers() -> bool:
        try:
            return requests.get(f"{address}/sign-in", timeout=5).ok
        except requests.ConnectionError:
            return False

    until(answers)
    page.goto(f"{address}/link/{installation.link}")
    page.click("main button.main")
    page.wait_for_url("**/tickets")
    return address


def test_an_officer_connects_a_source_and_sees_it_send(
    browser: Browser, installation: Installation, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768}, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    address = come_in(page, installation)
    at = datetime.now(UTC)

    page.get_by_role("link", name="Nguồn nhật ký", exact=True).click()
    page.locator(".tabs").get_by_role("link", name="Kết nối nguồn nhật ký").click()
    page.get_by_label("Các dòng mẫu, đúng như thiết bị ghi").fill(SSH.format(at=at, n=0))
    page.get_by_role("button", name="Nhận dạng").click()
    page.get_by_role("heading", name="Các dòng này là của: Linux authentication").wait_for()
    assert "source.ip" in page.locator("details.seen[open]").first.inner_text()
    draft = page.url
    page.get_by_role("link", name="Tiếp: nguồn này giúp phát hiện gì").click()
    assert int(page.locator(".tiles .big").first.inner_text()) > 0
    page.get_by_role("link", name="Tiếp: cấu hình bên gửi").click()
    page.select_option("select[name=sender]", "http")  # a choice is kept at once
    page.wait_for_function("document.querySelector('#snippet').textContent.includes('curl')")
    page.reload()
    assert page.locator("select[name=sender]").input_value() == "http"
    page.get_by_role("button", name="Công bố nguồn").click()

    key = page.locator("#key").inner_text()
    assert ":" in key
    assert (
        page.locator("#key").evaluate("at => at.getBoundingClientRect().height") < 40
    )  # in one line
    assert_accessible(page)
    page.get_by_text("Đang chờ những sự kiện đầu tiên").wait_for()
    (tmp_path / "app.log").write_text(SSH.format(at=at, n=1))
    command = page.locator("#snippet").inner_text()
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done
    page.locator(".verdict.ok").wait_for()
    assert page.locator(".checks > li.ok").count() == 3
    assert_accessible(page)
    assert "Đọc được toàn bộ 2 sự kiện mới nhất" in page.locator("#live").inner_text()
    page.goto(draft)
    page.get_by_text("Không có").first.wait_for()  # the draft is gone with its samples
    page.goto(f"{address}/sources")
    assert key.split(":")[1] not in page.content()
    assert [one for one in complaints if "404" not in one] == []
    context.close()
