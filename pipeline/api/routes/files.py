"""Files on tickets: listed, put on, given out as bytes without a meaning.

    curl -F file=@nhat-ky.txt -F "text=Chị Lan, ca sáng." …/api/v1/tickets/17/files

A form with files is read once it is known who sends it, within the limits of `tickets.attachment_bytes`; a repeat
under its key puts nothing on again.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Path, Response
from fastapi import Request as HttpRequest
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from pipeline.api.door import Entered, Key, Seen
from pipeline.api.route import route
from pipeline.api.routes.deeds import Done
from pipeline.api.routes.tickets import ETAG, File, Number
from pipeline.api.uploads import as_download, given, read_files
from pipeline.tickets.attachments import attach, fetch, list_files
from pipeline.tickets.deeds import Outcome, Request

router = APIRouter(tags=["files"])
FORM: Final = "multipart/form-data"
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 10,
                            "items": {"type": "string", "format": "binary"},
                        },
                        "text": {"type": "string", "description": "Markdown, if you like."},
                    },
                }
            }
        },
    }
}
_BYTES: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


class Files(BaseModel):
    items: list[File]


@route(router, "GET", "/tickets/{number}/files", "ticket.read", errors=(404,), response_model=Files)
def files(caller: Entered, number: Number) -> Any:
    """What people have attached, each with its SHA-256; `gone` says when retention took the content."""
    asked = Request(actor=caller.actor, ticket=str(number))
    return {"items": list_files(caller.state, asked)}


@route(
    router, "POST", "/tickets/{number}/files", "ticket.comment", errors=(404, 409, 412, 413, 415, 428),
    response_model=Done, responses=ETAG, openapi_extra=_BODY,
)  # fmt: skip
async def put_on(
    request: HttpRequest, caller: Entered, number: Number, seen: Seen, key: Key, response: Response
) -> Outcome:
    """Put up to ten files on a ticket, with or without words; an officer's words answer a ticket that waits."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPException(415, f"a body is {FORM}")
    form = await read_files(request, caller.gate.shelf)
    try:
        said = form.get("text", "")
        asked = Request(actor=caller.actor, ticket=str(number), revision=seen, key=key)
        done = await run_in_threadpool(
            attach, caller.state, asked, caller.gate.shelf, given(form, "file"),
            text=said if isinstance(said, str) else "", now=caller.now,
        )  # fmt: skip
    finally:
        await form.close()
    response.headers["ETag"] = f'"{done.revision}"'
    return done


@route(
    router, "GET", "/tickets/{number}/files/{file}", "ticket.read", errors=(404,),
    responses={200: {"description": "The file.", "content": _BYTES}}, response_class=Response,
)  # fmt: skip
def give_out(
    caller: Entered, number: Number, file: Annotated[str, Path(max_length=32)]
) -> Response:
    """One file, checked against its hash: a download that no browser shows or runs."""
    asked = Request(actor=caller.actor, ticket=str(number))
    one, body = fetch(caller.state, asked, caller.gate.shelf, file)
    return Response(body, media_type="application/octet-stream", headers=as_download(one.name))
