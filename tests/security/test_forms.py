"""Forms: sealed, of this site, small; cookies and headers as they must be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.console_client import Browser, Site, open_site
from support.seed_cast import DRAFT, EXCEPTION, PASSWORD

from pipeline.access import links, log, people
from pipeline.access.permissions import PEOPLE_ROLES
from pipeline.console.guard import HEADERS, MAX_BODY
from pipeline.console.pages import PAGES
from pipeline.console.visit import local
from pipeline.model.scope import OPERATOR

POSTS = [page.path for page in PAGES if page.method == "POST"]
FILLED = {
    "number": "1",
    "secret": "x" * 43,
    "schedule": "main",
    "rest": "m1",
    "name": "scanners",
    "source": "so-tai-chinh-windows",
    "knock": "1",
    "rule": "00000001-7c1e-4a5b-9d2f-000000000000",
    "exception": "e0000000-0000-4000-8000-000000000000",
    "job": "j1",
    "draft": DRAFT,
}


@pytest.fixture
def https_site(tmp_path: Path, site: Site) -> Iterator[Site]:
    with open_site(tmp_path / "https.sqlite", site.clock.now, "https://canh.hcm.example") as made:
        yield made


def cookies_of(answer: object) -> list[str]:
    return answer.headers.get_list("set-cookie")  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("seal", [None, "", "x" * 43, "another's"])
def test_a_form_without_its_seal_does_nothing(site: Site, path: str, seal: str | None) -> None:
    browser = site.signed("quan")
    fields = {
        "text": "x",
        "reason": "duplicate",
        "note": "x",
        "password": PASSWORD,
        "again": PASSWORD,
    }
    if seal == "another's":
        fields["seal"] = site.signed("an").seal()
    elif seal is not None:
        fields["seal"] = seal
    answer = browser.client.post(path.format(**FILLED), data=fields)
    assert answer.status_code == 403
    assert "dấu niêm" in answer.text
    assert browser.get("/account").text.count('name="seal"') >= 1  # still signed in


def test_a_visitor_s_form_is_sealed_too(site: Site) -> None:
    people.set_password(site.state, "an", PASSWORD, now=site.clock.now)
    browser = site.visitor()
    stolen = site.visitor().seal("/sign-in")
    browser.get("/sign-in")
    fields = {"seal": stolen, "person": "an", "password": PASSWORD}
    assert browser.client.post("/sign-in", data=fields).status_code == 403


def test_the_access_log_holds_no_link_that_could_still_be_spent(site: Site) -> None:
    secret = links.issue(site.state, OPERATOR, "an", now=site.clock.now)
    assert site.visitor().client.post(f"/link/{secret}", data={"seal": "x"}).status_code == 403
    entries = log.recent(site.state, OPERATOR)
    assert (entries[0].what, entries[0].detail) == ("refused", "POST /link/{secret}")
    assert secret not in str(entries)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(site: Site, headers: dict[str, str]) -> None:
    browser = site.signed("an")
    fields = browser.fields("/tickets/1", "/tickets/1/claim")
    answer = browser.client.post("/tickets/1/claim", data=fields, headers=headers)
    assert answer.status_code == 403
    assert "claim" in browser.get("/tickets/1").text


def test_a_form_too_large_or_of_another_kind_is_refused(site: Site) -> None:
    browser = site.signed("an")
    big = browser.client.post("/tickets/1/comment", data={"text": "x" * MAX_BODY})
    assert big.status_code == 413
    parts = browser.client.post("/tickets/1/claim", files={"text": b"x"})
    assert parts.status_code == 415
    assert browser.client.put("/tickets/1/comment", content=b"").status_code == 405
    assert browser.client.request("DELETE", "/tickets/1").status_code == 405


def test_every_answer_wears_the_headers(site: Site) -> None:
    browser = site.signed("an")
    answers = [
        browser.get(path)
        for path in ("/tickets", "/tickets/999", "/nothing", "/search?q=(", "/static/console.css")
    ]
    answers += [site.visitor().get("/"), browser.client.post("/sign-out"), browser.client.put("/")]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
    assert [one.headers["cache-control"] for one in answers[:4]] == ["no-store"] * 4
    assert "immutable" in answers[4].headers["cache-control"]


def test_no_page_holds_what_the_policy_forbids(site: Site) -> None:
    pages = ["/sign-in", "/tickets", "/tickets/1", "/tickets/5", "/search?q=nginx", "/sources"]
    pages += [
        "/exceptions",
        f"/exceptions/{EXCEPTION}",
        "/exceptions/new",
        "/backtests",
        "/jobs/j1",
    ]
    pages += ["/knocks", "/knocks/1", "/retention"]
    pages += ["/schedules", "/coverage", "/watchlists", "/watchlists/scanners", "/runs/r3"]
    pages += [
        "/onboarding",
        f"/onboarding/{DRAFT}",
        f"/onboarding/{DRAFT}/rules",
        f"/onboarding/{DRAFT}/sender",
    ]
    pages += ["/products", "/products/nginx", "/sources/so-tai-chinh-windows/live"]
    pages += ["/runs", "/rules", "/people", "/account", "/sources/so-tai-chinh-linux_auth"]
    browser = site.signed("quan")
    for path in pages:
        html = browser.get(path).text
        assert (
            re.findall(r"<style|\sstyle=|\son\w+=|<script(?! src=\"/static/)|javascript:", html)
            == []
        )
        assert re.findall(r"(?:src|href)=\"(?:https?:)?//", html) == []


def test_plain_http_cookies_are_hidden_from_scripts_and_other_sites(site: Site) -> None:
    secret = links.issue(site.state, OPERATOR, "an", now=site.clock.now)
    browser = site.visitor()
    answer = browser.post(f"/link/{secret}", seal_from=f"/link/{secret}")
    session = next(one for one in cookies_of(answer) if one.startswith("thapcanh_session="))
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(session.split("; "))
    assert "Max-Age" not in session


def test_behind_https_cookies_are_secure_and_cannot_be_planted(https_site: Site) -> None:
    answer = https_site.visitor().get("/")
    cookie = cookies_of(answer)[0]
    assert cookie.startswith("__Host-thapcanh_visitor=")
    assert "Secure" in cookie.split("; ")
    assert "max-age" in answer.headers["strict-transport-security"]


def signed_in(browser: Browser) -> bool:
    return 'action="/sign-out"' in browser.get("/account").text


def test_a_link_is_spent_by_its_form_and_only_once(site: Site) -> None:
    secret = links.issue(site.state, OPERATOR, "an", now=site.clock.now)
    browser = site.visitor()
    for _ in range(3):  # a mail filter may open it as often as it likes
        assert browser.get(f"/link/{secret}").status_code == 200
    assert browser.post(f"/link/{secret}", seal_from=f"/link/{secret}").status_code == 303
    assert signed_in(browser)
    other = site.visitor()
    assert other.post(f"/link/{secret}", seal_from=f"/link/{secret}").status_code == 403
    assert not signed_in(other)


def test_the_page_of_a_link_tells_nothing_of_it(site: Site) -> None:
    secret = links.issue(site.state, OPERATOR, "an", now=site.clock.now)
    browser = site.visitor()
    browser.get("/sign-in")
    known, unknown = (browser.get(f"/link/{one}").text for one in (secret, "x" * 43))
    assert known.replace(secret, "") == unknown.replace("x" * 43, "")
    assert "Hoài An" not in known


def sign_in(browser: Browser, person: str, password: str, next_page: str = "/") -> int:
    fields = {"person": person, "password": password, "next": next_page}
    return browser.post("/sign-in", seal_from="/sign-in", **fields).status_code


def test_brute_force_is_locked_out_and_cannot_tell_who_exists(site: Site) -> None:
    people.set_password(site.state, "an", PASSWORD, now=site.clock.now)
    browser = site.visitor()
    assert [sign_in(browser, "an", f"guess {n}") for n in range(5)] == [403] * 5
    assert sign_in(browser, "an", PASSWORD) == 403
    browser.get("/sign-in")
    texts = {
        re.sub(
            r'value="[^"]*"',
            "",
            browser.post("/sign-in", seal_from="/sign-in", person=person, password="x").text,
        )
        for person in ("an", "nobody", "kiem", "'; --")
    }
    assert len(texts) == 1
    site.clock.turn(people.LOCK_TIME)
    assert sign_in(browser, "an", PASSWORD) == 303


def test_one_address_gets_thirty_tries_in_five_minutes(site: Site) -> None:
    browser = site.visitor()
    answers = [sign_in(browser, f"nobody-{n}", "x") for n in range(31)]
    assert answers == [403] * 30 + [429]
    site.clock.turn(timedelta(minutes=5))
    assert sign_in(browser, "nobody", "x") == 403


def test_signing_in_makes_a_new_session_and_signing_out_ends_it(site: Site) -> None:
    people.set_password(site.state, "an", PASSWORD, now=site.clock.now)
    browser = site.visitor()
    browser.client.cookies.set("thapcanh_session", "planted")
    assert sign_in(browser, "AN ", PASSWORD, "/sources?x=1") == 303
    cookie = browser.client.cookies.get("thapcanh_session", domain="testserver.local")
    assert cookie != "planted"
    browser.post("/sign-out")
    thief = site.visitor()
    thief.client.cookies.set("thapcanh_session", cookie or "")
    assert not signed_in(thief)


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:x",
        "",
        "/a\nb",
        " /a",
    ],
)
def test_nobody_is_sent_to_another_site(path: str) -> None:
    assert local(path) == "/"


def test_roles_of_people_never_include_the_operator(site: Site) -> None:
    assert {person.role for person in people.list_people(site.state, OPERATOR)} == set(PEOPLE_ROLES)


def test_a_broken_page_tells_no_secrets(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.sources import health as sources

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(sources, "source_lines", breaks)
    answer = site.signed("an").get("/sources")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "Có lỗi xảy ra." in answer.text


def test_strangers_cannot_fill_the_access_log_by_refused_forms(site: Site) -> None:
    browser = site.visitor()
    codes = {browser.client.post("/language", data={"to": "en"}).status_code for _ in range(50)}
    assert codes == {403}
    noted = [one for one in log.recent(site.state, OPERATOR) if one.what == "refused"]
    assert len(noted) == 30
