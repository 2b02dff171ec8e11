"""Assets: a file is taken whole or not at all, and the priority of a ticket knows what its entity is."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from support.findings import NOW, Given, take
from support.people import AUDITOR, analyst, officer

from pipeline.model.clock import EPOCH
from pipeline.model.errors import FaultsError, ForbiddenError, NotFoundError
from pipeline.model.scope import OPERATOR
from pipeline.sources.assets import Plan, import_assets, list_assets, read_csv
from pipeline.state.state import State
from pipeline.state.tables.register import Agency
from pipeline.state.tables.tickets import Ticket
from pipeline.tickets.assets import Book, Known
from pipeline.tickets.priority import of_ticket, reckon_once

HEAD = "agency,kind,pattern,name,system,criticality\n"
FILE = HEAD + (
    "ward-1,address,10.20.0.7/24,Máy chủ kế toán,Kế toán,5\n"
    "ward-1,host,KETOAN-*,Máy trạm kế toán,Kế toán,3\n"
    "ward-1,user,quantri,Quản trị,,4\n"
)


@pytest.fixture(autouse=True)
def agencies(state: State) -> None:
    with state.begin() as session:
        for one in ("ward-1", "ward-2"):
            session.add(Agency(id=one, name_vi=one, name_en=one, level=1, valid_from=EPOCH))


def test_a_preview_says_what_the_file_does_and_writes_nothing(state: State) -> None:
    plan = import_assets(state, OPERATOR, FILE, dry_run=True, now=NOW)
    keys = (
        "ward-1 address 10.20.0.0/24", "ward-1 host ketoan-*", "ward-1 user quantri",
    )  # fmt: skip
    assert plan == Plan(keys, (), (), 0)
    assert list_assets(state, OPERATOR, "ward-1") == []
    assert import_assets(state, OPERATOR, FILE, now=NOW) == plan
    assert import_assets(state, OPERATOR, FILE, now=NOW) == Plan((), (), (), 3)
    less = "".join(
        line for line in FILE.replace(",4\n", ",5\n").splitlines(True) if "host" not in line
    )
    assert import_assets(state, OPERATOR, less, now=NOW) == Plan((), (keys[2],), (), 1)
    assert import_assets(state, OPERATOR, less, replace=True, now=NOW) == Plan(
        (), (), (keys[1],), 2
    )
    assert [(one.pattern, one.criticality) for one in list_assets(state, OPERATOR, "ward-1")] == [
        ("10.20.0.0/24", 5), ("quantri", 5),
    ]  # fmt: skip


def test_every_fault_of_a_file_is_told_with_its_line_and_nothing_is_taken(state: State) -> None:
    bad = HEAD + (
        "ward-1,address,10.20.0.300,x,,5\nward-1,printer,p1,x,,5\nward-1,host,*,x,,5\n"
        "ward-1,host,a,,,5\nward-1,host,a,x,,6\nward-1,host,a\nward-1,host,b,x,,1\nward-1,host,B,x,,1\n"
    )
    with pytest.raises(FaultsError) as error:
        import_assets(state, OPERATOR, bad, now=NOW)
    assert [(one.where, one.what) for one in error.value.faults] == [
        ("line 2", "this is no address range"), ("line 3", "no such kind of asset"),
        ("line 4", "a pattern names something"), ("line 5", "an asset has a name"),
        ("line 6", "a criticality is 1 to 5"),
        ("line 7", "the line has not as many fields as the header"),
        ("line 9", "the asset stands twice"),
    ]  # fmt: skip
    assert list_assets(state, OPERATOR, "ward-1") == []


def test_a_spreadsheet_s_semicolons_and_mark_are_read() -> None:
    text = "\ufeffkind;pattern;name;criticality\nhost;pc-1;Máy 1;2\n"
    assert read_csv(text, agency="ward-1") == {
        ("ward-1", "host", "pc-1"): Known("host", "pc-1", "Máy 1", "", 2)
    }


def test_an_officer_writes_their_own_agency_s_and_reads_no_other(state: State) -> None:
    import_assets(state, officer("o", "ward-1"), FILE, now=NOW)
    with pytest.raises(NotFoundError, match="no such agency"):
        import_assets(state, officer("o", "ward-2"), FILE, now=NOW)
    with pytest.raises(NotFoundError):
        list_assets(state, officer("o", "ward-2"), "ward-1")
    for actor in (AUDITOR, analyst()):
        with pytest.raises(ForbiddenError):
            import_assets(state, actor, FILE, now=NOW)
        assert len(list_assets(state, actor, "ward-1")) == 3


@pytest.mark.parametrize(
    ("entity", "name"),
    [
        ("10.20.0.99", "range"), ("10.20.1.1", ""), ("2001:db8::1", "six"), ("KETOAN-07", "form"),
        ("ketoan-07.stc.local", "form"), ("PC-1.stc.local", "pc"), ("STC\\Lan", "lan"), ("lan", "lan"),
        ("", ""), ("lanh", ""), ("[", ""),
    ],
)  # fmt: skip
def test_an_entity_is_the_most_critical_asset_that_it_fits(entity: str, name: str) -> None:
    book = Book(
        Known(kind, pattern, called, "", criticality)
        for kind, pattern, called, criticality in (
            ("address", "10.0.0.0/8", "", 1), ("address", "10.20.0.0/24", "range", 5),
            ("address", "2001:db8::/32", "six", 2), ("host", "ketoan-*", "form", 3),
            ("host", "pc-1", "pc", 1), ("user", "lan", "lan", 4),
        )
    )  # fmt: skip
    found = book.find(entity)
    assert (found.name if found else "") == name


def test_the_priority_of_a_ticket_counts_the_asset_and_follows_the_register(state: State) -> None:
    take(state, [Given("a", entity="KETOAN-07", level="high")])
    assert reckon_once(state, now=NOW) == 0
    import_assets(state, OPERATOR, FILE, now=NOW)
    assert reckon_once(state, now=NOW) == 1
    take(state, [Given("b", entity="10.20.0.9", level="high")])
    with state.read() as session:
        found = {
            one.entity: (one.asset, one.criticality, one.priority)
            for one in session.scalars(sa.select(Ticket))
        }
        ticket = session.scalars(sa.select(Ticket).where(Ticket.entity == "KETOAN-07")).one()
        factors = [(f.key, f.value, f.points) for f in of_ticket(session, ticket).factors]
    assert found == {
        "KETOAN-07": ("Máy trạm kế toán", 3, 63),
        "10.20.0.9": ("Máy chủ kế toán", 5, 70),
    }
    assert factors == [
        ("severity", "high", 60), ("system_level", "1", 0), ("asset", "3", 3), ("precision", "50", 0),
    ]  # fmt: skip
    import_assets(state, OPERATOR, HEAD + "ward-1,user,x,x,,1\n", replace=True, now=NOW + timedelta(hours=1))  # fmt: skip
    reckon_once(state, now=NOW)
    with state.read() as session:
        assert set(session.scalars(sa.select(Ticket.criticality))) == {0}
