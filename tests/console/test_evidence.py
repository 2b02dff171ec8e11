"""A ticket taken out as evidence: whole, hashed so that any tool can check it, and safe on paper."""

from __future__ import annotations

import hashlib
import json

from support.console_client import Site
from support.people import analyst
from support.seed_cast import HOSTILE

from pipeline.state.tables.detection import FindingRow
from pipeline.tickets import life
from pipeline.tickets.deeds import Request


def test_the_file_holds_rule_events_and_history_under_hashes_that_anyone_can_check(
    site: Site,
) -> None:
    request = Request(actor=analyst(), ticket="5")
    life.comment(site.state, request, text="đã xem <b>", now=site.clock.now)
    answer = site.signed("an").get("/tickets/5/evidence.json")
    assert answer.headers["content-disposition"] == 'attachment; filename="ticket-5.json"'
    body = json.loads(answer.content)
    digest = body.pop("sha256")
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == digest
    (finding,) = body["findings"]
    assert finding["rule_text"].startswith("title: Failed Logon From Public Address")
    assert finding["rule_sha256"] == hashlib.sha256(finding["rule_text"].encode()).hexdigest()
    sample = finding["samples"][0]
    assert sample["original"] == HOSTILE  # neither folded nor cleaned
    assert sample["original_sha256"] == hashlib.sha256(HOSTILE.encode()).hexdigest()
    matched = json.dumps(
        sample["matched"], ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    assert sample["matched_sha256"] == hashlib.sha256(matched.encode()).hexdigest()
    for run in body["runs"]:
        digest = run.pop("sha256")
        text = json.dumps(run, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == digest
    assert sample["source"] == "so-tai-chinh-linux_auth"
    assert [line["what"] for line in body["history"]] == ["opened", "commented"]
    assert (body["taken_by"], body["format"]) == ("person:an", "thapcanh.ticket/1")


def test_an_officer_s_copy_names_no_collector(site: Site) -> None:
    for person, there in (("an", True), ("binh", False)):
        text = site.signed(person).get("/tickets/5/evidence.json").text
        assert ('"window"' in text) == (there and '"runs":[]' not in text)
        assert there or "collect-1" not in text


def test_on_paper_hostile_text_stays_text(site: Site) -> None:
    html = site.signed("an").get("/tickets/5/print").text
    assert "<script" not in html
    assert "⟦202E⟧" in html
    assert "SHA-256" in html
    assert "title: Failed Logon From Public Address" in html


def test_without_the_store_there_is_no_evidence(site: Site) -> None:
    site.store.away = True
    browser = site.signed("an")
    assert browser.get("/tickets/5/evidence.json").status_code == 503
    assert browser.get("/tickets/5/print").status_code == 503


def test_a_foreign_ticket_is_no_evidence(site: Site) -> None:
    browser = site.signed("binh")
    assert browser.get("/tickets/3/evidence.json").status_code == 404
    assert browser.get("/tickets/1/evidence.json").status_code == 200


def test_of_a_correlation_the_rules_that_read_its_events_are_there_at_their_revisions(
    site: Site,
) -> None:
    with site.state.begin() as session:
        finding = session.get_one(FindingRow, f"{5:032x}")
        base = session.get_one(FindingRow, f"{1:032x}").rule
        finding.samples = [
            one | {"rule": base, "rule_title": "Mimikatz"} for one in finding.samples
        ]
    body = json.loads(site.signed("an").get("/tickets/5/evidence.json").content)
    (rule,) = body["rules"]
    assert (rule["rule"], rule["title"]) == (base, "Mimikatz Command Line")
    assert rule["sha256"] == hashlib.sha256(rule["text"].encode()).hexdigest()
    assert {sample["rule"] for sample in body["findings"][0]["samples"]} == {base}
    html = site.signed("an").get("/tickets/5/print").text
    assert rule["sha256"] in html
