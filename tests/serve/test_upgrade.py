"""A home of the version before is brought up to date when it is opened, with all that is in it; then the older program
refuses it in words. The step between the two versions is made here: there is one release of tables so far."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.small_home import numbers_stored, small_home, spool, work_off

from pipeline.model.errors import UsageError
from pipeline.serve.installation import open_home
from pipeline.state import migrate
from pipeline.state.tables.tickets import Ticket

STEP = '''"""A column and a table more."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
    with op.batch_alter_table("agency") as agency:
        agency.add_column(sa.Column("later", sa.String(8), server_default="none", nullable=False))
'''


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    """The steps of a program that is one step further."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0002_later.py").write_text(STEP)
    return folder


def test_a_home_of_the_version_before_goes_on_and_the_older_program_refuses_it_afterwards(
    tmp_path: Path, next_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = small_home(tmp_path / "home")
    spool(here, 1, 2)
    work_off(here)
    here.close()

    with monkeypatch.context() as newer:
        newer.setattr(migrate, "FOLDER", next_version)
        here = open_home(tmp_path / "home")
        assert migrate.current(here.state) == "0002"
        with here.state.read() as session:
            assert session.scalars(sa.text("SELECT later FROM agency")).all() == ["none"] * len(
                session.scalars(sa.text("SELECT id FROM agency")).all()
            )
        spool(here, 3)
        work_off(here)
        assert numbers_stored(here) == [1, 2, 3]
        with here.state.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == 1
        here.close()
        open_home(tmp_path / "home").close()  # once is enough

    with pytest.raises(
        UsageError, match=r"newer version of the program.*revision 0002.*0001 or older"
    ):
        open_home(tmp_path / "home")
