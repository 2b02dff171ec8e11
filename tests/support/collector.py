"""A collector on a loop in a thread of its own, with sources that tests know."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from collectors.collect import Collector, run_collector
from collectors.receivers.directory import FixedDirectory, SourceDirectory, SourceIdentity
from collectors.spool import SpoolReader
from pipeline.model.records import RawRecord
from pipeline.settings.values import CollectSettings, FileInput, Listener

KEY = ("0123456789abcdef0123", "a-secret-of-this-source")
KEY_TEXT = f"{KEY[0]}:{KEY[1]}"
API_KEY = base64.b64encode(KEY_TEXT.encode()).decode()
SOURCE = SourceIdentity("q1-web", "q1", "nginx")
HOSTS = {"127.0.0.11": "q1-fw", "127.0.0.12": "q2-fw"}
ASSEMBLED = {"127.0.0.13": ("q1-audit", "auditd", ""), "127.0.0.14": ("q1-java", "tomcat", "date")}

LISTENERS = (
    Listener(name="http", kind="http_bulk"),
    Listener(name="relp", kind="relp"),
    Listener(name="tcp", kind="syslog_tcp"),
    Listener(name="udp", kind="syslog_udp"),
)


FILES = SourceIdentity("q1-files", "q1", "nginx")


def logs_of(root: Path) -> Path:
    """The folder beside the spool's root that the input `files` follows."""
    return root.with_name(root.name + "-logs")


def file_input(root: Path) -> FileInput:
    return FileInput(
        name="files", kind="file_tail", source="q1-files", paths=(str(logs_of(root) / "*.log"),)
    )


def input_of(name: str, kind: str, *paths: str | Path) -> FileInput:
    return FileInput(name=name, kind=kind, source="q1-files", paths=tuple(map(str, paths)))


def directory(*, local: bool = False) -> FixedDirectory:
    """With `local`, 127.0.0.1 is q1-fw too.

    Lines of the hosts in `ASSEMBLED` make records.
    `KEY` is q1-web's; 127.0.0.11 is q1-fw and 127.0.0.12 q2-fw on relp, tcp and udp; others are unknown.
    """
    return FixedDirectory(
        [
            (
                listener,
                f"{host}/32",
                SourceIdentity(source, source[:2], "fortinet_fortigate", weak=True),
            )
            for listener in ("relp", "tcp", "udp")
            for host, source in (HOSTS | ({"127.0.0.1": "q1-fw"} if local else {})).items()
        ]
        + [
            (listener, f"{host}/32", SourceIdentity(source, "q1", product, True, assemble=assemble))
            for listener in ("relp", "tcp", "udp")
            for host, (source, product, assemble) in ASSEMBLED.items()
        ],
        {KEY[0]: (KEY[1], SOURCE)},
        [FILES],
    )


@contextlib.contextmanager
def running(
    root: Path,
    settings: CollectSettings | None = None,
    known: SourceDirectory | None = None,
    *,
    several: bool = False,
) -> Iterator[Collector]:
    """Started when entered, stopped and stored when left."""
    stop, ready = threading.Event(), threading.Event()
    got: list[Collector] = []
    failed: list[Exception] = []

    def on_ready(collector: Collector) -> None:
        got.append(collector)
        ready.set()

    def work() -> None:
        try:
            run_collector(
                replace(
                    settings or CollectSettings(node="n1", listeners=LISTENERS),
                    files=(settings.files if settings else ()) or (file_input(root),),
                    poll_seconds=0.05,
                ),
                known or directory(),
                root,
                stop,
                ready=on_ready,
                several=several,
            )
        except Exception as error:  # noqa: BLE001 - told to the test
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait(20)
    if failed:
        raise failed[0]
    try:
        yield got[0]
    finally:
        stop.set()
        thread.join(20)
    if failed:
        raise failed[0]


def spooled(root: Path, node: str = "n1") -> list[RawRecord]:
    """All that is in the spool."""
    with SpoolReader(root, node) as reader:
        return reader.read(0, 10_000_000)


def tally(collector: Collector, receiver: str, source: str) -> dict[str, object]:
    (found,) = [
        entry
        for entry in collector.snapshot()["counters"]
        if (entry["receiver"], entry["source"]) == (receiver, source)
    ]
    return found
