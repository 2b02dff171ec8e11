"""From an event's receipt to its ticket: a whole `serve` at default settings, under two thousand events a second.

    python -m tests.bench.bench_flow [--seconds 60] [--rate 2000]

In: how long, and how many events a second, sent by HTTP to ten agencies' sources; all shipped rules are at work. Once
a second an event goes with them that a rule of this bench has a ticket for, on a host of its own. Out: the 50th and
95th percentile and the longest time from the sending of such an event until the API's queue lists its ticket (asked
four times a second, which is in the figure). Goal: p95 ≤10 s. A marker without its ticket is a failure, and so is a
rate that was not held.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.serving import free_port, until

from pipeline.access import people, tokens
from pipeline.detect.register.rules import import_rules
from pipeline.model.clock import CITY_ZONE, utc_now
from pipeline.model.scope import OPERATOR, Actor, Scope
from pipeline.serve.installation import open_home
from pipeline.sources.register import add_agency, add_source

AGENCIES = 10  # a rule's thirty-first ticket of an hour at one agency would hang under another
TICK = 0.1
PATIENCE = 120.0
RULE_ID = "5f1b2a0e-6f50-4a8b-9f0d-0d9f8a7c1e99"
RULE = f"""title: A marker of the bench
id: {RULE_ID}
status: test
level: high
logsource: {{product: windows, category: process_creation}}
detection:
  selection: {{Image|endswith: '\\marker.exe'}}
  condition: selection
"""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--rate", type=int, default=2_000)
    given = options.parse_args()
    if given.seconds > 25 * AGENCIES:
        options.error(f"up to {25 * AGENCIES} seconds: more markers would be taken for a storm")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        collect, console = free_port(), free_port()
        keys, token = prepare(home, collect, console)
        log = Path(folder, "log")
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli.main", "serve", "--home", str(home)],
                stdout=said, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            until(lambda: listed(console, token) == {})  # the console is up, and knows the token
            until(lambda: post(collect, 0, keys[0], []))
            measure(given.seconds, given.rate, collect, console, keys, token)
        except BaseException:
            print(log.read_text("utf-8", "replace")[-4_000:], file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def prepare(home: Path, collect: int, console: int) -> tuple[list[str], str]:
    """A home with agencies, a source each, and somebody with a token. Nothing but ports is set."""
    home.mkdir()
    (home / "thapcanh.yml").write_text(
        f"collect:\n  listeners:\n    - {{name: http, kind: http_bulk, port: {collect}}}\n"
        f"console: {{port: {console}}}\nserve: {{health_port: {free_port()}}}\n"
    )
    rule = home.parent / "marker.yml"
    rule.write_text(RULE)
    here, now = open_home(home), utc_now()
    keys = []
    for n in range(AGENCIES):
        add_agency(here.state, OPERATOR, agency=f"p{n}", name_vi=f"P{n}", name_en=f"P{n}", now=now)
        made = add_source(
            here.state, OPERATOR, source=f"p{n}-win", agency=f"p{n}", product="windows",
            known_products=("windows",), now=now,
        )  # fmt: skip
        keys.append(made.key)
    import_rules(here.state, OPERATOR, [rule], origin="bench", now=now)
    people.add(here.state, OPERATOR, person="an", name="An", role="analyst", now=now)
    token = tokens.issue(
        here.state, Actor("person", "an", "analyst", Scope.everything()), person="an", name="bench",
        permissions=["ticket.read"], expires=now + timedelta(days=1), now=now,
    )  # fmt: skip
    here.close()
    return keys, token


def measure(
    seconds: int, rate: int, collect: int, console: int, keys: list[str], token: str
) -> None:
    sent, seen = dict[str, float](), dict[str, float]()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for host in listed(console, token) or {}:
                seen.setdefault(host, time.monotonic())
            time.sleep(0.25)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    begun, number, batch = time.monotonic(), 0, max(1, int(rate * TICK))
    line = http.client.HTTPConnection("127.0.0.1", collect, timeout=60)
    for tick in range(int(seconds / TICK)):
        time.sleep(max(0.0, begun + tick * TICK - time.monotonic()))
        lines = [
            event(number + n, f"PC-{(number + n) % 500:03}", "notepad.exe") for n in range(batch)
        ]
        number += batch
        agency = tick % AGENCIES
        if tick % int(1 / TICK) == 0:
            second = tick * TICK
            agency = int(second) % AGENCIES
            host = f"MARK-{second:05.0f}"
            lines.append(event(number, host, "marker.exe"))
            sent[host] = time.monotonic()
        while not post(collect, agency, keys[agency], lines, line):
            time.sleep(0.05)  # pushed back: what a sender would do; the rate below tells
    took = time.monotonic() - begun
    late = time.monotonic() + PATIENCE
    while sent.keys() - seen.keys() and time.monotonic() < late:
        time.sleep(0.1)
    over.set()
    watching.join(30)
    missing = sorted(sent.keys() - seen.keys())
    times = sorted(seen[host] - at for host, at in sent.items() if host in seen)
    held = number / took
    if times:
        half, most = times[len(times) // 2], times[int(len(times) * 0.95)]
        print(
            f"event sent → ticket listed, {held:,.0f} events/s for {took:.0f} s, {len(times)} tickets:"
            f"   p50 {half:.1f} s   p95 {most:.1f} s   max {times[-1]:.1f} s"
        )
    if missing:
        sys.exit(f"{len(missing)} markers have no ticket after {PATIENCE:.0f} s: {missing[:5]}")
    if held < 0.95 * rate:
        sys.exit(f"{rate} events a second could not be sent: {held:,.0f}")


def event(number: int, host: str, image: str) -> bytes:
    """A start of a process as NXLog tells it, of the usual size."""
    now = datetime.now(CITY_ZONE)
    document: dict[str, Any] = {
        "EventTime": f"{now:%Y-%m-%d %H:%M:%S}", "Hostname": host, "EventID": 1, "Number": number,
        "SourceName": "Microsoft-Windows-Sysmon", "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Image": f"C:\\Windows\\System32\\{image}", "CommandLine": f'"C:\\Windows\\System32\\{image}" C:\\tai-lieu\\{number}.txt',
        "ParentImage": "C:\\Windows\\explorer.exe", "ParentCommandLine": "C:\\Windows\\explorer.exe",
        "User": f"PHUONG\\nv{number % 90}", "IntegrityLevel": "Medium", "ProcessId": number % 60_000,
        "CurrentDirectory": "C:\\tai-lieu\\", "Company": "Microsoft Corporation", "OriginalFileName": image,
        "Hashes": f"SHA256={number:064x}", "LogonId": "0x3e7", "TerminalSessionId": 1,
    }  # fmt: skip
    return json.dumps(document).encode()


def post(
    port: int, agency: int, key: str, lines: list[bytes], line: http.client.HTTPConnection | None = None
) -> bool:  # fmt: skip
    """Whether the collector has taken them all."""
    own = line or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {key}"}
        own.request("POST", f"/ingest/p{agency}-win", b"\n".join(lines), headers)
        answer = own.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        own.close()
        return False
    finally:
        if line is None:
            own.close()
    return answer.status < 300


def listed(port: int, token: str) -> dict[str, int] | None:
    """The markers' hosts in the queue, with their tickets' numbers; None while the console does not answer."""
    found: dict[str, int] = {}
    cursor = ""
    own = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        while True:
            asked = urlencode({"rule": RULE_ID, "limit": 200, "cursor": cursor})
            own.request(
                "GET", f"/api/v1/tickets?{asked}", headers={"Authorization": f"Bearer {token}"}
            )
            answer = own.getresponse()
            body = answer.read()
            if answer.status != 200:
                return None
            page = json.loads(body)
            found |= {
                one["entity"].rsplit(" ", 1)[-1].upper(): one["number"] for one in page["items"]
            }
            cursor = page["next"] or ""
            if not cursor:
                return found
    except (OSError, http.client.HTTPException):
        return None
    finally:
        own.close()


if __name__ == "__main__":
    os.environ.pop("THAPCANH_HOME", None)
    main()
