"""Deeds by HTTP: compare-and-set, once per key, many at once; and what is no deed at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from support.api_client import V1, Api
from support.findings import Given, take

from pipeline.state.tables.access import Person
from pipeline.state.tables.tickets import Ticket


def test_a_deed_needs_what_was_seen_and_says_who_was_first(api: Api) -> None:
    an, quan = api.by("an"), api.by("quan")
    seen = an.get("/tickets/1").headers["ETag"]
    bare = an.client.post(f"{V1}/tickets/1/claim", headers={"Idempotency-Key": "a"})
    assert (bare.status_code, bare.headers["content-type"]) == (428, "application/problem+json")
    done = quan.deed(1, "claim", seen=seen)
    assert (done.status_code, done.headers["ETag"]) == (200, '"2"')
    stale = an.deed(1, "claim", seen=seen)
    told = stale.json()
    assert (stale.status_code, told["type"]) == (412, "urn:thapcanh:problem:stale")
    assert told["expected"] == f"revision 2, claimed, held by {done.json()['owner']}"
    held = an.deed(1, "claim", seen='"2"')
    assert (held.status_code, held.json()["got"]) == (
        409,
        f"claimed, held by {done.json()['owner']}",
    )


def test_a_repeat_under_its_key_gets_the_first_answer_and_another_deed_under_it_is_refused(
    api: Api,
) -> None:
    an = api.by("an")
    first = an.deed(1, "claim", seen='"1"', key="k")
    assert an.deed(1, "claim", seen='"1"', key="k").json() == first.json()
    assert an.deed(1, "start", seen='"2"', key="k").status_code == 409
    assert len(an.get("/tickets/1/history").json()["items"]) == 2


def test_every_write_needs_a_key(api: Api) -> None:
    answer = api.by("an").client.post(f"{V1}/tickets/1/claim", headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (
        422,
        "header.Idempotency-Key",
    )


def test_a_life_by_http(api: Api) -> None:
    an = api.by("an")
    for name, words in (
        ("claim", None),
        ("start", {}),
        ("tag", {"tag": "mimikatz"}),
        ("tlp", {"tlp": "red"}),
        ("severity", {"severity": "low", "note": "chỉ là thử"}),
        ("check", {"step": "0" * 16}),
        ("comment", {"text": "xem **máy chủ**"}),
        ("wait", {"whom": "agency", "note": "ai đăng nhập?"}),
        ("start", None),
        ("close", {"reason": "test_drill", "note": "xong"}),
        ("reopen", {"note": "chưa xong"}),
        ("merge", {"into": 4}),
        ("unmerge", {"note": "khác nhau"}),
        ("assign", {"to": "quan"}),
        ("take-over", {"note": "hết ca"}),
        ("release", {"note": "trả lại"}),
    ):
        answer = an.deed(1, name, words)
        assert answer.status_code == 200, (name, answer.text)
    now = an.get("/tickets/1").json()
    assert (now["ticket"]["status"], now["ticket"]["tlp"], now["tags"]) == (
        "new",
        "red",
        ["mimikatz"],
    )
    history = an.get("/tickets/1/history", limit=5).json()
    whole = history["items"]
    while history["next"]:
        history = an.get("/tickets/1/history", limit=5, cursor=history["next"]).json()
        whole += history["items"]
    assert [line["place"] for line in whole] == list(range(1, len(whole) + 1))
    assert [line["what"] for line in whole][-4:] == [
        "unlinked",
        "assigned",
        "taken_over",
        "released",
    ]


def test_an_officer_answers_a_ticket_that_waits_for_them(api: Api) -> None:
    an = api.by("an")
    an.deed(1, "claim")
    an.deed(1, "wait", {"whom": "agency", "note": "ai đăng nhập?"})
    assert api.by("binh").deed(1, "comment", {"text": "kế toán"}).json()["status"] == "in_progress"


def test_many_at_once_have_an_outcome_each(api: Api) -> None:
    an = api.by("an")
    body = {
        "deed": "claim",
        "tickets": [{"number": 1, "revision": 1}, {"number": 3, "revision": 9}, {"number": 99}],
    }
    answer = an.bulk(body, key="m").json()
    assert answer["done"] == 1
    assert answer["items"][0]["outcome"]["status"] == "claimed"
    assert [one["problem"]["status"] for one in answer["items"][1:]] == [412, 404]
    assert an.bulk(body, key="m").json()["items"][0] == answer["items"][0]
    assert an.bulk({"deed": "close", "tickets": [{"number": 1}]}).json()["where"] == "words.note"
    over = {"deed": "claim", "tickets": [{"number": n} for n in range(1, 102)]}
    assert an.bulk(over).status_code == 422


def test_pages_of_the_queue_follow_each_other_and_filters_are_exact(api: Api) -> None:
    an = api.by("an")
    whole = [one["number"] for one in an.get("/tickets").json()["items"]]
    paged, cursor = [], ""
    while True:
        page = an.get("/tickets", limit=3, cursor=cursor).json()
        paged += [one["number"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == whole
    for bad in ({"stauts": "open"}, {"limit": 0}, {"drill": "x"}):
        assert an.get("/tickets", **bad).status_code == 422
    for bad in ({"status": "odd"}, {"cursor": "!!"}, {"cursor": "AAAA"}, {"severity": "x"}):
        assert an.get("/tickets", **bad).status_code == 400
    assert an.get("/tickets", owner="me").json()["items"] == []
    an.deed(1, "claim")
    assert [one["number"] for one in an.get("/tickets", owner="me").json()["items"]] == [1]


def test_of_two_hundred_claims_on_fifty_tickets_each_ticket_has_one_winner(api: Api) -> None:
    state, now = api.site.state, api.site.clock()
    with state.begin() as db:
        db.add_all(Person(id=f"p{n}", name=f"P {n}", role="analyst", created=now) for n in range(4))
    take(state, [Given(f"f{n}", entity=f"pc-{n}", agency=f"ward-{n}") for n in range(50)])
    with state.read() as db:
        free = [t.number for t in db.query(Ticket).filter(Ticket.agency.startswith("ward-"))]
    callers = [api.by(f"p{n}") for n in range(4)]

    def attempt(job: tuple[int, int]) -> tuple[int, int]:
        who, number = job
        return number, callers[who].deed(number, "claim", seen='"1"', key=f"c{number}").status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, [(who, number) for number in free for who in range(4)]))
    assert len(free) == 50
    for number in free:
        codes = sorted(code for one, code in answers if one == number)
        assert codes == [200, 412, 412, 412]


def test_a_caller_has_so_many_requests_a_minute_and_another_has_their_own(api: Api) -> None:
    api.per_minute = 3
    an, quan = api.by("an"), api.by("quan")
    assert [an.get("/me").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert an.get("/me").headers["Retry-After"] == "10"
    assert quan.get("/me").status_code == 200
    api.site.clock.turn(timedelta(minutes=1))
    assert an.get("/me").status_code == 200


def test_a_stranger_may_not_guess_for_ever(api: Api) -> None:
    stranger = api.stranger()
    stranger.client.headers["Authorization"] = "Bearer tct_" + "0" * 16 + "_" + "x" * 43
    codes = [stranger.get("/tickets").status_code for _ in range(32)]
    assert codes == [401] * 30 + [429] * 2
    assert stranger.get("/tickets").json()["status"] == 429


def test_bodies_are_small_and_json(api: Api) -> None:
    an = api.by("an")
    assert an.deed(1, "comment", {"text": "x" * 70_000}).status_code == 413
    assert an.deed(1, "comment", {"text": "x" * 20_001}).status_code == 422
    headers = {"If-Match": "*", "Idempotency-Key": "b"}
    form = an.client.post(f"{V1}/tickets/1/comment", data={"text": "x"}, headers=headers)
    assert form.status_code == 415
    for body in (b"{", b"[]", b'{"text": 7}', b'{"text": "a", "more": 1}', b"\xff", b"[" * 30_000):
        answer = an.client.post(
            f"{V1}/tickets/1/comment", content=body,
            headers={**headers, "Content-Type": "application/json"},
        )  # fmt: skip
        assert (answer.status_code, answer.headers["content-type"]) in {
            (422, "application/problem+json"), (400, "application/problem+json"),
        }, body[:20]  # fmt: skip


def test_hostile_words_come_back_as_they_went_in_and_as_data(api: Api) -> None:
    an = api.by("an")
    text = "<script>alert(1)</script> \u202egpj.exe =cmd|' /C calc'!A0 \x1b[31m\n\ndata: x"
    assert an.deed(1, "comment", {"text": text}).status_code == 200
    answer = an.get("/tickets/1/history")
    assert answer.json()["items"][-1]["text"] == text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert an.deed(1, "comment", {"text": "a\0b"}).status_code == 200
    headers = {"If-Match": "*", "Idempotency-Key": "s", "Content-Type": "application/json"}
    lone = an.client.post(
        f"{V1}/tickets/1/comment", content=b'{"text": "\\ud800"}', headers=headers
    )
    assert lone.status_code in {200, 422}
    for odd in ('"x"', "7", '""', '"1', 'W/"1"', '"9999999999999999999"'):
        assert an.deed(1, "claim", seen=odd).status_code == 400, odd


def test_other_addresses_and_methods_are_problems_too(api: Api) -> None:
    an = api.by("an")
    for method, path, code in (
        ("GET", "/nothing", 404), ("DELETE", "/tickets", 405), ("PUT", "/tickets/1", 405),
        ("GET", "/tickets/0", 422), ("GET", "/tickets/x", 422), ("GET", "/tickets/999", 404),
    ):  # fmt: skip
        answer = an.client.request(method, V1 + path)
        assert (answer.status_code, answer.json()["status"]) == (code, code), path
        assert answer.headers["content-type"] == "application/problem+json"


def test_while_the_store_is_away_a_ticket_says_so_and_its_evidence_is_refused(api: Api) -> None:
    an = api.by("an")
    api.site.store.away = True
    assert an.get("/tickets/1").json()["store_away"] is True
    assert an.get("/tickets/1/evidence").status_code == 503
    away = an.get("/events", q="nginx")
    assert (away.status_code, away.headers["Retry-After"]) == (503, "5")
