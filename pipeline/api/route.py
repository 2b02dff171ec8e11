"""How a route is declared: its method and address, the permission that it takes, the errors that it can give.

The permission stands in the OpenAPI document as `x-permission`, a key of the permission table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Depends

from pipeline.api.door import permits
from pipeline.api.problems import described

PERMISSION: Final = "x-permission"
_ALWAYS: Final = (400, 401, 403, 422, 429, 503)


def route(
    router: APIRouter, method: str, path: str, permission: str, *, errors: tuple[int, ...] = (), **more: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # fmt: skip
    extra = more.pop("openapi_extra", {})
    return router.api_route(
        path,
        methods=[method],
        dependencies=[Depends(permits(permission))],
        responses=described(*_ALWAYS, *errors) | more.pop("responses", {}),
        openapi_extra={PERMISSION: permission} | extra,
        **more,
    )
