"""Who sends for a source, in the console: unknown senders become sources, keys are shown once and revoked."""

from __future__ import annotations

import html
import re
from datetime import timedelta

from support.console_client import Browser, Site
from support.seed_cast import FOREIGN, OWN

from collectors.receivers.registered import RegisteredDirectory
from pipeline.model.scope import OPERATOR
from pipeline.sources.knocks import list_knocks
from pipeline.sources.senders import means_of


def text_of(browser: Browser, path: str) -> str:
    return html.unescape(browser.get(path).text)


def key_on(page: str) -> tuple[str, str]:
    found = re.search(r'<pre class="raw" tabindex="0">([0-9a-f]{20}):(\S+)</pre>', page)
    assert found is not None
    return found[1], found[2]


def test_an_unknown_sender_becomes_a_new_source(site: Site) -> None:
    admin = site.signed("quan")
    listed = text_of(admin, "/knocks")
    assert all(word in listed for word in ("203.0.113.44", "syslog-udp", "1.204", "912"))
    answer = admin.post(
        "/knocks/1/admit", new="1", agency=OWN, product="nginx", name="Cổng", source="stc-cong"
    )
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/sources/stc-cong?notice=admitted",
    )
    assert "203.0.113.44/32" in text_of(admin, "/sources/stc-cong?notice=admitted")
    found = RegisteredDirectory(site.state).by_address("syslog-udp", "203.0.113.44")
    assert found is not None
    assert (found.source, found.agency, found.product) == ("stc-cong", OWN, "nginx")
    assert "203.0.113.44" not in text_of(admin, "/knocks")


def test_who_came_without_a_key_gets_one_that_is_shown_once(site: Site) -> None:
    admin = site.signed("quan")
    page = admin.post("/knocks/3/admit", source=f"{OWN}-windows")
    key = key_on(page.text)
    found = RegisteredDirectory(site.state).by_key(*key)
    assert found is not None
    assert found.source == f"{OWN}-windows"
    assert key[1] not in text_of(admin, f"/sources/{OWN}-windows")


def test_a_sender_that_cannot_be_admitted_stays_and_the_form_is_kept(site: Site) -> None:
    admin = site.signed("quan")
    answer = admin.post(
        "/knocks/1/admit", new="1", agency=OWN, product="nginx", source="Không đúng"
    )
    assert answer.status_code == 422
    assert "Không đúng" in html.unescape(answer.text)
    assert admin.get("/knocks/1").status_code == 200


def test_who_is_ignored_is_shown_only_when_asked_for(site: Site) -> None:
    admin = site.signed("quan")
    assert admin.post("/knocks/1/ignore", deed="ignore").status_code == 303
    assert "203.0.113.44" not in text_of(admin, "/knocks")
    assert "203.0.113.44" in text_of(admin, "/knocks?ignored=1")
    admin.post("/knocks/1/ignore", deed="show")
    assert len(list_knocks(site.state, OPERATOR)) == 4


def test_an_officer_changes_the_key_of_their_own_source_and_revokes_the_old_one(site: Site) -> None:
    officer, source = site.signed("binh"), f"{OWN}-windows"
    (old,) = means_of(site.state, OPERATOR, source, now=site.clock.now).keys
    page = officer.post(f"/sources/{source}/keys", days="30", overlap="7")
    key_id, secret = key_on(page.text)
    assert "no-store" in page.headers["cache-control"]
    keys = {one.id: one for one in means_of(site.state, OPERATOR, source, now=site.clock.now).keys}
    assert keys[old.id].expires == site.clock.now + timedelta(days=7)
    assert keys[key_id].expires == site.clock.now + timedelta(days=30)
    assert officer.post(f"/sources/{source}/revoke", means=key_id).status_code == 303
    assert RegisteredDirectory(site.state).by_key(key_id, secret) is None
    assert officer.post(f"/sources/{source}/keys", days="0").status_code == 422
    assert officer.post(f"/sources/{FOREIGN}-zimbra/keys", days="30").status_code == 404


def test_a_key_of_another_source_is_not_revoked_from_this_one(site: Site) -> None:
    officer = site.signed("binh")
    keys = {
        source: [one.id for one in means_of(site.state, OPERATOR, source, now=site.clock.now).keys]
        for source in (f"{OWN}-windows", f"{FOREIGN}-zimbra")
    }
    for foreign in keys[f"{FOREIGN}-zimbra"]:
        assert officer.post(f"/sources/{OWN}-windows/revoke", means=foreign).status_code == 422
    for source, held in keys.items():
        after = means_of(site.state, OPERATOR, source, now=site.clock.now).keys
        assert [(one.id, one.state) for one in after] == [(one, "valid") for one in held]


def test_outages_stand_on_the_source_s_page_and_in_the_coverage_answer(site: Site) -> None:
    officer = site.signed("binh")
    assert "Bộ thu nhận bị dừng đột ngột" in text_of(officer, f"/sources/{OWN}-windows")
    rule = "00000001-7c1e-4a5b-9d2f-000000000000"
    asked = text_of(officer, f"/coverage?rule={rule}&agency={OWN}")
    assert "Bộ thu nhận bị dừng đột ngột" in asked
    assert "zimbra" not in asked
