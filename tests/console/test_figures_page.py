"""The figures as a page and as files for spreadsheets."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from support.console_client import Site
from support.people import analyst

from pipeline.console.csv_file import csv_file
from pipeline.tickets import life
from pipeline.tickets.deeds import Request


def test_the_page_shows_what_waits_and_who_has_the_load(site: Site) -> None:
    request = Request(actor=analyst(), ticket="5")
    life.close(site.state, request, reason="false_positive_logic", note="x", now=site.clock.now)
    html = site.signed("an").get("/figures?days=7").text
    assert "Failed Logon From Public Address" in html
    assert "Web Shell Written By Web Server Process" not in html  # a drill
    assert html.count('<rect class="second"') == 8
    assert "40 %" in html  # one wrong verdict of none: (0 + 2) / (1 + 4)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(StringIO(text.removeprefix("\ufeff"))))


@pytest.mark.parametrize(
    ("table", "first"),
    [
        ("times", ["critical", "1", "0", "", "", "0", "", ""]),
        ("backlog", ["3600", "6"]),
        ("agencies", ["so-tai-chinh", "", "4", "4", "322", "0", "0", ""]),
    ],
)
def test_each_table_is_a_file(site: Site, table: str, first: list[str]) -> None:
    answer = site.signed("an").get(f"/figures.csv?table={table}&days=7")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{table}-7d.csv"'
    assert rows(answer.text)[1] == first


def test_every_table_is_of_the_own_agency(site: Site) -> None:
    browser = site.signed("binh")
    for table in ("times", "days", "backlog", "rules", "agencies"):
        text = browser.get(f"/figures.csv?table={table}").text
        assert "phuong-sai-gon" not in text
    assert len(rows(browser.get("/figures.csv?table=rules").text)) == 5


@pytest.mark.parametrize("query", ["/figures?days=8", "/figures.csv?table=x", "/figures?days=x"])
def test_what_there_is_not_is_told(site: Site, query: str) -> None:
    assert site.signed("an").get(query).status_code == 400


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    made = csv_file(("a",), [(cell,), (7,), (None,), ('x"y',)]).decode("utf-8-sig")
    (shown,), *rest = rows(made)[1:]
    assert shown == f"'{cell}"
    assert rest == [["7"], [""], ['x"y']]
