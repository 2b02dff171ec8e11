"""A client of the cluster, and its errors in our words.

The client retries nothing by itself: it would send documents again that the cluster has taken. Answers are
read by orjson. A cluster that does not answer is `ServiceAwayError`; one that answers in parts (failed shards, a
search that timed out) too: an answer of a part is never passed on as the whole.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pipeline.model.errors import LimitError, ServiceAwayError, UsageError
from pipeline.settings.secrets import read_secret
from pipeline.settings.values import ElasticsearchSettings

EVERY: Final[Mapping[str, Any]] = {
    "expand_wildcards": "open,closed", "ignore_unavailable": False, "allow_no_indices": True,
}  # fmt: skip
"""For reads of all our indices: one that is closed is an error, where the default leaves it out in silence."""
_REMEDY = "nothing accepted is lost, the work is tried again; thapcanh doctor says more"

_SIGN_IN: Final = {
    401: (
        "Elasticsearch does not know who asks",
        "check store.elasticsearch.api_key, or user and password: a wrong, expired or missing one",
    ),
    403: (
        "Elasticsearch knows who asks, who is not allowed this",
        "it needs monitor and manage_index_templates on the cluster, all on logs-thapcanh.*",
    ),
}


def connect(settings: ElasticsearchSettings) -> Any:
    """An `elasticsearch.Elasticsearch`. UsageError when the settings cannot be used."""
    import orjson
    from elasticsearch import Elasticsearch
    from elasticsearch.serializer import JsonSerializer

    class Quick(JsonSerializer):
        def json_loads(self, data: Any) -> Any:
            return orjson.loads(data)

    if not settings.hosts:
        raise UsageError(
            "no host of Elasticsearch is named", where="store.elasticsearch.hosts",
            expected="a list such as [https://es-1.example:9200]",
        )  # fmt: skip
    options: dict[str, Any] = {}
    if settings.ca:
        if not Path(settings.ca).is_file():
            raise UsageError(
                "the authority's certificate is not there", where="store.elasticsearch.ca",
                got=settings.ca, expected="a file in PEM",
            )  # fmt: skip
        options["ca_certs"] = settings.ca
    if settings.api_key:
        options["api_key"] = read_secret(settings.api_key, "store.elasticsearch.api_key")
    elif settings.user:
        secret = read_secret(settings.password, "store.elasticsearch.password")
        plain = f"{settings.user}:{secret}".encode()  # the client itself takes ASCII only
        options["basic_auth"] = base64.b64encode(plain).decode()
    try:
        return Elasticsearch(
            list(settings.hosts), max_retries=0, retry_on_timeout=False,
            request_timeout=settings.timeout, http_compress=settings.compress,
            serializers={"application/vnd.elasticsearch+json": Quick(), "application/json": Quick()},
            **options,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        raise UsageError(
            "the settings of Elasticsearch cannot be used", where="store.elasticsearch",
            got=str(error), expected="hosts such as https://es-1.example:9200",
        ) from error  # fmt: skip


@contextmanager
def speaking(what: str) -> Iterator[None]:
    """Errors of the client, within, become ours."""
    from elasticsearch import ApiError, TransportError

    try:
        yield
    except ApiError as error:
        raise refusal(what, error.meta.status, error.body) from error
    except TransportError as error:
        raise away(what, error) from error


def away(what: str, error: Exception) -> ServiceAwayError:
    """The cluster was not reached, or is not the one that it should be."""
    from elastic_transport import TlsError

    got = str(error).splitlines()[0][:200]
    if isinstance(error, TlsError):
        return ServiceAwayError(
            "TLS to Elasticsearch fails", where=what, got=got,
            remedy="store.elasticsearch.ca must name the authority that signed the cluster's certificates, and "
            "hosts the names that stand in them",
        )  # fmt: skip
    return ServiceAwayError("Elasticsearch does not answer", where=what, got=got, remedy=_REMEDY)


def refusal(what: str, status: int, body: Any) -> Exception:
    """What the cluster said no to: too much of us, or something that must be mended there."""
    reason = reason_of(body)
    if status in _SIGN_IN and "cluster_block" not in reason:
        said, remedy = _SIGN_IN[status]
        return ServiceAwayError(said, where=what, got=f"{status} {reason[:200]}", remedy=remedy)
    if "index_closed_exception" in reason:
        return ServiceAwayError(
            "an index of ours is closed", where=what, got=reason[:300],
            remedy="open it (POST index/_open): until then no answer would be whole",
        )  # fmt: skip
    if status == 400 and what == "_search":  # asking again would not help
        return LimitError(
            "Elasticsearch cannot take a search so wide", where=what, got=reason[:200],
            remedy="narrow it: fewer wildcards, more letters beside each",
        )  # fmt: skip
    return ServiceAwayError(
        f"Elasticsearch refuses with {status}", where=what, got=reason[:300], remedy=_REMEDY
    )


def reason_of(body: Any) -> str:
    """The root cause of an error's body, in a line."""
    if not isinstance(body, Mapping):
        return " ".join(str(body).split())[:300]  # of a proxy: a page
    error = body.get("error", body)
    if not isinstance(error, Mapping):
        return str(error)[:300]
    found: list[str] = []
    while isinstance(error, Mapping):
        causes = error.get("failed_shards") or error.get("root_cause") or []
        found.append(f"{error.get('type', '')}: {error.get('reason', '')}")
        inner = error.get("caused_by")
        if inner is None and causes:
            first = causes[0]
            inner = first.get("reason") if isinstance(first.get("reason"), Mapping) else None
        error = inner
    return "; ".join(dict.fromkeys(found))[:600]


def whole(answer: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """The answer of a search, if it is all of it."""
    shards = answer.get("_shards") or {}
    if answer.get("timed_out") or shards.get("failed") or answer.get("terminated_early"):
        failures = shards.get("failures") or [{}]
        got = (
            "it timed out" if answer.get("timed_out") else reason_of(failures[0].get("reason", {}))
        )
        raise ServiceAwayError(
            "Elasticsearch answered in part only", where=what,
            got=f"{shards.get('failed', 0)} of {shards.get('total', 0)} shards failed: {got}",
            remedy=_REMEDY,
        )  # fmt: skip
    return answer
