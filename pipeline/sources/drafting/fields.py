"""Which ECS field each of a device's fields is, proposed by its name and by what its values look like. Pure.

In: fields with their texts (`shapes`). Out: a `Proposal` a field, with its reason, and the constants that follow. A
name decides (`config/drafting/synonyms.tsv`: names without case and marks, the whole dotted name before its last part)
where the values agree: a port is a number, a date can be read. What has no name that we know is told by its values
where these leave no doubt: a date, hashes, hardware addresses; addresses only in lines without names. Each target is
given once, and to a second name of the same thing, which keeps its own name beside it; everything else stays a
leftover under the device's own name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final

import msgspec

from pipeline.normalise.ecs import load_ecs
from pipeline.settings.places import config_dir
from pipeline.sources.drafting import values as look
from pipeline.sources.drafting.shapes import Shape

WHEN: Final = "drafted_when"
"""The raw name that a date and a time in two fields are joined under."""
_MARKS: Final = re.compile(r"[^a-z0-9]+")
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_WIDEST: Final = 300  # fields that are looked at; further ones are left over
_MANY: Final = 12  # different words that an enumeration has at the most
_NUMBERS: Final = frozenset({"long", "duration"})
_HASHES: Final = ("file.hash.md5", "file.hash.sha1", "file.hash.sha256")


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """`entries` as a product's YAML has them; empty: a leftover. `by`: name, value, or nothing."""

    field: str
    target: str = ""
    entries: tuple[Any, ...] = ()
    by: str = ""
    sample: str = ""


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """All of a product: `combine` joins a date and a time; `constants` are what `set` says."""

    proposals: tuple[Proposal, ...]
    combine: Mapping[str, Any]
    constants: Mapping[str, Any]

    @property
    def fields(self) -> dict[str, Any]:
        """What `fields` of the YAML says."""
        made: dict[str, Any] = {}
        for one in self.proposals:
            if one.entries:
                made[one.field] = one.entries[0] if len(one.entries) == 1 else list(one.entries)
        return made


def propose(shape: Shape, received: int, product: str) -> Proposed:
    """`received`: microseconds UTC, for dates without a year."""
    fields = dict(islice(shape.fields.items(), _WIDEST))
    taken: set[str] = set()
    found: dict[str, Proposal] = {}
    combine = _joined(fields, found, received)
    if combine:
        taken.add("@timestamp")
    for exact in (True, False):  # srcip before what only ends in `ip`
        for name, texts in fields.items():
            if name in found:
                continue
            made = _by_name(name, texts, exact=exact, taken=taken, received=received)
            if made is not None:
                found[name] = made
    for name, texts in fields.items():
        if name not in found:
            found[name] = _again(name, texts, found, received, product) or _by_value(
                name, texts, taken, received, named=shape.named
            )
    proposals = tuple(found[name] for name in found)
    return Proposed(proposals=proposals, combine=combine, constants=_constants(proposals))


def _joined(
    fields: Mapping[str, list[str]], found: dict[str, Proposal], received: int
) -> dict[str, Any]:
    """A day in one field and a clock's time in another."""
    days = [name for name, texts in fields.items() if look.are_days(texts)]
    clocks = [name for name, texts in fields.items() if look.are_clocks(texts)]
    if not days or not clocks:
        return {}
    day, clock = days[0], clocks[0]
    whole = [f"{a} {b}" for a, b in zip(fields[day], fields[clock], strict=False)]
    form = look.date_format(whole, received)
    if not form or len(fields[day]) != len(fields[clock]) or WHEN in fields:
        return {}
    entry = {"to": "@timestamp", "as": "date", "format": form}
    sample = whole[0]
    found[day] = Proposal(field=day, target="@timestamp", by="value", sample=sample)
    found[clock] = Proposal(field=clock, target="@timestamp", by="value", sample=sample)
    found[WHEN] = Proposal(
        field=WHEN, target="@timestamp", entries=(entry,), by="value", sample=sample
    )
    return {WHEN: {"from": [day, clock], "with": " "}}


@cache
def synonyms() -> tuple[tuple[str, str, frozenset[str]], ...]:
    """(target, converter, names), as the table stands."""
    lines = (config_dir() / "drafting" / "synonyms.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return tuple((target, how, frozenset(names.split(","))) for target, how, names in rows)


@cache
def words() -> dict[str, tuple[str, str]]:
    """What a device says it did → (event.outcome, event.type)."""
    lines = (config_dir() / "drafting" / "words.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {word: (outcome, kind) for word, outcome, kind in rows}


def folded(name: str) -> str:
    return _MARKS.sub("", name.lower())


def _by_name(
    name: str, texts: Sequence[str], *, exact: bool, taken: set[str], received: int
) -> Proposal | None:
    short = folded(name if exact else re.split(r"[.\s/]", name)[-1])
    for target, how, names in synonyms():
        if short not in names or target in taken:
            continue
        entry = _entry(target, how, texts, received)
        if entry is None:
            continue
        taken.add(target)
        entries = [entry, *(_outcomes(texts) if target == "event.action" else ())]
        return Proposal(
            field=name, target=target, entries=tuple(entries), by="name", sample=_sample(texts)
        )
    return None


def _again(
    name: str, texts: Sequence[str], found: Mapping[str, Proposal], received: int, product: str
) -> Proposal | None:
    """A second name of what another field is already (`dst` beside `dstip`): where a line has this one alone, its value
    is not lost; where it has both, the first stands in the column and this one under its own name."""
    firsts = {one.target for one in found.values() if one.by == "name"}
    made = _by_name(name, texts, exact=True, taken=set(), received=received)
    if made is None or made.target not in firsts or made.target == "@timestamp":
        return None
    if not _PLAIN.fullmatch(name):
        return None
    return msgspec.structs.replace(made, entries=(made.entries[0], f"{product}.{name}"))


def _entry(target: str, how: str, texts: Sequence[str], received: int) -> Any:
    """One entry of `fields`; None where the values do not agree with it."""
    if how == "date":
        form = look.date_format(texts, received)
        return {"to": target, "as": "date", "format": form} if form else None
    if how == "duration":
        return {"to": target, "as": "duration", "unit": "s"} if look.are_whole(texts) else None
    if how == "long":
        fits = look.are_ports(texts) if target.endswith(".port") else look.are_whole(texts)
        return target if fits else None
    if how == "ip":
        return target if look.are_addresses(texts) else None
    if how == "mac":
        return {"to": target, "as": "mac"} if look.are_macs(texts) else None
    if target in _HASHES:
        right = look.hash_field(texts) == target
        return {"to": target, "as": "lower"} if right else None
    if target == "host.ip":
        return target if look.are_addresses(texts) else None
    if target == "http.request.method" and not all(text.isalpha() for text in texts):
        return None
    if not texts:
        return None
    known = load_ecs().fields.get(target)
    if how == "list" and known is not None and known.many:
        return target
    return {"to": target, "as": how} if how and how != "list" else target


def _outcomes(texts: Sequence[str]) -> Sequence[Any]:
    """`event.outcome` as an enumeration, where all the words of an action are known."""
    said = {text.lower() for text in texts}
    if not said or len(said) > _MANY or not said & words().keys():
        return ()
    values = {word: words()[word][0] for word in sorted(said & words().keys())}
    return ({"to": "event.outcome", "as": "enum", "values": values},)


def _by_value(
    name: str, texts: Sequence[str], taken: set[str], received: int, *, named: bool
) -> Proposal:
    target, entry = _looks_like(texts, taken, received, named=named)
    if entry is None:
        return Proposal(field=name, sample=_sample(texts))
    taken.add(target)
    return Proposal(field=name, target=target, entries=(entry,), by="value", sample=_sample(texts))


def _looks_like(
    texts: Sequence[str], taken: set[str], received: int, *, named: bool
) -> tuple[str, Any]:
    if not texts:
        return "", None
    if "@timestamp" not in taken and not look.are_days(texts):
        form = look.date_format(texts, received)
        if form and (form != "epoch" or not named):
            return "@timestamp", {"to": "@timestamp", "as": "date", "format": form}
    hashed = look.hash_field(texts)
    if hashed and hashed not in taken:
        return hashed, {"to": hashed, "as": "lower"}
    if look.are_urls(texts) and "url" not in taken:
        return "url", {"to": "url", "as": "url"}
    if look.are_macs(texts) and "source.mac" not in taken:
        return "source.mac", {"to": "source.mac", "as": "mac"}
    if not named and look.are_addresses(texts):
        for side in ("source", "destination"):
            if side not in taken:
                return side, {"to": side, "as": "address"}
    return "", None


def _sample(texts: Sequence[str]) -> str:
    return texts[0][:80] if texts else ""


def _constants(proposals: Sequence[Proposal]) -> dict[str, Any]:
    """`event.category` and `event.type`, where the fields leave no doubt what kind of log it is."""
    targets = {one.target for one in proposals}
    made: dict[str, Any] = {"event.kind": "event"}
    if {"http.request.method"} & targets and {"url", "url.path"} & targets:
        made |= {"event.category": ["web"], "event.type": ["access"]}
    elif {"source", "destination"} <= targets or {"source", "destination.port"} <= targets:
        made |= {"event.category": ["network"], "event.type": ["connection"]}
    return made
