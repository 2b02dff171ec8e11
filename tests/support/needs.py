"""What a test cannot do without: it skips with a sentence that says how to get it, and in CI it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str, how: str) -> NoReturn:
    """Skip the test for want of `what`; with CI=true a missing service or browser is a failure."""
    sentence = f"needs {what}: {how}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
