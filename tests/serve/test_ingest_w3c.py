"""A W3C log that grew since it was ingested: its new lines are read with the header that they stand under."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.spool import SpoolReader
from pipeline.model import events
from pipeline.model.clock import utc_now
from pipeline.model.records import RawRecord
from pipeline.model.scope import OPERATOR
from pipeline.normalise.context import Context
from pipeline.normalise.normaliser import normalise
from pipeline.normalise.product import load_product
from pipeline.serve.ingest import ingest
from pipeline.serve.installation import Installation, open_home
from pipeline.settings.places import products_dir
from pipeline.sources import register

SOURCE = "p1-web"
HEAD = """#Software: Microsoft HTTP API 2.0
#Version: 1.0
#Date: 2002-07-05 18:45:09
"""
FIELDS = "#Fields: date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status s-siteid s-reason"
FIRST = "2002-07-05 18:45:09 172.31.77.6 2094 172.31.77.6 80 HTTP/1.1 GET /qos/1kbfile.txt 503 - ConnLimit"
LATER = (
    "2002-07-05 19:51:59 127.0.0.1 2780 127.0.0.1 80 HTTP/1.1 GET /ThisIsMyUrl.htm 400 - Hostname"
)
IIS = (
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) "
    "sc-status sc-substatus sc-win32-status time-taken"
)
PLAIN = "2026-11-24 02:00:05 10.21.1.5 GET / - 80 - 10.0.0.1 Mozilla/5.0 - 200 0 0 2"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    home = tmp_path / "home"
    home.mkdir()
    opened = open_home(home)
    now = utc_now()
    register.add_agency(opened.state, OPERATOR, agency="p1", name_vi="P1", name_en="P1", now=now)
    register.add_source(
        opened.state, OPERATOR, source=SOURCE, agency="p1", product="iis", known_products=["iis"], now=now
    )  # fmt: skip
    yield opened
    opened.close()


def taken(here: Installation, file: Path) -> list[RawRecord]:
    done = ingest(here, file, SOURCE, wait=False, report=lambda *_: None)
    with SpoolReader(here.settings.spool, done.node) as reader:
        return reader.read(0, 100)


def test_lines_that_were_added_are_read_with_the_header_of_the_file(
    here: Installation, tmp_path: Path
) -> None:
    log = tmp_path / "httperr1.log"
    log.write_text(f"{HEAD}{FIELDS}\n{FIRST}\n")
    first = taken(here, log)
    assert [one.body.decode() for one in first[3:]] == [FIELDS, f"{FIELDS}\n{FIRST}"]
    with log.open("a") as file:
        file.write(f"{LATER}\n{IIS}\n{PLAIN}\n")
    later = taken(here, log)
    assert [one.body.decode() for one in later] == [f"{FIELDS}\n{LATER}", IIS, PLAIN]
    product = load_product(products_dir() / "iis.yml")
    context = Context(node="n1", agency="p1", source=SOURCE, key=bytes(16), ingested=0)
    made = normalise(product, [*first, *later], context)
    rows = [row for table in made.tables.values() for row in table.to_pylist()]
    assert [
        (row["source.ip"], row["http.response.status_code"])
        for row in sorted(rows, key=lambda row: str(row[events.TIME]))
    ] == [("172.31.77.6", 503), ("127.0.0.1", 400), ("10.0.0.1", 200)]
    assert not made.dead
