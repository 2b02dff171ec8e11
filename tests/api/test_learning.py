"""By the API from a verdict to an exception, what is watched for, and what one is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from support.api_client import V1, Api, Caller

from pipeline.detect.jobs import jobs
from pipeline.detect.register.rules import import_rules
from pipeline.model.scope import OPERATOR
from pipeline.state.tables.desk import Notice
from pipeline.state.tables.tickets import Ticket

RULE = "a0000000-0000-4000-8000-000000000000"
TEXT = f"""title: Whoami
id: {RULE}
name: whoami
status: test
level: medium
logsource: {{product: windows, category: process_creation}}
detection:
    selection: {{Image|endswith: whoami.exe}}
    condition: selection
"""


def post(caller: Caller, path: str, body: Any, key: str) -> Any:
    headers = {"Idempotency-Key": key}
    return caller.client.post(f"{V1}{path}", json=body, headers=headers)


def test_a_draft_is_backtested_then_saved_then_approved_by_another(
    api: Api, tmp_path: Path
) -> None:
    state, now = api.site.state, api.site.clock()
    (tmp_path / "r.yml").write_text(TEXT, "utf-8")
    import_rules(state, OPERATOR, [tmp_path / "r.yml"], origin="ours", now=now)
    an, second = api.signed("an"), api.signed("quan")
    draft = {
        "rule": RULE, "where": {"CommandLine": "whoami /all"}, "owner": "Tổ trực", "reason": "kiểm kê",
        "expires": (now + timedelta(days=9)).isoformat(),
    }  # fmt: skip
    refused = post(an, "/exceptions/drafts", draft | {"where": {}}, "d0")
    assert (refused.status_code, refused.json()["detail"][:21]) == (400, "choose a field at lea")
    job = post(an, "/exceptions/drafts", draft, "d").json()["job"]
    assert post(an, "/exceptions/drafts", draft, "d").json() == {"job": job}
    assert post(an, "/exceptions", {"job": job}, "s0").status_code == 409  # nothing is shown yet
    taken = jobs.take(state, now=now)
    assert taken is not None
    jobs.finish(state, taken, {"hidden": 2}, now=now)
    assert an.get(f"/jobs/{job}").json()["result"] == {"hidden": 2}
    assert post(second, "/exceptions", {"job": job}, "s").status_code == 409  # another's
    made = post(an, "/exceptions", {"job": job}, "s").json()["exception"]
    assert post(an, "/exceptions", {"job": job}, "s").json() == {"exception": made}
    assert an.get(f"/exceptions/{made}").json()["found"]["standing"] == "proposed"
    assert post(an, f"/exceptions/{made}/approve", None, "a").status_code == 403
    assert post(second, f"/exceptions/{made}/approve", None, "a").json() == {"exception": made}
    in_force = an.get("/exceptions", standing="in force").json()["items"]
    assert [one["id"] for one in in_force] == [made]
    assert post(an, f"/exceptions/{made}/end", {"reason": "xong"}, "e").status_code == 200
    assert an.get("/exceptions", standing="in force").json() == {"items": [], "next": None}


def test_backtests_are_asked_for_and_their_jobs_paged(api: Api) -> None:
    an = api.by("an")
    neither = post(an, "/backtests", {"days": 7}, "b0")
    assert neither.status_code == 400
    drafts = [TEXT.replace("Whoami", f"Whoami {n}") for n in range(3)]
    made = [
        post(an, "/backtests", {"draft": text}, f"b{n + 1}").json()["job"]
        for n, text in enumerate(drafts)
    ]
    seen, cursor = [], ""
    while True:
        page = an.get("/jobs", limit=2, cursor=cursor).json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert [one for one in seen if one in made] == made[::-1]
    assert post(an, f"/jobs/{made[0]}/cancel", None, "c").status_code == 200
    assert an.get(f"/jobs/{made[0]}").json()["status"] == "cancelled"


def test_a_watch_list_is_made_changed_paged_and_dropped(api: Api) -> None:
    an = api.by("an")
    lines = {"add": ["1.2.3.4", "5.6.7.8"], "kind": "address", "note": "từ cảnh báo"}
    assert post(an, "/watchlists/bad_ips", lines, "w").json() == {"added": 2, "removed": 0}
    assert post(an, "/watchlists/bad_ips", lines, "w").json() == {"added": 2, "removed": 0}
    assert post(an, "/watchlists/bad_ips", lines, "w2").json() == {"added": 0, "removed": 0}
    odd = post(an, "/watchlists/bad_ips", lines | {"add": ["x y"]}, "w3")
    assert odd.status_code in (400, 422)
    first = an.get("/watchlists/bad_ips", limit=1).json()
    then = an.get("/watchlists/bad_ips", limit=1, cursor=first["next"]).json()
    assert [one["value"] for one in first["items"] + then["items"]] == ["1.2.3.4", "5.6.7.8"]
    assert then["next"] is None
    names = [one["name"] for one in an.get("/watchlists").json()["items"]]
    assert "bad_ips" in names
    assert post(an, "/watchlists/bad_ips/drop", {"note": "xong"}, "x").json()["removed"] == 2
    assert an.get("/watchlists/bad_ips").status_code == 404


def test_ones_own_notices_are_paged_and_marked_by_a_token_of_the_person(api: Api) -> None:
    now = api.site.clock()
    with api.site.state.begin() as session:
        ticket = session.query(Ticket).filter(Ticket.number == 1).one()
        for n, person in enumerate(("an", "an", "an", "quan")):
            session.add(
                Notice(
                    person=person, ticket=ticket.id, cause=f"c{n}", kind="assigned", at=now, seen=None,
                    mail_due=None,
                )
            )  # fmt: skip
    an = api.by("an")
    first = an.get("/notices", limit=2).json()
    then = an.get("/notices", limit=2, cursor=first["next"]).json()
    assert (first["unseen"], len(first["items"]), len(then["items"]), then["next"]) == (
        3,
        2,
        1,
        None,
    )
    upto = first["items"][1]["id"]
    assert post(an, "/notices/seen", {"upto": upto}, "n").json() == {"unseen": 1}
    assert api.by("quan").get("/notices").json()["unseen"] == 1
