"""APIs that are polled, as a description says (`poll_description`). Delivery: acknowledged.

In: answers of an API, a page at a time. Out: a record per element, with its own identity. The place (cursor and
page) is written down after the spool's fsync; what a kill leaves between the two is fetched again, and its
records' identities make them known. APScheduler is the clock: a turn begins every `every_seconds`, never two at a time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from collectors.receivers.counters import Loss
from collectors.receivers.directory import SourceIdentity
from collectors.receivers.file_worker import FileWorker, StoppedError
from collectors.receivers.intake import Intake, now
from collectors.receivers.poll_client import PollClient
from collectors.receivers.poll_description import Description, read_description
from collectors.receivers.poll_m365 import M365Activity
from collectors.spool import Draft
from pipeline.model.errors import RefusedError
from pipeline.settings.values import CollectSettings, FileInput

PAGES_AT_MOST: Final = 100_000
Place = dict[str, Any]
Page = tuple[list[Any], Place]
"""Records, and the place to go on from when they are stored."""


class RestPoll(FileWorker):
    """`paths` of the input is its description, one file."""

    def __init__(
        self, given: FileInput, intake: Intake, settings: CollectSettings, folder: Path
    ) -> None:
        super().__init__(given, intake, settings, folder)
        self._description: Description = {}
        self._scheduler: Any = None
        self._lost: set[tuple[Any, ...]] = set()
        self._lost_told = False

    def check(self) -> None:
        self._description = read_description(Path(self.given.paths[0]))

    async def stop(self, grace: float) -> None:
        self._stop.set()
        if self._scheduler is not None and self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        await super().stop(grace)

    def _run(self) -> None:
        from apscheduler.executors.debug import DebugExecutor
        from apscheduler.schedulers.blocking import BlockingScheduler

        # In this thread, a daemon: an API that hangs holds up no stop.
        self._scheduler = BlockingScheduler(
            timezone=UTC, executors={"default": DebugExecutor()},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )  # fmt: skip
        self._scheduler.add_job(
            self._look, "interval", seconds=float(self._description.get("every_seconds", 60)),
            next_run_time=datetime.now(UTC),
        )  # fmt: skip
        if not self._stop.is_set():
            self._scheduler.start()

    def _look(self) -> None:
        identity = self.intake.directory.by_source(self.given.source)
        if identity is None:
            self.intake.knock(self.name, self.given.source, known_by="settings")
        elif not self._stop.is_set():
            self._turn(lambda: self.work(identity, time.monotonic()))

    def work(self, identity: SourceIdentity, now: float) -> bool:
        """One turn: page after page until the API has no more."""
        description = self._description
        client = PollClient(
            description, self.given.paths[0], lambda seconds: not self._stop.wait(seconds)
        )
        kind = M365Activity if description["kind"] == "m365_activity" else JsonPoll
        poll = kind(description, client)
        begin = self._place()
        self._tell(begin.get("lost", []))
        for number, (records, place) in enumerate(poll.pages(begin, datetime.now(UTC))):
            if number >= PAGES_AT_MOST:
                raise RefusedError(
                    "the API's pages do not come to an end", got=f"{number} of one turn"
                )
            self._keep(identity, poll, records)
            self._move(place)
            self._tell(place.get("lost", []))
            if self._stop.is_set():
                raise StoppedError
        self.note_troubles(identity.source, {})
        return False

    def _tell(self, lost: list[list[Any]]) -> None:
        """Count what is newly lost, and have the register told. After a start all that the place knows is told again,
        as an earlier life may have ended before it was."""
        fresh = [one for one in map(tuple, lost) if one not in self._lost]
        tally = self.intake.counters.of(self.name, self.given.source)
        for _, _, cause, pieces in fresh if self._lost_told else ():
            if pieces:
                tally.received += pieces
                tally.drop(cause, pieces)
            else:
                tally.note(cause)
        self.intake.losses.add(
            Loss(self.given.source, datetime.fromisoformat(begun), datetime.fromisoformat(ended), cause, pieces)
            for begun, ended, cause, pieces in fresh
        )  # fmt: skip
        self._lost |= set(fresh)
        self._lost_told = True

    def _keep(
        self, identity: SourceIdentity, poll: JsonPoll | M365Activity, records: list[Any]
    ) -> None:
        limit, moment, cut = self.intake.limits.record, now(), 0
        drafts = []
        for record in records:
            body = orjson.dumps(record)
            cut += len(body) > limit
            drafts.append(
                Draft(
                    identity.source,
                    moment,
                    body[:limit],
                    _identity(record, poll.identity),
                    self.name,
                )
            )
        if drafts:
            self.store(drafts, cut)

    @property
    def _file(self) -> Path:
        return self.folder / f"poll-{self.given.name}.place"

    def _place(self) -> Place:
        try:
            found = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except (
            ValueError
        ):  # torn: begin as a new poll does; what comes again is known by its identity
            self.intake.counters.of(self.name, self.given.source).note("checkpoint_damaged")
            return {}
        return dict(found)

    def _move(self, place: Place) -> None:
        new = self._file.with_suffix(".new")
        with new.open("w", encoding="utf-8") as out:
            json.dump(place, out)
            out.flush()
            os.fsync(out.fileno())
        new.replace(self._file)


class JsonPoll:
    """The generic one. Pages by link header, next token or offset; a cursor that is a value of the records, or a
    window of time. The cursor moves when all pages of a turn are stored."""

    def __init__(self, description: Description, client: PollClient) -> None:
        self._of, self._client = description, client
        self.identity: str = description["identity"]

    def pages(self, place: Place, moment: datetime) -> Iterator[Page]:
        cursor, page = self._of.get("cursor") or {}, self._of.get("page") or {}
        turn = place.get("turn")
        if turn is None:
            turn = {
                "query": self._begin(cursor, place, moment),
                "seen": place.get("cursor"),
                "page": None,
            }
        while True:
            answer, query = self._fetch(page, turn)
            records = found(answer.json, self._of["records"])
            if records is None:
                records = []
            if not isinstance(records, list):
                raise RefusedError(
                    "no list of records is there",
                    where=self._of["url"],
                    expected=self._of["records"],
                )
            seen = _greatest(turn["seen"], records, cursor)
            following = self._following(page, answer, records, turn, query)
            if following is None or following == turn["page"]:
                yield records, {"cursor": self._end(cursor, turn, seen)}
                return
            turn = {**turn, "seen": seen, "page": following}
            yield records, {"cursor": place.get("cursor"), "turn": turn}

    def _fetch(self, page: Mapping[str, Any], turn: Place) -> tuple[Any, dict[str, str]]:
        headers, at = self._of.get("headers"), turn["page"]
        if page.get("kind") == "link" and at:
            return self._client.get(at, None, headers), {}
        query = {**(self._of.get("query") or {}), **turn["query"]}
        if page.get("kind") in {"token", "offset"} and at is not None:
            query[page["parameter"]] = str(at)
        return self._client.get(self._of["url"], query, headers), query

    def _following(
        self,
        page: Mapping[str, Any],
        answer: Any,
        records: list[Any],
        turn: Place,
        query: Mapping[str, str],
    ) -> Any:
        match page.get("kind"):
            case "link":
                return answer.links.get("next", {}).get("url")
            case "token":
                return found(answer.json, page["path"]) or None
            case "offset":
                whole = len(records) >= page["size"]
                return int(turn["page"] or 0) + len(records) if whole else None
        return None

    def _begin(self, cursor: Mapping[str, Any], place: Place, moment: datetime) -> dict[str, str]:
        before = place.get("cursor")
        if cursor.get("kind") == "value":
            value = before if before is not None else cursor.get("begin")
            return {} if value is None else {cursor["parameter"]: str(value)}
        if cursor.get("kind") == "window":
            start = (
                datetime.fromisoformat(before)
                if before
                else moment - timedelta(hours=cursor.get("begin_hours", 24))
            )
            stop = min(moment, start + timedelta(hours=cursor.get("longest_hours", 24)))
            return {cursor["from"]: _iso(start), cursor["to"]: _iso(stop)}
        return {}

    def _end(self, cursor: Mapping[str, Any], turn: Place, seen: Any) -> Any:
        if cursor.get("kind") != "window":
            return seen
        stop = datetime.fromisoformat(turn["query"][cursor["to"]])
        start = datetime.fromisoformat(turn["query"][cursor["from"]])
        back = stop - timedelta(seconds=cursor.get("overlap_seconds", 300))
        least = start + (stop - start) / 2 if stop - start > timedelta(minutes=10) else start
        return _iso(max(back, least))  # a window shorter than its overlap still goes on


def found(value: Any, path: str) -> Any:
    """What stands at a dotted path of names; the whole for an empty path, None where there is nothing."""
    for name in path.split(".") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _identity(record: Any, path: str) -> bytes:
    """The record's own. Without one it is its content: fetched again, it must be known again."""
    own = found(record, path)
    return b"poll:" + (
        orjson.dumps(own) if own is not None else orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    )


def _greatest(so_far: Any, records: list[Any], cursor: Mapping[str, Any]) -> Any:
    if cursor.get("kind") != "value":
        return so_far
    for record in records:
        value = found(record, cursor["path"])
        if not isinstance(value, int | float | str):
            continue
        if so_far is None or _after(value, so_far):
            so_far = value
    return so_far


def _after(value: Any, other: Any) -> bool:
    numbers = isinstance(value, int | float) and isinstance(other, int | float)
    return bool(value > other) if numbers else str(value) > str(other)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
