"""What is wrong, and what to do: every part is looked at, whatever the others say.

In: a home. Out: a `Symptom` a line, in the order in which data flow. A check that fails to look is a
symptom itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from pipeline.model.errors import FaultsError, ThapCanhError
from pipeline.serve.doctor import flow as flow_checks
from pipeline.serve.doctor import host as host_checks
from pipeline.serve.doctor.symptoms import Symptom
from pipeline.serve.installation import Installation, open_home


def examine_home(home: Path, now: datetime) -> list[Symptom]:
    """As `examine`, of a home that perhaps cannot be opened."""
    try:
        here = open_home(home, create=False)
    except FaultsError as error:
        faults = [Symptom("settings", "fail", str(one), one.remedy) for one in error.faults]
        return [*host_checks.versions(), *faults]
    except ThapCanhError as error:
        return [*host_checks.versions(), _told("home", error)]
    try:
        return examine(here, now)
    finally:
        here.close()


def examine(here: Installation, now: datetime) -> list[Symptom]:
    checks: list[tuple[str, Callable[[], Iterable[Symptom]]]] = [
        ("versions", host_checks.versions),
        ("modes", lambda: host_checks.secrets(here)),
        ("clock", lambda: host_checks.clock(here, now)),
        ("disk", lambda: host_checks.storage(here)),
        ("limits", lambda: host_checks.limits(here)),
        ("ports", lambda: host_checks.ports(here)),
        ("state", lambda: host_checks.database(here)),
        ("roles", lambda: flow_checks.roles(here, now)),
        ("spool", lambda: flow_checks.spool(here)),
        ("store", lambda: flow_checks.store(here)),
        ("runs", lambda: flow_checks.runs(here)),
        ("additions", lambda: host_checks.additions(here)),
        ("dead letters", lambda: flow_checks.letters(here)),
        ("outbox", lambda: flow_checks.outbox(here)),
        ("backup", lambda: flow_checks.keeping(here, now)),
        ("alarms", lambda: flow_checks.alarms(here)),
    ]
    return [symptom for name, look in checks for symptom in _looked(name, look)]


def _looked(name: str, look: Callable[[], Iterable[Symptom]]) -> Iterator[Symptom]:
    try:
        yield from list(look())
    except ThapCanhError as error:
        yield _told(name, error)
    except Exception as error:  # noqa: BLE001 - the doctor has more to look at
        yield Symptom(
            name, "fail", f"cannot be looked at: {error}", "see whether the disk can be read"
        )


def _told(part: str, error: ThapCanhError) -> Symptom:
    found = str(error).removesuffix(f". {error.remedy}") if error.remedy else str(error)
    return Symptom(part, "fail", found, error.remedy)
