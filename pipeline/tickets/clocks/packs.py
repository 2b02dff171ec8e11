"""Policy packs: law and promises as dated data files under ``config/policies/``, read whole or refused whole.

In: ``vn-*.yml`` (legal clocks), ``service-levels.yml`` and ``calendar-vn.yml``. Out: one frozen `Policies`. An
unknown key, a clock of an unknown sign, packs that overlap in time: each is a fault that names its file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
import yaml

from pipeline.model.clock import CITY_ZONE
from pipeline.model.detections import Level
from pipeline.model.errors import FaultsError, ThapCanhError, UsageError
from pipeline.settings.places import config_dir
from pipeline.tickets.clocks.calendar import Calendar

_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400}


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text in both languages."""

    vi: str
    en: str


class LegalClock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Due `within` of detection where one of the signs was seen."""

    key: Annotated[str, msgspec.Meta(max_length=32)]
    signs: tuple[str, ...]
    within: str
    name: Words
    basis: str
    sure: str

    @property
    def seconds(self) -> int:
        return span(self.within)


class LegalPack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In force from `valid_from` to `valid_to`, both days included; None is open."""

    id: str
    valid_from: date | None
    valid_to: date | None
    name: Words
    signs: dict[str, Words]
    clocks: tuple[LegalClock, ...]

    def covers(self, day: date) -> bool:
        return (self.valid_from or date.min) <= day <= (self.valid_to or date.max)


class ServiceLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times to claim and to close, for a severity and a system level (0: any)."""

    severity: Level
    claim: str
    close: str
    level: int = 0
    working: bool = False


class ServicePack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The promise in force from `valid_from` until a later one."""

    valid_from: date
    warn: float
    escalate_to: Words
    levels: tuple[ServiceLine, ...]

    def line(self, severity: str, level: int) -> ServiceLine | None:
        fits = (one for one in self.levels if one.severity == severity and one.level in (0, level))
        return next(fits, None)


class Policies(msgspec.Struct, frozen=True):
    """All packs. A day is the city's."""

    legal: tuple[LegalPack, ...]
    service: tuple[ServicePack, ...]
    calendar: Calendar

    def legal_at(self, moment: datetime) -> LegalPack | None:
        day = moment.astimezone(CITY_ZONE).date()
        return next((pack for pack in self.legal if pack.covers(day)), None)

    def service_at(self, moment: datetime) -> ServicePack | None:
        day = moment.astimezone(CITY_ZONE).date()
        begun = [pack for pack in self.service if pack.valid_from <= day]
        return max(begun, key=lambda pack: pack.valid_from, default=None)

    def legal_clock(self, pack: str, key: str) -> LegalClock | None:
        clocks = (c for one in self.legal if one.id == pack for c in one.clocks if c.key == key)
        return next(clocks, None)


def span(text: str) -> int:
    """Seconds of ``15m``, ``4h``, ``3d``."""
    found = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if not found:
        raise UsageError("this is no span of time", got=text, expected="such as 15m, 4h, 3d")
    return int(found[1]) * _UNITS[found[2]]


@cache
def standing() -> Policies:
    """The packs that come with the program, read once a process."""
    return read_policies(config_dir() / "policies")


def read_policies(folder: Path) -> Policies:
    """FaultsError names every file that cannot be used."""
    faults: list[ThapCanhError] = []
    legal = [_read(path, LegalPack, faults) for path in sorted(folder.glob("vn-*.yml"))]
    service = _read(folder / "service-levels.yml", tuple[ServicePack, ...], faults)
    calendar = _calendar(folder / "calendar-vn.yml", faults)
    packs = [pack for pack in legal if pack is not None]
    faults += _law_faults(packs)
    for line in (line for pack in service or () for line in pack.levels):
        _try_span(line.claim, "service-levels.yml", faults)
        _try_span(line.close, "service-levels.yml", faults)
    if faults or calendar is None:
        raise FaultsError("the policy packs cannot be used", faults)
    return Policies(tuple(packs), tuple(service or ()), calendar)


def _law_faults(packs: Sequence[LegalPack]) -> list[ThapCanhError]:
    faults: list[ThapCanhError] = []
    ordered = sorted(packs, key=lambda pack: pack.valid_from or date.min)
    for one, other in pairwise(ordered):
        if (one.valid_to or date.max) >= (other.valid_from or date.min):
            faults.append(
                UsageError("two policy packs are in force at once", got=f"{one.id}, {other.id}")
            )
    for pack in packs:
        for clock in pack.clocks:
            _try_span(clock.within, pack.id, faults)
            for sign in set(clock.signs) - set(pack.signs):
                faults.append(UsageError("a clock of an unknown sign", where=pack.id, got=sign))
    return faults


def _try_span(text: str, where: str, faults: list[ThapCanhError]) -> None:
    try:
        span(text)
    except UsageError as error:
        faults.append(UsageError(error.what, where=where, got=error.got, expected=error.expected))


def _read(path: Path, kind: Any, faults: list[ThapCanhError]) -> Any:
    try:
        return msgspec.convert(yaml.safe_load(path.read_text("utf-8")), kind, strict=False)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        faults.append(
            UsageError("this policy pack cannot be read", where=path.name, got=str(error))
        )
        return None


class _Off(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"begin": "from"}):
    begin: date
    name: Words
    to: date | None = None


class _Year(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    days_off: tuple[_Off, ...]
    worked: tuple[date, ...]


class _Fixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    day: str
    name: Words


class _CalendarFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zone: str
    hours: tuple[tuple[str, str], ...]
    weekdays: tuple[int, ...]
    fixed: tuple[_Fixed, ...]
    years: dict[int, _Year]


def _calendar(path: Path, faults: list[ThapCanhError]) -> Calendar | None:
    read: _CalendarFile | None = _read(path, _CalendarFile, faults)
    if read is None:
        return None
    return Calendar(
        zone=ZoneInfo(read.zone),
        hours=tuple((time.fromisoformat(a), time.fromisoformat(b)) for a, b in read.hours),
        weekdays=frozenset(read.weekdays),
        fixed=frozenset((int(f.day[:2]), int(f.day[3:])) for f in read.fixed),
        off=frozenset(
            day for year in read.years.values() for off in year.days_off for day in _days(off)
        ),
        worked=frozenset(day for year in read.years.values() for day in year.worked),
        years=frozenset(read.years),
    )


def _days(off: _Off) -> list[date]:
    last = off.to or off.begin
    return [off.begin + timedelta(days=n) for n in range((last - off.begin).days + 1)]


def sign_words(policies: Policies) -> Mapping[str, Words]:
    """Every sign of every pack."""
    return {key: words for pack in policies.legal for key, words in pack.signs.items()}
