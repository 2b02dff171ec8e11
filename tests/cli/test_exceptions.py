"""At the terminal, from a ticket closed as a false positive to an exception of its own fields that is in force."""

from __future__ import annotations

import shlex
from datetime import timedelta

from support.small_home import small_home, spool, work_off
from support.terminal import Terminal

from pipeline.model.clock import utc_now


def test_a_false_positive_becomes_an_exception_from_its_own_fields(terminal: Terminal) -> None:
    here = small_home(terminal.home)
    spool(here, 1, 2)
    work_off(here)
    here.close()
    now = utc_now()
    terminal.at(now)
    last = (now + timedelta(days=30)).date()
    closed = terminal.say("ticket close 1 --reason false_positive_logic --note 'máy quét' --json")
    assert closed.json["status"] == "closed"
    draft = terminal.say("exception draft --ticket 1 --json").json
    chosen = {c["field"]: c["value"] for c in draft["candidates"] if c["asked"] and c["shared"]}
    assert (draft["agency"], list(chosen)) == ("p1", ["Image"])
    assert "Number" not in {c["field"] for c in draft["candidates"] if c["shared"]}
    words = shlex.split(draft["next"])[1:]
    assert f"Image={chosen['Image']}" in words
    start = shlex.join(words[: words.index("--owner")])
    more = f"--owner person:an --reason 'máy quét' --expires {last} --json"
    added = terminal.say(f"{start} {more}")
    id_ = added.json["id"]
    refused = terminal.say(f"exception approve {id_}")
    assert (refused.code, "backtest" in refused.err) == (2, True), refused.err
    assert terminal.say(f"rules backtest {id_} --json").json["now"]["hidden"] == 2
    assert terminal.say(f"exception approve {id_} --json").json["standing"] == "in force"
    shown = terminal.say(f"exception show {id_} --json").json
    assert (shown["standing"], shown["agencies"]) == ("in force", ["p1"])
    finding = terminal.say("finding list --json").json["items"][0]["id"]
    assert "exception add" in terminal.say(f"exception draft {finding[:8]}").out
    assert terminal.say("exception draft").code == 2
