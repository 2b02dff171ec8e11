"""The wheel alone, in a fresh environment and a foreign folder: `match` finds, and its data are inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from support.cli_words import EVENT, RULE

pytestmark = pytest.mark.slow
_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what a clone would hold, without the network."""
    clone, out = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=_ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("needs a git checkout: the wheel is built from the files that git knows")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (_ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((_ROOT / name).read_bytes())
    # setup.py by itself: any setuptools of the environment will do.
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(out)],
        cwd=clone, capture_output=True, text=True, check=False, env=_clean(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("thapcanh-*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own: the wheel installed, its dependencies lent by the one that tests."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps",
         "--no-index", "--disable-pip-version-check", str(wheel)],
        check=True, env=_clean(),
    )  # fmt: skip
    (site,) = folder.glob("lib/python*/site-packages")
    lent = sysconfig.get_paths()["purelib"]
    # A path file of its own, so that ours (an editable install) is not read.
    (site / "lent.pth").write_text(f"import sys; sys.path.append({lent!r})\n")
    return python


def _clean() -> dict[str, str]:
    """Without what would lead Python to the checkout."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "THAPCANH"))
    }


def test_the_wheel_holds_rules_settings_products_and_pages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in (("rules", "pipeline/_shipped/rules"), ("config", "pipeline/_shipped/config"),
                           ("collectors/products", "collectors/products")):  # fmt: skip
        wanted = {
            f"{inside}/{path.relative_to(_ROOT / folder)}"
            for path in (_ROOT / folder).rglob("*")
            if path.suffix in {".yml", ".json", ".txt"}
        }
        assert wanted, folder
        assert sorted(wanted - names) == []
    console = _ROOT / "pipeline" / "console"
    pages = {
        str(p.relative_to(_ROOT))
        for p in console.rglob("*")
        if p.suffix in {".html", ".css", ".js", ".mo", ".po"}
    }
    assert sorted(pages - names) == []
    assert "pipeline/state/migrations/versions/0001_first.py" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_match_runs_from_a_foreign_folder_and_finds_its_data_inside(
    python: Path, tmp_path: Path
) -> None:
    (tmp_path / "rule.yml").write_bytes(RULE)
    (tmp_path / "events.json").write_text(f'{{"a":1}}\n{json.dumps(EVENT)}\n')
    done = subprocess.run(
        [python.with_name("thapcanh"), "match", "events.json", "--product", "windows", "--rules", "rule.yml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**_clean(), "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (found,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (found["line"], found["title"]) == (2, "A test rule")


def test_a_home_is_made_from_the_wheel_with_the_shipped_rules(python: Path, tmp_path: Path) -> None:
    """The migrations, the rules and the settings are the wheel's, not a checkout's."""
    script = (
        "import pipeline, collectors, json\n"
        "from pipeline.settings.places import config_dir, products_dir, rules_dir\n"
        "print(json.dumps([pipeline.__path__[0], str(config_dir()), str(rules_dir()), str(products_dir())]))"
    )
    told = subprocess.run(
        [python, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env=_clean(),
    )
    site = str(python.parents[1])
    assert [place for place in json.loads(told.stdout) if not place.startswith(site)] == []
    init = subprocess.run(
        [python.with_name("thapcanh"), "admin", "init", "--home", "home", "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=_clean(),
    )  # fmt: skip
    assert (init.returncode, "link" in init.stdout) == (0, True), init.stderr
    assert (tmp_path / "home" / "state.sqlite").is_file()
