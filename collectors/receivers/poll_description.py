"""A poll's description: YAML in, a checked mapping out, or every fault of it with its place.

`poll.schema.json` beside this file is the law. A description holds names, addresses and dotted paths into
JSON: nothing in it is evaluated, and secrets are references (``file:…``, ``env:…``)::

    kind: json
    hosts: [api.example.vn]
    url: https://api.example.vn/v1/events
    auth: {kind: bearer, token: "env:EXAMPLE_TOKEN"}
    records: data.items
    identity: id
    page: {kind: token, path: next, parameter: page_token}
    cursor: {kind: value, path: updated_at, parameter: since}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.model.errors import FaultsError, ThapCanhError, UsageError

_AUTH = (
    "not one of bearer (token), header (name, value), basic (user, password), oauth2 (token_url, client_id, "
    "client_secret) with its secrets as references, file:… or env:…"
)
_SCHEMA = Path(__file__).with_name("poll.schema.json")
Description = Mapping[str, Any]


def read_description(path: Path) -> Description:
    """Raises UsageError, or FaultsError that lists what the schema does not allow."""
    try:
        found = yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "the poll's description cannot be read", where=str(path), got=str(error)
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(
            "the poll's description is not YAML", where=str(path), got=str(error)
        ) from error
    faults = _faults(found, path)
    if faults:
        raise FaultsError(f"the poll {path.name} cannot be used", faults)
    return dict(found)


def _faults(found: Any, path: Path) -> list[ThapCanhError]:
    import jsonschema

    if not isinstance(found, dict):
        return [UsageError("a poll's description is a mapping", where=str(path))]
    schema = json.loads(_SCHEMA.read_text("utf-8"))
    kinds = {one["properties"]["kind"]["const"]: one for one in schema["oneOf"]}
    chosen = kinds.get(str(found.get("kind")))
    if chosen is None:
        return [UsageError("no such kind of poll", where=f"{path}: kind", got=repr(found.get("kind")),
                           expected=", ".join(kinds))]  # fmt: skip
    # Against the one form that its kind names: a message about the others would help nobody.
    whole = {key: value for key, value in schema.items() if key not in {"oneOf", "title"}}
    faults: list[ThapCanhError] = []
    for law in (whole, {**chosen, "$defs": schema["$defs"]}):
        for error in jsonschema.Draft202012Validator(law).iter_errors(found):
            best = jsonschema.exceptions.best_match([error]) or error
            place = "/".join(map(str, best.absolute_path)) or "the top"
            # A message quotes the value, and a secret may stand where its reference should.
            message = _AUTH if place.startswith("auth") else best.message[:300]
            faults.append(
                UsageError("the description is not allowed", where=f"{path}: {place}", got=message)
            )
    return faults
