"""What the console does ahead of its visitors."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from starlette.applications import Starlette
from support.console_client import Site as Seeded

from pipeline.console.site import Site
from pipeline.detect.reads.standing import Judged, RuleJudge
from pipeline.detect.register.rules import import_rules
from pipeline.model.scope import OPERATOR

RULE = """title: Probe {0}
id: a0000000-0000-4000-8000-00000000000{0}
level: low
logsource: {{category: webserver}}
detection: {{s: {{cs-method: POST}}, condition: s}}
"""


class Counted(RuleJudge):
    """Counts how often the rules were judged anew; the first time fails."""

    asked = 0

    def __call__(self) -> Judged:
        self.asked += 1
        if self.asked == 1:
            raise OSError("the state is away")
        return super().__call__()


def test_changed_rules_are_judged_again_without_a_visitor_and_a_failure_ends_nothing(
    site: Seeded, tmp_path: Path
) -> None:
    pages, stop = Starlette(), threading.Event()
    judge = pages.state.rules = Counted(site.state)
    ahead = threading.Thread(
        target=Site(pages, Starlette).keep_warm, args=(stop, 0.01), daemon=True
    )
    ahead.start()
    try:
        for number in (1, 2):
            (tmp_path / "r.yml").write_text(RULE.format(number), "utf-8")
            import_rules(
                site.state, OPERATOR, [tmp_path / "r.yml"], origin="ours", now=site.clock.now
            )
            rule = f"a0000000-0000-4000-8000-00000000000{number}"
            limit = time.monotonic() + 30
            while judge._made is None or judge._made[1].standing(rule, {}) is None:
                assert time.monotonic() < limit
                time.sleep(0.01)
    finally:
        stop.set()
        ahead.join(10)
    assert not ahead.is_alive()
