"""Single rows come alike whichever reads them, and a footer that is kept is never taken for a file that was harmed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.event_tables import NOW, event_table

from pipeline.model.errors import DamagedError
from pipeline.normalise.document import events_as_documents
from pipeline.store import files
from pipeline.store.files import arrange, write_file
from pipeline.store.lake import footers as lake_footers
from pipeline.store.lake import rows as lake_rows


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty rows in groups of seven, of every shape that a column has."""
    monkeypatch.setattr(files, "ROW_GROUP", 7)
    rows = [
        {
            "user.name": f"u{n}", "related.ip": [f"10.0.0.{n}"] * (n % 3), "event.created": NOW,
            "thapcanh.extra": [("x.left", str(n))] if n % 2 else None,
        }
        for n in range(30)
    ]  # fmt: skip
    return tmp_path / write_file(tmp_path, "test.log", arrange(event_table(rows, 1))).path


def test_few_rows_are_the_same_by_pages_and_by_whole_row_groups(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [1, 6, 7, 22, 29]
    whole = events_as_documents(lake_rows.rows_of(path, numbers))
    monkeypatch.setattr(lake_rows, "SMALL", 0)
    assert events_as_documents(lake_rows.rows_of(path, numbers)) == whole
    assert [one["user"]["name"] for one in whole] == [f"u{n}" for n in numbers]


def test_a_file_that_is_harmed_after_its_footer_was_kept_is_an_error(path: Path) -> None:
    lake_rows.rows_of(path, [3])
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DamagedError, match=path.name):
        lake_rows.rows_of(path, [3])


def test_footers_are_kept_up_to_a_size_and_the_last_used_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = lake_footers._Footers()
    monkeypatch.setattr(lake_footers, "_footers", kept)
    made = [tmp_path / f"{n}.parquet" for n in range(3)]
    for one in made:
        pq.write_table(pa.table({"a": [1, 2]}), one)
    size = pq.ParquetFile(made[0]).metadata.serialized_size * lake_footers._GROWTH
    monkeypatch.setattr(lake_footers, "KEPT", 2 * size)
    for n in (0, 1, 0, 2):
        assert lake_footers.open_file(made[n])[0].read().num_rows == 2
    assert [Path(key[0]).name for key in kept._kept] == ["0.parquet", "2.parquet"]
