"""What else the console shows: counts, timelines, evidence, views, the notes of shifts, mirrors."""

from __future__ import annotations

import hashlib
import json

from support.api_client import V1, Api, Caller
from support.seed_cast import FOREIGN, OWN

from pipeline.state.tables.tickets import MirrorState, Outbox, Ticket


def test_counts_are_of_the_reader_s_reach_and_follow_the_deeds(api: Api) -> None:
    an = api.by("an")
    before = an.get("/tickets/counts").json()
    an.deed(1, "claim")
    an.deed(1, "wait", {"whom": "agency", "note": "Ai?"})
    whole = an.get("/tickets/counts", status="closed").json()  # whatever it says of status
    assert whole == before | {"free": before["free"] - 1, "mine": 1, "waiting": 1}
    mine = api.by("binh").get("/tickets/counts").json()
    assert 0 < mine["open"] < whole["open"]
    assert an.get("/tickets/counts", agency=OWN).json()["open"] == mine["open"]


def test_a_timeline_tells_what_the_entity_did(api: Api) -> None:
    an = api.by("an")
    found = an.get("/tickets/5/timeline").json()
    assert (found["number"], found["entity"]) == (5, "203.0.113.9")
    ids = [one["event"]["id"] for one in found["items"]]
    assert set(found["own"]) <= set(ids)
    assert an.get("/tickets/5/timeline", limit=5).status_code == 422
    narrow = api.by("an", permissions=["ticket.read"])
    assert narrow.get("/tickets/5/timeline").status_code == 403


def test_evidence_comes_as_json_and_for_paper_with_the_same_hash(api: Api) -> None:
    an = api.by("an")
    body = an.get("/tickets/5/evidence").json()
    digest = body.pop("sha256")
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == digest
    for language, word in (("vi", "Lịch sử"), ("en", "History")):
        page = an.get("/tickets/5/evidence.html", language=language)
        assert page.headers["content-disposition"] == 'attachment; filename="ticket-5.html"'
        assert word in page.text
        assert digest in page.text
        assert "<script" not in page.text
        assert "⟦202E⟧" in page.text
        assert "<link" not in page.text
    assert an.get("/tickets/5/evidence.html", language="fr").status_code == 422


def views(caller: Caller) -> list[tuple[str, str]]:
    return [(one["name"], one["query"]) for one in caller.get("/views").json()["items"]]


def test_views_are_one_s_own_and_hold_filters_alone(api: Api) -> None:
    an, browser = api.signed("an"), api.site.signed("an")
    kept = {"name": "ca đêm", "query": "at_least=high&owner=none"}
    for _ in range(2):
        assert an.client.put(f"{V1}/views", json=kept).json() == {"items": [kept]}
    assert "at_least=high" in browser.get("/tickets").text  # the console's, too
    odd = an.client.put(f"{V1}/views", json=kept | {"query": "at_least=high&x=1"})
    assert (odd.status_code, odd.json()["got"]) == (400, "x")
    assert views(api.signed("quan")) == []
    for _ in range(2):
        assert an.client.delete(f"{V1}/views", params={"name": "ca đêm"}).json() == {"items": []}


def test_a_shift_is_handed_over_once(api: Api) -> None:
    an = api.by("an")
    for number in (1, 2):
        an.deed(number, "claim")
    said = {"text": "còn **hai** phiếu", "to": "quan", "tickets": [1, 2, 3]}
    for _ in range(2):
        answer = an.client.post(f"{V1}/hand-overs", json=said, headers={"Idempotency-Key": "h"})
        assert (answer.status_code, answer.json()) == (200, {"tickets": [1, 2]})
    (note,) = an.get("/hand-overs").json()["items"]
    assert (note["text"], note["tickets"]) == ("còn **hai** phiếu", [1, 2])
    assert api.by("binh").get("/hand-overs").json()["items"] == []
    assert [t["number"] for t in an.get("/tickets", owner="person:quan").json()["items"]] == [1, 2]


def test_mirrors_stand_and_their_dead_deeds_are_sent_again_within_reach(api: Api) -> None:
    state, now = api.site.state, api.site.clock()
    from pipeline.settings.values import MirrorSettings, MirrorSystem
    from pipeline.tickets.outbox.rows import know_mirrors

    system = MirrorSystem(name="jira", kind="jira", url="https://jira.example")
    know_mirrors(state, MirrorSettings(systems=[system]))
    with state.begin() as db:
        assert db.get(MirrorState, "jira") is not None
        for ticket in db.query(Ticket).filter(Ticket.agency.in_((OWN, FOREIGN))).limit(2):
            db.add(
                Outbox(
                    ticket=ticket.id, mirror="jira", what="opened", key=ticket.id, body={},
                    state="dead", made=now, due=now, error="HTTP 400",
                )
            )  # fmt: skip
    an, quan = api.by("an"), api.by("quan")
    (one,) = an.get("/mirrors").json()["items"]
    assert {k: one[k] for k in ("mirror", "kind", "proven", "dead")} == {
        "mirror": "jira", "kind": "jira", "proven": False, "dead": 2,
    }  # fmt: skip
    page = an.get("/mirrors/dead", limit=1).json()
    rest = an.get("/mirrors/dead", limit=1, cursor=page["next"]).json()
    assert [len(page["items"]), len(rest["items"]), rest["next"]] == [1, 1, None]

    def again(key: str, **said: object) -> tuple[int, dict[str, object]]:
        answer = quan.client.post(
            f"{V1}/mirrors/replay", json=said, headers={"Idempotency-Key": key}
        )
        return answer.status_code, answer.json()

    first = page["items"][0]["id"]
    assert [again("a", id=first) for _ in range(2)] == [(200, {"replayed": 1})] * 2
    assert again("b", id=first)[0] == 404
    assert again("c", mirror="jira") == (200, {"replayed": 1})
    assert again("d")[0] == 400
