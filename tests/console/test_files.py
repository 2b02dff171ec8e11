"""An officer answers with a file; everybody who may read the ticket gets it as a download, nobody else."""

from __future__ import annotations

import re

import pytest
from httpx import Response
from support.console_client import Browser, Site

from pipeline.model.scope import Actor, Scope
from pipeline.tickets import life
from pipeline.tickets.deeds import Request

AN = Actor("person", "an", "analyst", Scope.everything())
PAGE = "/tickets/1"
FORM = "/tickets/1/comment"


def send(browser: Browser, *files: tuple[str, bytes], text: str = "") -> Response:
    data = browser.fields(PAGE, FORM) | {"text": text}
    return browser.client.post(FORM, data=data, files=[("file", one) for one in files])


def wait(site: Site) -> None:
    request = Request(actor=AN, ticket="1")
    life.claim(site.state, request, now=site.clock.now)
    life.wait_for(site.state, request, whom="agency", note="Ai dùng máy này?", now=site.clock.now)


def test_an_officer_answers_with_a_file_and_the_ticket_waits_no_more(site: Site) -> None:
    wait(site)
    officer = site.signed("binh")
    html = officer.get(PAGE).text
    assert "Trung tâm đang chờ đơn vị trả lời" in html
    assert "Ai dùng máy này?" in html
    answer = send(officer, ("../nhật\u202e ký.txt", b"lan, ca sang\n"), text="Chị Lan.")
    assert answer.status_code == 303
    html = site.signed("an").get(PAGE).text
    assert "Trung tâm đang chờ" not in html
    assert "Chị Lan." in html
    assert "SHA-256" in html
    path = re.search(r'href="(/tickets/1/files/[^"]+)"', html)
    assert path is not None
    for person in ("an", "binh", "kiem"):
        got = site.signed(person).get(path[1])
        assert got.content == b"lan, ca sang\n"
        assert {name: got.headers[name] for name in (
            "content-type", "x-content-type-options", "content-disposition", "content-security-policy",
        )} == {
            "content-type": "application/octet-stream",
            "x-content-type-options": "nosniff",
            "content-disposition":
                "attachment; filename=\"nh_t k_.txt\"; filename*=UTF-8''nh%E1%BA%ADt%20k%C3%BD.txt",
            "content-security-policy": "default-src 'none'; sandbox",
        }  # fmt: skip


def test_a_file_of_another_ticket_or_agency_is_not_there(site: Site) -> None:
    an = site.signed("an")
    assert send(an, ("a.txt", b"mot")).status_code == 303
    path = re.search(r'href="(/tickets/1/files/([^"]+))"', an.get(PAGE).text)
    assert path is not None
    assert an.get(f"/tickets/2/files/{path[2]}").status_code == 404
    assert site.signed("binh").get(f"/tickets/3/files/{path[2]}").status_code == 404
    assert an.get(path[1]).status_code == 200


@pytest.mark.parametrize(
    ("files", "status", "says"),
    [
        ([("a.exe", b"MZ\x90\0")], 422, "không nhận loại tệp này"),
        ([("a.txt", b"")], 422, "tệp trống"),
        ([(f"{n}.txt", b"x") for n in range(5)], 422, "phiếu đã có số tệp tối đa"),
        ([("a.txt", b"x" * 200_001)], 413, "tệp quá lớn"),
        ([("a.txt", b"x" * 300_000)], 413, "các tệp quá lớn"),
        ([(f"{n}.txt", b"x") for n in range(30)], 400, "không đọc được biểu mẫu"),
    ],
)
def test_a_file_that_is_not_taken_is_explained(
    site: Site, files: list[tuple[str, bytes]], status: int, says: str
) -> None:
    answer = send(site.signed("an"), *files, text="lời")
    assert answer.status_code == status
    assert says in answer.text
    assert "attachments" not in {path.name for path in site.shelf.folder.parent.iterdir()}


def test_who_may_not_comment_has_no_form_read(site: Site) -> None:
    """An auditor and a visitor send megabytes: the answer comes, and nothing of it is kept."""
    for browser, status in ((site.signed("kiem"), 403), (site.visitor(), 401)):
        answer = browser.client.post(FORM, files={"file": ("a.txt", b"x" * 3_000_000)})
        assert answer.status_code == status


def test_files_come_on_no_other_form(site: Site) -> None:
    an = site.signed("an")
    answer = an.client.post("/tickets/1/claim", files={"file": ("a.txt", b"x")})
    assert answer.status_code == 415


def test_a_form_with_files_needs_its_seal(site: Site) -> None:
    an = site.signed("an")
    answer = an.client.post(FORM, data={"text": "x"}, files={"file": ("a.txt", b"x")})
    assert answer.status_code == 403
