"""A real Request Tracker of this run; REQUEST_TRACKER_URL names one that is up already."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support.needs import missing


def server_module() -> ModuleType:
    """`server.py`, which is a command and not of a package."""
    spec = importlib.util.spec_from_file_location(
        "rt_server", Path(__file__).with_name("server.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def rt() -> ModuleType:
    return server_module()


@pytest.fixture(scope="session")
def tracker(rt: ModuleType) -> Iterator[str]:
    """Its address."""
    if given := os.environ.get("REQUEST_TRACKER_URL"):
        yield given
        return
    if what := rt.lacking():
        missing(what, rt.HOW)
    made = rt.start(Path(tempfile.mkdtemp(prefix="thapcanh-request-tracker-")))
    try:
        yield made.url
    finally:
        made.stop()
