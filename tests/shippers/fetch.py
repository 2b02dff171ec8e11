"""Fetch and build the clients that the tests of shippers run, so that no test's time goes into it.

``python tests/shippers/fetch.py``; what is in the cache already is left alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]


def main() -> None:
    from shippers.test_bulk_clients import go, javascript, python
    from support import unpacked
    from support.syslog_ng import PACKAGES

    unpacked.debian("syslog-ng", *PACKAGES)
    unpacked.debian("nginx", "nginx")
    for client in (python, javascript, go):
        for major in ("7", "8", "9"):
            client(major)


if __name__ == "__main__":
    main()
