"""Values of the use cases as shapes of the OpenAPI document: nothing is declared twice.

In: a msgspec struct or a dataclass. Out: a pydantic model of the same name and fields, made once; fields whose type
the value leaves open are given by name.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, create_model
from pydantic.functional_validators import BeforeValidator

_MADE: dict[str, type[BaseModel]] = {}
_OPEN = ConfigDict(from_attributes=True)


def shape_of(value: type, *, name: str = "", without: tuple[str, ...] = (), **given: Any) -> Any:
    """The model of a value's type. `given` are types of fields, in place of or besides its own."""
    title = name or value.__name__
    if title in _MADE:
        return _MADE[title]
    hints = typing.get_type_hints(value)
    names = (
        [field.name for field in msgspec.structs.fields(value)]
        if issubclass(value, msgspec.Struct)
        else [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]
    )
    fields = {one: _fitted(hints[one]) for one in names if one not in without} | given
    parts: dict[str, Any] = {one: (kind, ...) for one, kind in fields.items()}
    made: type[BaseModel] = create_model(title, __config__=_OPEN, __doc__=value.__doc__, **parts)
    _MADE[title] = made
    return made


def _fitted(hint: Any) -> Any:
    """The same type with values of ours in it replaced by their shapes."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and not inner and (
        issubclass(hint, msgspec.Struct) or dataclasses.is_dataclass(hint)
    ):  # fmt: skip
        return shape_of(hint)
    if origin in (types.UnionType, typing.Union):
        fitted = [_fitted(one) for one in inner]
        return typing.Union[tuple(fitted)]  # noqa: UP007 - made when running
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        made: Any = list[_fitted(inner[0])]  # type: ignore[misc]
        return Annotated[made, BeforeValidator(list)]
    if origin in (list, dict) and inner:
        return origin[tuple(_fitted(one) for one in inner)]
    return hint
