"""What each role does when it is a process: its loop, its lock, its pulse, until told to stop.

`collect` bytes into the spool (`collect.GROUP` those of a listener group) · `normalise` spool into the store ·
`detect` store into findings ·
`tickets` findings into the queue · `console` the pages. They meet only in spool, store and state.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from collectors import groups
from pipeline.model.clock import utc_now
from pipeline.model.errors import UsageError
from pipeline.serve.installation import Installation
from pipeline.serve.locks import role_lock
from pipeline.serve.pulse import Heart, forget_pulses
from pipeline.settings.values import CollectSettings

Role = Callable[[Installation, threading.Event], None]


def run_role(here: Installation, role: str, stop: threading.Event) -> None:
    """Run one role under its lock until `stop`."""
    if groups.collects(role):
        settings = groups.part(here.settings.collect, role)
        with role_lock(here.settings.run, role):
            _collect(here, role, settings, stop)
        return
    if role not in RUN:
        expected = ", ".join((*groups.roles(here.settings.collect), *RUN))
        raise UsageError("no such role", got=role, expected=expected)
    with role_lock(here.settings.run, role):
        RUN[role](here, stop)


def _collect(
    here: Installation, role: str, settings: CollectSettings, stop: threading.Event
) -> None:
    from collectors.collect import Collector, run_collector
    from collectors.receivers.registered import RegisteredDirectory, RegisterReport
    from pipeline.serve.outages import note_losses, note_outage
    from pipeline.store.settlement import watermark

    heart = Heart(here.state, role, settings.node)
    report = RegisterReport(here.state, settings.node)

    said: dict[str, Any] = {}

    def in_touch(collector: Collector) -> None:
        collector.settled_upto = watermark(here.state).get(settings.node, 0)
        seen = collector.snapshot()
        said.update({name: value for name, value in seen.items() if name != "counters"})
        said["unattributed"] = [one for one in seen["counters"] if not one["source"]]
        heart.beat(progress=True, detail=said)
        report.save(seen["counters"], collector.take_knocks())
        if losses := collector.intake.losses.waiting():
            note_losses(here.state, settings.node, losses)
            collector.intake.losses.told(losses)

    if role == groups.ROLE:
        forget_pulses(here.state, groups.roles(here.settings.collect), settings.node)
    note_outage(here.state, settings.node, now=utc_now(), role=role)
    report.begin()
    heart.beat(progress=True)
    run_collector(
        settings, RegisteredDirectory(here.state), here.settings.spool, stop,
        heartbeat=in_touch, several=groups.several_take("http_bulk", here.settings.collect),
    )  # fmt: skip
    heart.stopped(said)


def _normalise(here: Installation, stop: threading.Event) -> None:
    from pipeline.serve.job_worker import JobDesk
    from pipeline.serve.keeping.keeper import Keeper
    from pipeline.serve.settling import Settling

    heart = Heart(here.state, "normalise")
    heart.beat()  # who hangs in its first batch must have been alive to be missed
    settling = Settling(here, heart)
    keeper = Keeper(here, utc_now())
    desk = threading.Thread(target=JobDesk(here, replays=True).run, args=[stop], name="replays")
    desk.start()
    while not stop.is_set():
        moved = settling.turn(stop)
        heart.beat()
        moved = keeper.turn(utc_now()) or moved
        if not moved:
            stop.wait(here.settings.normalise.interval)
    desk.join()


def _detect(here: Installation, stop: threading.Event) -> None:
    from pipeline.detect.register.rules import sync_shipped
    from pipeline.detect.running.active import ActiveRules
    from pipeline.detect.running.runs import Limits
    from pipeline.detect.running.scheduler import detect_loop
    from pipeline.serve.job_worker import JobDesk

    settings = here.settings.detect
    heart = Heart(here.state, "detect")
    heart.beat(progress=True)
    sync_shipped(here.state, now=utc_now(), cache=here.settings.cache)
    # A daemon: were it waited for, a loop that fell would leave a process that does nothing and does not end.
    desk = threading.Thread(target=JobDesk(here).run, args=[stop], name="jobs", daemon=True)
    desk.start()
    detect_loop(
        here.state, here.store, ActiveRules(here.state, here.settings.cache),
        holder=f"{socket.gethostname()}-{os.getpid()}", interval=settings.interval,
        limits=Limits(window=settings.window, lease=settings.lease_seconds), stop=stop, beat=heart.beat,
    )  # fmt: skip
    desk.join()


def _tickets(here: Installation, stop: threading.Event) -> None:
    from pipeline.serve.flow_watch import HomeWatch
    from pipeline.serve.links import console_url
    from pipeline.serve.mail.alarms import AlarmPost
    from pipeline.serve.mail.notices import NoticePost
    from pipeline.serve.policy import ticket_policy
    from pipeline.serve.source_watch import SourceWatcher
    from pipeline.tickets.loop import tickets_loop
    from pipeline.tickets.outbox.post import Post

    heart = Heart(here.state, "tickets")
    mirrors = Post(
        here.state, here.settings.mirrors, console=console_url(here.settings.console), now=utc_now()
    )
    watch = HomeWatch(here)
    mail = here.settings.alarms.mail
    post = AlarmPost(here.state, mail)
    sources = SourceWatcher(here.state, here.settings.health)
    notices = NoticePost(here.state, mail, console_url(here.settings.console))

    def beat(**said: Any) -> None:
        heart.beat(**said)
        watch.look(utc_now())
        post.look(utc_now())
        notices.look(utc_now())
        sources.look(utc_now())

    mirrors.start(stop)
    tickets_loop(
        here.state,
        policy=ticket_policy(here),
        interval=here.settings.tickets.interval,
        escalate_to=here.settings.tickets.escalate_to,
        stop=stop,
        beat=beat,
    )


def _console(here: Installation, stop: threading.Event) -> None:
    from pipeline.serve.console import serve_console

    serve_console(here, stop)


RUN: dict[str, Role] = {
    "normalise": _normalise,
    "detect": _detect,
    "tickets": _tickets,
    "console": _console,
}


def stop_with_parent(stop: threading.Event) -> None:
    """Set `stop` when standard input ends: the supervisor held its other end."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                time.sleep(0.01)
        stop.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()
