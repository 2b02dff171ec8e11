"""Names for Arrow's values in annotations; any, since columns of every type pass the same code."""

from __future__ import annotations

from typing import Any, TypeAlias

Array: TypeAlias = Any
DataType: TypeAlias = Any
Table: TypeAlias = Any
