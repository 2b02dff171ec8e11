"""Dead letters in the console: listed by cause, product and source, shown safely, taken in again by who may."""

from __future__ import annotations

import html
import re

import pytest
from support.console_client import Site
from support.seed_cast import FOREIGN, OWN

from pipeline.console.hexdump import hexdump
from pipeline.detect.jobs import jobs
from pipeline.model.scope import OPERATOR
from pipeline.state.tables.intake import DeadLetterRow

SOURCE = f"{OWN}-linux_auth"


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def foreign_letter(site: Site) -> int:
    with site.state.begin() as session:
        row = DeadLetterRow(
            node="collect-1", sequence=90, source=f"{FOREIGN}-zimbra", agency=FOREIGN, cause="poison",
            message="2 processes died", received=site.clock.now, body=b"\xff\xfeA\x00",
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


def test_letters_stand_by_cause_product_and_source(site: Site) -> None:
    foreign_letter(site)
    page = text_of(site.signed("an").get("/letters").text)
    assert "Không hiểu được linux_auth Linux Auth 03" in page
    assert "Làm dừng tiến trình đọc zimbra Zimbra 06" in page
    only = text_of(site.signed("an").get("/letters?product=zimbra").text)
    assert "2 processes died" in only
    assert "expected a time" not in only


def test_a_letter_shows_its_bytes_and_obeys_none_of_them(site: Site) -> None:
    page = site.signed("an").get("/letters/1").text
    assert "<script>alert" not in page
    assert "⟦202E⟧" in page
    assert "0000  73 73 68 64 5b 31 5d 3a" in page
    assert hexdump(b"\xff\xfeA\x00" * 5)[1:] == [("0010", "ff fe 41 00", "··A·")]


def test_an_officer_sees_and_replays_their_own_alone(site: Site) -> None:
    other = foreign_letter(site)
    officer = site.signed("binh")
    assert "zimbra" not in officer.get("/letters").text.lower()
    assert officer.get(f"/letters/{other}").status_code == 404
    assert officer.post("/letters/replay", letter=str(other)).status_code == 404
    answer = officer.send(f"/letters?source={SOURCE}", "/letters/replay", force="1")
    assert answer.status_code == 303
    (job,) = jobs.list_jobs(site.state, OPERATOR, kinds=jobs.REPLAY, now=site.clock.now)
    assert (job.asked, job.by) == (
        {"cause": "", "product": "", "source": SOURCE, "agency": "", "force": True},
        "person:binh",
    )
    taken = jobs.take(site.state, jobs.REPLAY, now=site.clock.now)
    assert taken is not None
    assert taken.actor.scope.agencies == {OWN}
    assert site.signed("an").get(f"/jobs/{job.id}").status_code == 200
    assert site.signed("an").post("/letters/replay", letter="1").status_code == 403


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 422), ({"force": "1"}, 422), ({"letter": "x"}, 400)]
)
def test_a_replay_names_its_letters(site: Site, fields: dict[str, str], status: int) -> None:
    assert site.signed("quan").post("/letters/replay", **fields).status_code == status
    assert jobs.list_jobs(site.state, OPERATOR, kinds=jobs.REPLAY, now=site.clock.now) == []


def test_a_replay_s_page_says_how_far_it_is_and_what_came_of_it(site: Site) -> None:
    admin = site.signed("quan")
    path = admin.post("/letters/replay", source=SOURCE).headers["location"]
    assert "Đang chờ xử lý." in text_of(admin.get(path).text)
    taken = jobs.take(site.state, jobs.REPLAY, now=site.clock.now)
    assert taken is not None
    jobs.tell(site.state, taken, 4, 10, now=site.clock.now)
    assert "4 / 10" in text_of(admin.get(path).text)
    result = {
        "node": "replay-1", "records": 10, "unchanged": 2, "impossible": 1,
        "why": ["7: the source is not in the register"], "stored": 9, "known": 1, "refused": 0,
        "dropped": 0, "failed": 3,
    }  # fmt: skip
    jobs.finish(site.state, taken, result, now=site.clock.now)
    page = text_of(admin.get(path).text)
    for said in (
        "Đã đọc lại 10", "Đã thành sự kiện 6", "Vẫn không đọc được 3", "Đã có sẵn 1",
        "Các luật đã xét chưa", "Để nguyên 2", "7: the source is not in the register",
    ):  # fmt: skip
        assert said in page
    assert "bản ghi đã đọc lại" in text_of(admin.get("/letters").text)
    assert "Đọc lại bản ghi hỏng" not in text_of(admin.get("/backtests").text)
