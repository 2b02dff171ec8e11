"""Fixtures that every test may use, and the law on skips."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

_ROOT = Path(__file__).resolve().parents[1]


def _shared_folder() -> Path:
    return Path(os.environ.get("THAPCANH_SHARED", _ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    folder = _shared_folder()
    if not (folder / "corpora").is_dir():
        pytest.skip(
            "needs ../shared: put the real data beside the checkout, or set THAPCANH_SHARED to it"
        )
    return folder


@pytest.fixture(scope="session")
def corpora(shared: Path) -> Path:
    return shared / "corpora"


@pytest.fixture(scope="session")
def sigma_rules(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SigmaHQ's rules, unpacked."""
    import tarfile

    folder = tmp_path_factory.mktemp("sigma")
    with tarfile.open(corpora / "sigma-rules.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


# CI tries the same examples in every run, so that it fails for what changed; elsewhere they are new each time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")
