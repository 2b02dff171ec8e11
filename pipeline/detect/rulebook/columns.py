"""Writes `config/taxonomy/columns.txt`: the columns that rules read, for the normaliser.

python -m pipeline.detect.rulebook.columns      # after a change of the taxonomy; a test sees a stale file
"""

from __future__ import annotations

from pathlib import Path

from pipeline.detect.rulebook.taxonomy import Taxonomy
from pipeline.settings.places import config_dir


def columns_file() -> Path:
    return config_dir() / "taxonomy" / "columns.txt"


def rendered() -> str:
    """One column name a line, sorted."""
    return "".join(f"{name}\n" for name in Taxonomy.load(config_dir() / "taxonomy").columns())


if __name__ == "__main__":
    columns_file().write_text(rendered(), "utf-8")
