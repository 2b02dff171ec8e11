"""One line of the doctor: what was looked at, how it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Symptom:
    """`fail` is broken, or about to lose or refuse data; `warn` will be, or is not as it should be.
    `remedy` is empty where all is well."""

    part: str
    state: Verdict
    found: str
    remedy: str = ""


def judged(part: str, found: str, *, fail: str = "", warn: str = "") -> Symptom:
    """Of the remedies given the graver counts; with none all is well."""
    state: Verdict = "fail" if fail else "warn" if warn else "ok"
    return Symptom(part, state, found, fail or warn)
