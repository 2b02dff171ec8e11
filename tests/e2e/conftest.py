"""A real browser (Debian's chromium, driven by Playwright) and a real server for it to visit.

Without them the tests skip with a sentence that says how to get them; with CI=true that is a failure.
"""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from support.console_client import Site, open_site
from support.needs import missing

from pipeline.console.site import create_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOW = "as root: apt-get install -y chromium; then: make install"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing("a browser", HOW)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path / "state.sqlite", datetime.now(UTC).replace(microsecond=0)) as site:
        yield site


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    """Where the console of `site` listens, on a port of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        app = create_site(site.state, site.store, shelf=site.shelf, clock=site.clock)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=10)
