"""A pytest plugin: how long each part of the suite took of its budget in CI, and how many tests lacked ../shared.

Parts are folders of `tests/`; a file that needs a service belongs to that service's part, by its name.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

BUDGETS: Final = {  # minutes, in the order of printing
    "unit": 6,
    "lake and detection": 5,
    "elasticsearch": 5,
    "postgresql": 2,
    "request tracker": 2,
    "browser": 3,
    "shippers and daemons": 6,
    "faults": 6,
    "fuzz": 1,
}
_FOLDERS: Final = {
    "store": "lake and detection",
    "contract": "lake and detection",
    "detect": "lake and detection",
    "rules": "lake and detection",
    "rehearsal": "lake and detection",
    "elasticsearch": "elasticsearch",
    "postgresql": "postgresql",
    "request_tracker": "request tracker",
    "e2e": "browser",
    "serve": "shippers and daemons",
    "products": "shippers and daemons",
    "shippers": "shippers and daemons",
    "faults": "faults",
    "fuzz": "fuzz",
}


def part_of(node: str) -> str:
    """The part of the budget that a test's time is charged to, by its id."""
    for service in ("elasticsearch", "postgresql"):
        if service in node.partition("[")[2].rstrip("]").split("-"):  # over another store or state
            return _FOLDERS[service]
    folders = node.partition("::")[0].split("/")
    return _FOLDERS.get(folders[1], "unit") if len(folders) > 2 else "unit"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    spent: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration") and hasattr(report, "nodeid"):
                spent[part_of(report.nodeid)] += report.duration
    skipped = [str(getattr(r, "longrepr", "")) for r in terminalreporter.stats.get("skipped", ())]
    lacking = sum("../shared" in why for why in skipped)
    terminalreporter.section("time by part")
    for part, minutes in BUDGETS.items():
        if part in spent:
            terminalreporter.write_line(f"{part:<22}{spent[part]:7.0f} s of {minutes * 60} s")
    terminalreporter.write_line(f"{lacking} tests skipped for want of ../shared")
