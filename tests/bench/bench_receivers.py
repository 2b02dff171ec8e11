"""How fast records come into the spool, by each way; beside rsyslog writing the same stream to a file.

    python -m tests.bench.bench_receivers [--records 200000] [--overload SECONDS] [ways …]

In: how many records. Out: records a second into the spool (fsynced), sender and collector each on a core, and records
a second of the collector's processor time, which others at work on the machine do not change much. Goals: TCP
60,000, RELP 30,000 (window 128), `_bulk` 25,000 documents of 1 kB, UDP without loss at 20,000 a second. Also: the time
in which spools of two sizes are opened after a kill, and the collector's memory under overload, with room in the
spool and with a full one: ``OVERLOAD=600`` seconds of each for the long look (`make overload`).
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.collector import API_KEY, LISTENERS, directory, file_input, logs_of  # noqa: E402

from collectors.collect import run_collector  # noqa: E402
from collectors.spool import Draft, SpoolLimits, SpoolReader, SpoolWriter  # noqa: E402
from pipeline.settings.values import CollectSettings  # noqa: E402

LINE = b"<134>Nov 24 09:00:00 fw01 date=2026-11-24 time=09:00:00 devname=fw1 type=traffic srcip=10.1.2.3 dstip=203.0.113.9 n=%09d"
DOCUMENT = b'{"create":{}}\n{"@timestamp":"2026-11-24T09:00:00Z","n":%09d,"message":"' + b"x" * 930 + b'"}\n'  # fmt: skip
UDP_RATE = 20_000


def serve(root: str, spool_bytes: int) -> None:
    """The collector's process."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = CollectSettings(
        node="n1", listeners=LISTENERS, files=(file_input(Path(root)),), poll_seconds=0.05,
        spool_max_bytes=spool_bytes, free_bytes=0,
    )  # fmt: skip
    run_collector(
        settings, directory(local=True), Path(root), stop,
        ready=lambda c: print(*(f"{k}={v}" for k, v in c.ports.items()), flush=True),
    )  # fmt: skip


class Served:
    """A collector in a process of its own, with an empty spool."""

    def __init__(self, folder: Path, spool_bytes: int = 20 << 30) -> None:
        self.root = folder / "spool"
        logs_of(self.root).mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(self.root), str(spool_bytes)],
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        words = self.process.stdout.readline().decode().split()
        self.ports = {w.split("=")[0]: int(w.split("=")[1]) for w in words}
        self.reader = SpoolReader(self.root, "n1")

    def wait(self, records: int, seconds: float = 120) -> int:
        deadline = time.monotonic() + seconds
        while (found := self.reader.durable()) < records and time.monotonic() < deadline:
            time.sleep(0.005)
        return found

    def memory(self) -> int:
        """Resident kB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def cpu(self) -> float:
        """Seconds of processor that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.reader.close()


def by_tcp(served: Served, records: int) -> None:
    with socket.create_connection(("127.0.0.1", served.ports["tcp"]), 30) as into:
        send_lines(into, records)


def send_lines(into: socket.socket, records: int) -> None:
    for start in range(0, records, 1000):
        into.sendall(b"".join(LINE % n + b"\n" for n in range(start, min(start + 1000, records))))


def by_relp(served: Served, records: int) -> None:
    """A window of 128, refilled as answers come."""
    with socket.create_connection(("127.0.0.1", served.ports["relp"]), 30) as into:
        into.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        into.sendall(b"1 open 30 relp_version=0\ncommands=syslog\n")
        rest, sent, answered = into.recv(65536), 0, 0
        assert rest.startswith(b"1 rsp"), rest
        rest = b""
        while answered < records:
            count = min(128 - (sent - answered), records - sent)
            if count:
                frames = []
                for n in range(sent, sent + count):
                    body = LINE % n
                    frames.append(b"%d syslog %d %s\n" % (n + 2, len(body), body))
                into.sendall(b"".join(frames))
                sent += count
            rest += into.recv(65536)
            answered += rest.count(b" rsp 6 200 OK\n")
            rest = rest[rest.rfind(b"\n") + 1 :]


def by_bulk(served: Served, records: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.ports["http"], timeout=60)
    headers = {"Authorization": f"ApiKey {API_KEY}", "Content-Type": "application/x-ndjson"}
    for start in range(0, records, 1000):
        body = b"".join(DOCUMENT % n for n in range(start, min(start + 1000, records)))
        connection.request("POST", "/logs/_bulk", body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    connection.close()


def by_file(served: Served, records: int) -> None:
    with (logs_of(served.root) / "app.log").open("ab") as file:
        for start in range(0, records, 1000):
            file.write(b"".join(LINE % n + b"\n" for n in range(start, min(start + 1000, records))))


def by_udp(served: Served, records: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as into:
        into.connect(("127.0.0.1", served.ports["udp"]))
        began = time.monotonic()
        for n in range(records):
            into.send(LINE % n)
            if n % 20 == 19 and (early := began + n / UDP_RATE - time.monotonic()) > 0:
                time.sleep(early)


WAYS: dict[str, tuple[Callable[[Served, int], None], int, str]] = {
    "tcp": (by_tcp, 1, "60,000"),
    "relp": (by_relp, 2, "30,000"),
    "bulk": (by_bulk, 4, "25,000"),
    "file": (by_file, 1, "-"),
    "udp": (by_udp, 2, "20,000, none lost"),
}


def run_way(name: str, records: int) -> None:
    send, part, goal = WAYS[name]
    records //= part
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Path(folder))
        try:
            began, worked = time.perf_counter(), served.cpu()
            send(served, records)
            found = served.wait(records, 5 if name == "udp" else 120)
            took, worked = time.perf_counter() - began, served.cpu() - worked
        finally:
            served.close()
    lost = f", {records - found} of {records} lost" if name == "udp" or found < records else ""
    each = f"{found / max(worked, 0.01):,.0f} a second of its processor"
    print(f"{name:10} {found / took:10,.0f} records/s{lost}, {each}   (goal {goal})", flush=True)


def run_rsyslog(records: int) -> None:
    program = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        print("rsyslog    is not installed (apt-get install rsyslog)")
        return
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        config, out = Path(folder) / "conf", Path(folder) / "out"
        config.write_text(
            f'global(workDirectory="{folder}")\nmodule(load="imptcp")\n'
            f'template(name="raw" type="string" string="%rawmsg%\\n")\n'
            f'input(type="imptcp" port="{port}" address="127.0.0.1")\n'
            f'action(type="omfile" file="{out}" template="raw")\n'
        )
        with subprocess.Popen([program, "-n", "-f", str(config), "-i", f"{folder}/pid"]) as started:
            while True:
                try:
                    into = socket.create_connection(("127.0.0.1", port))
                    break
                except OSError:
                    time.sleep(0.05)
            began = time.perf_counter()
            with into:
                send_lines(into, records)
            wanted = records * (len(LINE % 0) + 1)
            while not out.exists() or out.stat().st_size < wanted:
                time.sleep(0.005)
            took = time.perf_counter() - began
            started.terminate()
    print(
        f"rsyslog    {records / took:10,.0f} records/s by TCP into a file, without fsync",
        flush=True,
    )


def run_recovery() -> None:
    """The open tail alone is read, whatever lies before it; then a whole collector, which also reads the newest records."""
    limits = SpoolLimits(segment_bytes=8 << 20)
    for size in (64, 512):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "spool"
            with SpoolWriter(root, "n1", limits) as writer:
                for _ in range(size):
                    writer.append([Draft("s", 1, b"x" * 1000)] * 1000)
            began = time.perf_counter()
            SpoolWriter(root, "n1", limits).close()
            took = time.perf_counter() - began
            began = time.perf_counter()
            Served(Path(folder)).close()
            whole = time.perf_counter() - began
        print(
            f"recovery   {took * 1000:10,.1f} ms of a spool of {size} MB; a collector from start to end in"
            f" {whole:.1f} s",
            flush=True,
        )


def run_overload(seconds: float) -> None:
    """Senders that never rest by each way: with room for all that they send, then with a spool that is full."""
    for what, size in (("with room", 64 << 30), ("full", 16 << 20)):
        with tempfile.TemporaryDirectory() as folder:
            press(Path(folder), what, size, seconds)


def press(folder: Path, what: str, size: int, seconds: float) -> None:
    """Resident memory of each quarter of the time, after a start of some seconds. What is settled would be deleted: here
    it is at once, so that the disk lasts."""
    served = Served(folder, size)
    stop = threading.Event()

    def work(way: Callable[[Served, int], None]) -> None:
        while not stop.is_set():
            try:
                way(served, 20_000)
            except (OSError, AssertionError, http.client.HTTPException):
                time.sleep(0.01)

    for way in (by_tcp, by_tcp, by_relp, by_bulk, by_udp):
        threading.Thread(target=work, args=(way,), daemon=True).start()
    time.sleep(min(8.0, seconds / 3))
    began, highest = time.monotonic(), [0, 0, 0, 0]
    while (passed := time.monotonic() - began) < seconds:
        quarter = int(passed * 4 / seconds)
        highest[quarter] = max(highest[quarter], served.memory())
        if what != "full":
            served.reader.release(served.reader.durable(), retain=0)
        time.sleep(0.2)
    stop.set()
    records = served.reader.durable()
    served.process.kill()
    served.process.wait(10)
    told = ", ".join(f"{one / 1024:,.0f}" for one in highest)
    print(
        f"overload   {what}: at most {told} MB in each quarter of {seconds:.0f} s, {records:,} records",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "ways", nargs="*", help=f"of {', '.join(WAYS)}, rsyslog, recovery, overload"
    )
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--overload", type=float, default=float(os.environ.get("OVERLOAD", "10")))
    parser.add_argument("--serve", nargs=2, metavar=("ROOT", "BYTES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve[0], int(given.serve[1]))
        return
    for name in given.ways or [*WAYS, "rsyslog", "recovery", "overload"]:
        if name in WAYS:
            run_way(name, given.records)
        elif name == "rsyslog":
            run_rsyslog(given.records)
        elif name == "recovery":
            run_recovery()
        else:
            run_overload(given.overload)


if __name__ == "__main__":
    main()
