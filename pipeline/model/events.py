"""The envelope of an event in columns: one row an event, ECS names as column names.

A table of events holds the envelope columns below, then any ECS or product column that occurs
(text, `int64`, `float64`, `bool`, `timestamp[us, UTC]` or lists of text), then `thapcanh.extra`,
a `map<string, string>` of everything that has no column. A column that a reader asks for and a
table lacks is null, unless the name is a key of `thapcanh.extra`.
"""

from __future__ import annotations

from typing import Final

ID: Final = "event.id"  # binary(16); hex for people and for Elasticsearch
NODE: Final = "thapcanh.node"
SEQUENCE: Final = "thapcanh.sequence"  # int64
SOURCE: Final = "thapcanh.source"
PRODUCT: Final = "thapcanh.product"
MAPPING: Final = "thapcanh.mapping"  # revision of the product's mapping, a content hash
REPLACES: Final = "thapcanh.replaces"  # hex id of the superseded event, null for nearly all
AGENCY: Final = "organization.id"
DATASET: Final = "event.dataset"
TIME: Final = "@timestamp"  # when it happened: timestamp[us, UTC]
CREATED: Final = "event.created"  # when a collector received it
INGESTED: Final = "event.ingested"  # when it entered the store
ORIGINAL: Final = "event.original"  # the decoded text as it came, not normalised
ORIGINAL_BYTES: Final = "thapcanh.original_bytes"  # binary, only where decoding cannot be reversed
EXTRA: Final = "thapcanh.extra"  # map<string, string>
TAGS: Final = "tags"  # list<string>
ERROR: Final = "error.message"
PEER: Final = "thapcanh.peer"

ENVELOPE: Final = (
    ID,
    NODE,
    SEQUENCE,
    AGENCY,
    SOURCE,
    PRODUCT,
    MAPPING,
    REPLACES,
    DATASET,
    TIME,
    CREATED,
    INGESTED,
    ORIGINAL,
    ORIGINAL_BYTES,
    TAGS,
    ERROR,
    PEER,
)
"""Set by the pipeline alone: a sender's field of such a name goes to `thapcanh.extra` or is refused."""

TAG_PARSE_FAILURE: Final = "_parse_failure"
TAG_ASSUMED_ZONE: Final = "_assumed_zone"
TAG_UNKNOWN_PRODUCT: Final = "_unknown_product"
