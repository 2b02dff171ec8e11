"""A whole system on a disk that fills to its last byte and is freed again; says in JSON what was seen.

``python full_disk.py FOLDER``, FOLDER being a small disk of its own."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
from support.cli_words import EVENT, RULE
from support.serving import free_port, until

SCRIPT = str(Path(__file__).with_name("small_disk.py"))


class Story:
    def __init__(self, root: Path) -> None:
        self.root, self.home = root, root / "home"
        self.http, self.health_port = free_port(), free_port()
        self.home.mkdir()
        (self.home / "thapcanh.yml").write_text(
            f"collect:\n  listeners:\n    - {{name: http, kind: http_bulk, port: {self.http}}}\n"
            f"detect: {{interval: 0.3}}\nconsole: {{port: {free_port()}}}\n"
            f"serve: {{health_port: {self.health_port}, stuck_after: 5}}\n"
        )
        (root / "rule.yml").write_bytes(RULE)
        self.number = self.accepted = 0
        self.key = ""

    def say(self, *words: str) -> Any:
        done = subprocess.run(
            [sys.executable, SCRIPT, *words, "--home", str(self.home)],
            capture_output=True, check=False,
        )  # fmt: skip
        return json.loads(done.stdout) if "--json" in words else done.stdout.decode()

    def send(self) -> requests.Response | None:
        """Twenty events that the rule finds; the same again until they are accepted."""
        lines = [
            json.dumps(EVENT | {"Number": self.number * 20 + i, "Pad": os.urandom(300).hex()})
            for i in range(20)
        ]
        key = base64.b64encode(self.key.encode()).decode()
        try:
            answer = requests.post(
                f"http://127.0.0.1:{self.http}/ingest/p1-win", data="\n".join(lines).encode(),
                headers={"Authorization": f"ApiKey {key}"}, timeout=10,
            )  # fmt: skip
        except requests.ConnectionError:
            return None
        if answer.status_code == 200:
            self.number += 1
            self.accepted += 20
        return answer

    def accept(self) -> bool:
        answer = self.send()
        return answer is not None and answer.status_code == 200

    def health(self) -> dict[str, Any]:
        try:
            answer = requests.get(f"http://127.0.0.1:{self.health_port}/health", timeout=5)
        except requests.ConnectionError:
            return {}
        return {"code": answer.status_code, **answer.json()}

    def free(self) -> int:
        stat = os.statvfs(self.root)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leave: int) -> None:
        with (self.root / "ballast").open("ab", buffering=0) as ballast:
            try:
                while self.free() > leave:
                    ballast.write(bytes(min(65_536, max(4_096, self.free() - leave))))
            except OSError:
                return

    def tell(self) -> dict[str, Any]:
        self.say("agency", "add", "p1", "--name", "P1")
        self.key = self.say(
            "source", "add", "p1-win", "--agency", "p1", "--product", "windows", "--json"
        )["key"]
        self.say("rules", "import", str(self.root / "rule.yml"), "--name", "test")
        said = self.root.parent / "said"  # on another disk
        with said.open("wb") as sink:
            server = subprocess.Popen(
                [sys.executable, SCRIPT, "serve", "--home", str(self.home)], stderr=sink
            )
        try:
            seen = self._with()
            # The log's last block may have had room for a line.
            log = (self.home / "log" / "supervisor.log").read_text()
            return {**seen, "said": said.read_text() + log}
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
                server.wait(15)

    def _with(self) -> dict[str, Any]:
        until(self.accept)
        until(lambda: self.say("ticket", "list", "--json")["items"], 60)
        roles = self._pids()
        self.fill(1_500_000)
        refusal = None
        while refusal is None or refusal.status_code == 200:
            refusal = self.send()
        self.fill(0)
        full = until(lambda: "disk is full" in str(seen := self.health()) and seen, 60)
        time.sleep(8)  # longer than a role may give no sign of life
        refused = self.send()
        same = self._pids() == roles
        (self.root / "ballast").unlink()
        until(self.accept, 60)
        well = until(lambda: (seen := self.health()).get("code") == 200 and seen, 60)
        until(lambda: self._events() >= self.accepted, 60)
        items = self.say("ticket", "list", "--json")["items"]
        try:
            until(lambda: not self._alarms(), 30)
        except AssertionError:
            raise AssertionError(f"alarms stay: {self._alarms()}") from None
        return {
            "accepted": self.accepted, "refusal": [refusal.status_code, refusal.text],
            "retry": refusal.headers.get("Retry-After"), "still": 0 if refused is None else refused.status_code,
            "full": full, "well": well, "same": same,
            "tickets": [one["events"] for one in items],
        }  # fmt: skip

    def _pids(self) -> dict[str, int]:
        from pipeline.serve.locks import is_held

        roles = ("collect", "normalise", "detect", "tickets")
        assert all(is_held(self.home / "run", role) for role in roles)
        return {role: int((self.home / "run" / f"{role}.lock").read_text()) for role in roles}

    def _events(self) -> int:
        return sum(one["events"] for one in self.say("ticket", "list", "--json")["items"])

    def _alarms(self) -> list[dict[str, Any]]:
        found = self.say("doctor", "--json")["items"]
        return [one for one in found if one["part"].startswith("alarm") and one["state"] != "ok"]


if __name__ == "__main__":
    print(json.dumps(Story(Path(sys.argv[1])).tell()))
