"""Whatever fits the OpenAPI document, or does not, gets an answer that the document describes (schemathesis)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.api_client import V1, Api
from support.console_client import open_site
from support.seed_cast import FOREIGN

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
FOLDER = TemporaryDirectory()
SITE = open_site(Path(FOLDER.name) / "state.sqlite", NOW)
API = Api(SITE.__enter__(), per_minute=1_000_000)
"""One for all examples: what they do to it is part of what is tried."""
schema = schemathesis.openapi.from_asgi(f"{V1}/openapi.json", API.app)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@schema.exclude(path_regex="stream").parametrize()
@settings(
    max_examples=4, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_every_answer_is_as_described(case: schemathesis.Case) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {_token()}"}, checks=CHECKS)


_HELD: list[str] = []


def _token() -> str:
    if not _HELD:
        _HELD.append(API.token("binh"))
    return _HELD[0]


def test_an_officers_examples_changed_nothing_of_another_agency() -> None:
    """After all of the above, whatever was tried."""
    with API.site.state.read() as db:
        from pipeline.state.tables.tickets import Ticket

        others = [t.revision for t in db.query(Ticket).filter(Ticket.agency == FOREIGN)]
    assert others
    assert set(others) == {1}


def test_the_document_is_3_1_and_types_every_answer() -> None:
    document = API.stranger().client.get(f"{V1}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            for status, answer in said["responses"].items():
                where = (method, path, status)
                assert answer["description"], where
                for kind, body in answer.get("content", {}).items():
                    assert body["schema"], where
                    expected = "application/problem+json" if int(status) >= 400 else kind
                    assert kind == expected, where
            assert {"400", "401", "403", "422", "429"} <= set(said["responses"]), path


@pytest.fixture(scope="module", autouse=True)
def _closed() -> object:
    yield
    SITE.__exit__(None, None, None)
    FOLDER.cleanup()
