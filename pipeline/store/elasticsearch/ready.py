"""Nothing is written into an index that would keep a column without finding it.

In: names of indices that are about to be written. Out: each exists with the mapping of this program, made when it
was not there, widened when an older program made it. The template is put in place when there is none; another one
is never overwritten here, for a change of it is an administrator's deed (`thapcanh store init`).
"""

from __future__ import annotations

from typing import Any

from pipeline.model.errors import ServiceAwayError
from pipeline.store.elasticsearch import templates
from pipeline.store.elasticsearch.client import reason_of, speaking


class Ready:
    """Remembers what it has seen; `forget` when something went wrong."""

    def __init__(self, client: Any, shards: int = 1) -> None:
        self._client, self._shards = client, shards
        self._template = False
        self._indices: set[str] = set()

    def ensure(self, index: str) -> None:
        """ServiceAwayError when the cluster has another template, or will not take the mapping."""
        if index in self._indices:
            return
        with speaking(f"template {templates.NAME}"):
            self._ensure_template()
        with speaking(f"index {index}"):
            self._ensure_index(index)
        self._indices.add(index)

    def forget(self) -> None:
        self._template = False
        self._indices.clear()

    def _ensure_template(self) -> None:
        if self._template:
            return
        there = templates.present(self._client)
        if there is None:
            templates.put(self._client)
        elif not templates.is_current(there):
            raise ServiceAwayError(
                "the cluster has another template than this program's", where=templates.NAME,
                remedy="thapcanh store init shows the difference and puts it right",
            )  # fmt: skip
        self._template = True

    def _ensure_index(self, index: str) -> None:
        quiet = self._client.options(ignore_status=[400, 404])
        found = quiet.indices.get_mapping(index=index)
        if found.meta.status == 404:
            made = quiet.indices.create(
                index=index, settings={"index.number_of_shards": self._shards}
            )
            if made.meta.status == 400 and "already_exists" not in reason_of(made.body):
                raise ServiceAwayError(
                    "the index cannot be made", where=index, got=reason_of(made.body)
                )
            found = quiet.indices.get_mapping(index=index)
        wanted = templates.mappings()
        if templates.digest_of(found.body[index]["mappings"]) == templates.digest_of(wanted):
            return
        done = quiet.indices.put_mapping(
            index=index, properties=wanted["properties"], meta=wanted["_meta"]
        )
        if done.meta.status != 200:
            raise ServiceAwayError(
                "the index cannot take the columns of this program", where=index,
                got=reason_of(done.body), remedy="thapcanh store init says which",
            )  # fmt: skip
