"""From a sign-in link to a closed ticket in a real browser, in both languages, with and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from support.console_client import Site
from support.seed_cast import DRAFT, EXCEPTION, OWN, PASSWORD
from support.seed_detection import FOUND

from pipeline.access import links, people
from pipeline.detect.jobs import jobs
from pipeline.model.clock import to_iso
from pipeline.model.scope import OPERATOR, Actor, Scope
from pipeline.tickets import life
from pipeline.tickets.deeds import Request

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WORDS = {
    "vi": {
        "enter": "Đăng nhập",
        "claim": "Nhận xử lý",
        "mine": "Phiếu này do bạn xử lý.",
        "close": "Đóng phiếu",
        "reason": "Cảnh báo đúng, có ảnh hưởng",
        "closed": "Phiếu đã đóng.",
    },
    "en": {
        "enter": "Sign in",
        "claim": "Claim",
        "mine": "This ticket is yours.",
        "close": "Close the ticket",
        "reason": "True positive with impact",
        "closed": "The ticket is closed.",
    },
}

RULE = "00000001-7c1e-4a5b-9d2f-000000000000"
DETECTION = (
    "/rules",
    f"/rules/{RULE}",
    "/exceptions",
    f"/exceptions/{EXCEPTION}",
    "/exceptions/new",
    "/jobs/j1",
    "/runs/r7",
    "/schedules",
    f"/coverage?rule={RULE}",
    "/watchlists/scanners",
    "/knocks",
    "/knocks/1",
    "/letters?cause=parse_failure",
    "/letters/1",
)
CONNECTING = (
    "/onboarding",
    f"/onboarding/{DRAFT}",
    f"/onboarding/{DRAFT}/rules",
    f"/onboarding/{DRAFT}/sender",
    "/products",
    "/products/nginx",
    "/sources/so-tai-chinh-windows",
    "/sources/so-tai-chinh-windows/live",
)
OTHER = Actor("person", "quan", "administrator", Scope.everything())
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def assert_accessible(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}})
    assert found.violations_count == 0, found.generate_report()


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page of a fresh profile, and what its console complained of (a broken policy, an error)."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
    page = context.new_page()
    page.set_default_timeout(15_000)
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page, complaints
    context.close()


def come_in(page: Page, site: Site, address: str, person: str, language: str = "vi") -> None:
    people.set_language(site.state, person, language)
    secret = links.issue(site.state, OPERATOR, person, now=site.clock.now)
    page.goto(f"{address}/link/{secret}")
    if language != "vi":
        page.click(f".tongues button[value={language}]")
    page.click("main button.main")
    page.wait_for_url("**/tickets")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize("language", ["vi", "en"])
def test_from_a_link_to_a_closed_ticket(
    browser: Browser, site: Site, address: str, language: str, scripts: bool
) -> None:
    say = WORDS[language]
    with opened(browser, java_script_enabled=scripts) as (page, complaints):
        come_in(page, site, address, "an", language)
        page.get_by_role("link", name="Mimikatz Command Line").click()
        page.get_by_role("button", name=say["claim"], exact=True).click()
        page.get_by_text(say["mine"]).wait_for()
        page.select_option("select[name=reason]", label=say["reason"])
        page.fill(".close textarea[name=note]", "máy đã được cách ly")
        page.locator(".close button.main").click()
        page.get_by_role("status").get_by_text(say["closed"]).wait_for()
        assert page.locator("html").get_attribute("lang") == language
        assert page.locator(".history .said").first.inner_text() == "máy đã được cách ly"
        assert complaints == []


def test_a_visitor_comes_to_where_they_wanted_to_be(
    browser: Browser, site: Site, address: str
) -> None:
    people.set_password(site.state, "an", PASSWORD, now=site.clock.now)
    with opened(browser) as (page, complaints):
        page.goto(f"{address}/tickets/1")
        page.fill("[name=person]", "an")
        page.fill("[name=password]", PASSWORD)
        page.click("button.main")
        page.wait_for_url("**/tickets/1")
        assert complaints == []


def test_the_queue_is_live_and_the_focus_stays(browser: Browser, site: Site, address: str) -> None:
    with opened(browser) as (page, complaints):
        come_in(page, site, address, "an")
        for key in ("j", "j", "k"):
            page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == "t1"
        life.claim(site.state, Request(actor=OTHER, ticket="1"), now=site.clock.now)
        page.locator("[data-rows]").get_by_text("Phạm Thu Quân").wait_for()
        assert page.evaluate("document.activeElement.id") == "t1"
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.name") == "words"
        assert complaints == []


def test_hostile_text_stays_text(browser: Browser, site: Site, address: str) -> None:
    with opened(browser) as (page, complaints):
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        come_in(page, site, address, "an")
        page.goto(f"{address}/tickets/5")
        raw = page.locator("pre.raw").first
        assert "<script>alert(1)</script>" in raw.inner_text()
        assert raw.locator("b.odd").all_inner_texts() == ["⟦ESC⟧", "⟦202E⟧", "⟦BEL⟧"]
        assert page.locator("main script").count() == 0
        assert (dialogs, complaints) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    [
        "/sign-in",
        "/tickets",
        "/tickets/5",
        "/hand-over",
        "/figures",
        "/search?q=nginx",
        "/sources",
        "/assets",
        "/runs",
        "/runs/r7",
        "/schedules",
        "/mirrors",
        "/retention",
        f"/coverage?rule={RULE}",
        "/watchlists",
        "/exceptions",
        f"/exceptions/{EXCEPTION}",
        "/exceptions/new?finding=00000000000000000000000000000001&ticket=1",
        "/backtests",
        "/jobs/j1",
        "/watchlists/scanners",
        "/rules",
        f"/rules/{RULE}",
        "/account",
        "/notices",
        "/tickets/5/timeline",
    ],
)
def test_pages_are_accessible(
    browser: Browser, site: Site, address: str, path: str, scheme: str
) -> None:
    """axe-core finds nothing wrong at WCAG 2.2 A and AA."""
    with opened(browser, color_scheme=scheme, bypass_csp=True) as (page, _):
        if path != "/sign-in":
            come_in(page, site, address, "quan")
        page.goto(f"{address}{path}")
        assert broken(page) == {}


def broken(page: Page) -> dict[str, list[str]]:
    """What axe-core finds wrong: rule → elements."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}})
    return {
        one["id"]: [node["html"][:160] for node in one["nodes"]]
        for one in found.response["violations"]
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_sources_are_accessible(
    browser: Browser, site: Site, address: str, scheme: str
) -> None:
    """As above, in one visit, which costs a tenth."""
    with opened(browser, color_scheme=scheme, bypass_csp=True) as (page, _):
        come_in(page, site, address, "quan")
        for path in CONNECTING:
            page.goto(f"{address}{path}")
            assert (path, broken(page)) == (path, {})


def test_nothing_is_wider_than_a_phone(browser: Browser, site: Site, address: str) -> None:
    with opened(browser) as (page, _):
        come_in(page, site, address, "quan")
        page.set_viewport_size({"width": 390, "height": 800})
        for path in (
            "/tickets",
            "/tickets/5",
            "/figures",
            "/search?q=nginx",
            "/sources",
            "/runs",
            *DETECTION,
            *CONNECTING,
        ):
            page.goto(f"{address}{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_the_keys_choose_judge_and_close_several_tickets_at_once(
    browser: Browser, site: Site, address: str
) -> None:
    with opened(browser) as (page, complaints):
        come_in(page, site, address, "an")
        page.goto(f"{address}/tickets")
        for key in ("j", "x", "j", "x", "f"):
            page.keyboard.press(key)
        assert page.locator("#bulk [data-count]").inner_text() == "2"
        assert page.locator("#bulk [name=reason]").input_value() == "false_positive_logic"
        page.keyboard.type("máy quét của mình")  # the note has the focus
        life.claim(site.state, Request(actor=OTHER, ticket="2"), now=site.clock.now)
        page.keyboard.press("Enter")
        outcomes = page.locator("tbody tr")
        assert "xong" in outcomes.nth(0).inner_text()
        assert "held by person:quan" in outcomes.nth(1).inner_text()
        assert_accessible(page)
        assert complaints == []


def test_the_keys_work_on_a_ticket_s_page_and_explain_themselves(
    browser: Browser, site: Site, address: str
) -> None:
    with opened(browser) as (page, complaints):
        come_in(page, site, address, "an", "en")
        page.goto(f"{address}/tickets/1")
        page.keyboard.press("?")
        assert page.locator("dialog#keys").is_visible()
        page.keyboard.press("c")  # the dialog keeps the keys to itself
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        page.wait_for_url("**?notice=claimed")
        page.keyboard.press("t")
        assert page.locator("form[data-verdict] [name=reason]").input_value() == (
            "true_positive_no_impact"
        )
        page.keyboard.press("Escape")
        page.keyboard.press("m")
        page.keyboard.type("4")
        page.keyboard.press("Enter")
        page.wait_for_url("**?notice=merged")
        assert "Part it from #4" in page.content()
        assert_accessible(page)
        assert complaints == []


def test_what_was_chosen_stays_chosen_while_the_list_lives(
    browser: Browser, site: Site, address: str
) -> None:
    with opened(browser) as (page, complaints):
        come_in(page, site, address, "an")
        page.goto(f"{address}/tickets")
        for box in ("1:1", "4:1"):
            page.check(f"input[name=t][value='{box}']")
        life.claim(site.state, Request(actor=OTHER, ticket="4"), now=site.clock.now)
        with page.expect_response("**/tickets/rows*"):
            page.evaluate("htmx.ajax('GET', '/tickets/rows', {target: '#rows'})")
        page.wait_for_selector("input[name=t][value='4:2']")
        assert page.locator("input[name=t]:checked").evaluate_all(
            "all => all.map(b => b.value)"
        ) == ["1:1"]
        assert complaints == []


def test_a_job_s_page_follows_its_work_by_itself(
    browser: Browser, site: Site, address: str
) -> None:
    with opened(browser) as (page, complaints):
        come_in(page, site, address, "an")
        page.goto(f"{address}/rules/{RULE}")
        page.click("button[name=work][value=backtest]")
        page.wait_for_url("**/jobs/*")
        page.get_by_text("Đang chờ xử lý.").wait_for()
        taken = jobs.take(site.state, now=site.clock.now)
        assert taken is not None
        jobs.tell(site.state, taken, 40_000, 100_000, now=site.clock.now)
        page.get_by_text("40.000 / 100.000").wait_for()
        assert page.locator("progress").get_attribute("value") == "40000"
        since = to_iso(site.clock.now)
        found = FOUND | {"since": since, "until": since, "opens_tickets": True}
        jobs.finish(site.state, taken, found, now=site.clock.now)
        page.get_by_role("heading", name="Kết quả").wait_for()
        assert page.locator("progress").count() == 0
        assert complaints == []


SAID = {
    "vi": {
        "asked": "Trung tâm đang chờ đơn vị trả lời",
        "preview": "Xem trước: chưa thay đổi gì",
        "show": "Xem tệp làm gì",
        "do": "Thực hiện",
    },
    "en": {
        "asked": "The centre waits for your answer",
        "preview": "Preview: nothing is changed yet",
        "show": "Show what it does",
        "do": "Carry it out",
    },
}


@pytest.mark.parametrize("language", ["vi", "en"])
def test_an_officer_answers_a_ticket_that_waits_with_a_file(
    browser: Browser, site: Site, address: str, tmp_path: Path, language: str
) -> None:
    request = Request(actor=OTHER, ticket="1")
    life.claim(site.state, request, now=site.clock.now)
    life.wait_for(site.state, request, whom="agency", note="Ai dùng máy?", now=site.clock.now)
    file = tmp_path / "ca sáng.txt"
    file.write_text("chị Lan\n", "utf-8")
    with opened(browser) as (page, complaints):
        come_in(page, site, address, "binh", language)
        page.get_by_role("link", name="Mimikatz Command Line").click()
        page.get_by_text(SAID[language]["asked"]).wait_for()
        page.get_by_text("Ai dùng máy?").first.wait_for()
        with_csp = page.evaluate("document.documentElement.lang")
        assert with_csp == language
        assert page.locator("form[action$='/claim']").count() == 0
        page.fill("form[action$='/comment'] textarea", "Chị Lan, ca sáng.")
        page.set_input_files("form[action$='/comment'] input[type=file]", file)
        page.locator("form[action$='/comment'] button").last.click()
        page.get_by_text("ca sáng.txt").first.wait_for()
        assert page.get_by_text(SAID[language]["asked"]).count() == 0
        assert complaints == []
    with opened(browser, bypass_csp=True) as (page, _):
        life.wait_for(site.state, request, whom="agency", note="Còn gì?", now=site.clock.now)
        come_in(page, site, address, "binh", language)
        page.goto(f"{address}/tickets/1")
        page.get_by_text(SAID[language]["asked"]).wait_for()
        assert_accessible(page)


@pytest.mark.parametrize("language", ["vi", "en"])
def test_assets_come_from_a_file_after_a_preview(
    browser: Browser, site: Site, address: str, tmp_path: Path, language: str
) -> None:
    file = tmp_path / "tai-san.csv"
    file.write_text(
        "kind,pattern,name,system,criticality\nhost,STC-DC01,Máy chủ miền,AD,5\n", "utf-8"
    )
    say = SAID[language]
    with opened(browser, bypass_csp=True) as (page, complaints):
        come_in(page, site, address, "binh", language)
        page.goto(f"{address}/assets")
        page.set_input_files("input[type=file]", file)
        page.select_option("form[action='/assets/preview'] select", OWN)
        page.get_by_role("button", name=say["show"]).click()
        page.get_by_role("heading", name=say["preview"]).wait_for()
        page.get_by_text("so-tai-chinh host stc-dc01").wait_for()
        assert_accessible(page)
        page.get_by_role("button", name=say["do"]).click()
        page.get_by_role("rowheader", name="Máy chủ miền").wait_for()
        assert complaints == []
