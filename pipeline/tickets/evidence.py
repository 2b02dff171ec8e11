"""A ticket as evidence: what it says, by what rule text, over which events as they came, each with its hash.

In: a `TicketView` with its documents. Out: one JSON document, the same bytes for the same content::

    {"format": "thapcanh.ticket/1", "ticket": {…}, "findings": [{"rule": …, "revision": …, "rule_sha256": …,
     "run": …, "samples": [{"event": …, "original": …, "original_sha256": …, "mapping": …}]}],
     "rules": […], "runs": […], "files": […], "sha256": …}

`sha256` is of the document without it (sorted keys, no blanks, UTF-8), so that a reader can check it with any tool.
`rules` are those that correlations read the events by.
Evidence is not folded or normalised: `original` is the text as the store keeps it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from pipeline.model import events
from pipeline.model.clock import from_micros, to_iso
from pipeline.model.scope import Actor
from pipeline.tickets.queue import FindingView, TicketView

FORMAT: Final = "thapcanh.ticket/1"


def evidence(view: TicketView, actor: Actor, *, now: datetime) -> dict[str, Any]:
    """The page of findings that the view holds, the whole history, and who took it out when."""
    body: dict[str, Any] = {
        "format": FORMAT,
        "taken_by": actor.name,
        "taken_at": to_iso(now),
        "page": view.page,
        "pages": view.pages,
        "ticket": _plain(view.ticket)
        | {
            "tags": list(view.tags),
            "follows": view.follows,
            "followed_by": list(view.followed_by),
            "duplicate_of": view.duplicate_of,
            "duplicates": list(view.duplicates),
        },
        "clocks": [_plain(clock) for clock in view.clocks],
        "files": [_plain(file) for file in view.files],
        "findings": [_finding(finding, view.documents) for finding in view.findings],
        "rules": [rule | {"sha256": _sha256(rule["text"])} for rule in view.bases],
        "runs": [_run(run, actor) for run in view.runs],
        "history": [dict(line) | {"at": to_iso(line["at"])} for line in view.history],
    }
    return body | {"sha256": _sha256(canonical(body))}


def canonical(body: Mapping[str, Any]) -> str:
    """The text that the hash is of."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _finding(finding: FindingView, documents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    plain = _plain(finding)
    del plain["samples"]
    samples = [_sample(sample, documents.get(sample["event"])) for sample in finding.samples]
    return plain | {"rule_sha256": _sha256(finding.rule_text), "samples": samples}


def _run(run: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    """Sequences of collectors are the centre's own: who is held to some agencies gets no window."""
    said = {k: to_iso(v) if isinstance(v, datetime) else v for k, v in run.items()}
    if actor.scope.agencies is not None:
        del said["window"]
    return said | {"sha256": _sha256(canonical(said))}


def _sample(sample: Mapping[str, Any], document: Mapping[str, Any] | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "event": sample["event"],
        "time": to_iso(from_micros(sample["time"])),
        "matched": sample.get("fields") or {},
    }
    if sample.get("rule"):  # of a correlation: by which of its rules the event was read
        made["rule"] = sample["rule"]
    made["matched_sha256"] = _sha256(canonical(made["matched"]))
    if document is None:
        return made | {"original": None}
    original = str(_value(document, events.ORIGINAL) or "")
    for key, name in (
        ("mapping", events.MAPPING),
        ("source", events.SOURCE),
        ("dataset", events.DATASET),
        ("received", events.CREATED),
    ):
        value = _value(document, name)
        made[key] = to_iso(value) if isinstance(value, datetime) else value
    return made | {"original": original, "original_sha256": _sha256(original)}


def _value(document: Mapping[str, Any], name: str) -> Any:
    """A field of a nested or a flat document."""
    if name in document:
        return document[name]
    here: Any = document
    for part in name.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    found = msgspec.structs.asdict(value)
    return {
        name: to_iso(one)
        if isinstance(one, datetime)
        else list(one)
        if isinstance(one, tuple)
        else one
        for name, one in found.items()
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
