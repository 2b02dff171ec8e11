"""Files on tickets by HTTP: put on once per key, given out as bytes, never another agency's."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from httpx import Response
from support.api_client import V1, Api, Caller

BODY = "chị Lan, ca sáng\n".encode()


def put_on(
    caller: Caller, *files: tuple[str, bytes], number: int = 1, key: str = "k", **words: str
) -> Response:
    headers = {"If-Match": "*", "Idempotency-Key": key}
    return caller.client.post(
        f"{V1}/tickets/{number}/files", files=[("file", one) for one in files], data=words,
        headers=headers,
    )  # fmt: skip


def test_an_officer_answers_with_a_file_once_however_often_it_is_sent(api: Api) -> None:
    an, officer = api.by("an"), api.by("binh")
    an.deed(1, "claim")
    an.deed(1, "wait", {"whom": "agency", "note": "Ai dùng máy này?"})
    done = put_on(officer, ("../nhật ký.txt", BODY), text="Chị Lan.")
    assert (done.status_code, done.json()["status"]) == (200, "in_progress")
    assert put_on(officer, ("../nhật ký.txt", BODY), text="Chị Lan.").json() == done.json()
    assert done.headers["ETag"] == f'"{done.json()["revision"]}"'
    (file,) = officer.get("/tickets/1/files").json()["items"]
    told = {"name": "nhật ký.txt", "kind": "text", "size": len(BODY), "gone": None}
    assert {key: file[key] for key in told} == told
    assert file["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert an.get("/tickets/1").json()["files"] == [file]
    got = an.get(f"/tickets/1/files/{file['id']}")
    assert (got.content, got.headers["content-type"]) == (BODY, "application/octet-stream")
    assert got.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert got.headers["content-disposition"].startswith('attachment; filename="nh_t k_.txt"')


def test_a_file_is_of_its_ticket_alone(api: Api) -> None:
    an = api.by("an")
    put_on(an, ("a.txt", b"x"), number=3)
    file = an.get("/tickets/3/files").json()["items"][0]["id"]
    assert an.get(f"/tickets/1/files/{file}").status_code == 404
    officer = api.by("binh")
    for path in ("files", f"files/{file}"):
        assert officer.get(f"/tickets/3/{path}").status_code == 404
    assert put_on(officer, ("a.txt", b"x"), number=3).status_code == 404


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ([("a.exe", b"MZ\x90\0")], 400),
        ([("a.txt", b"")], 400),
        ([(f"{n}.txt", b"x") for n in range(5)], 400),
        ([("a.txt", b"x" * 200_001)], 413),
        ([("a.txt", b"x" * 300_000)], 413),
        ([], 415),
    ],
)
def test_what_is_not_taken_leaves_nothing(
    api: Api, files: list[tuple[str, bytes]], status: int
) -> None:
    an = api.by("an")
    answer = put_on(an, *files)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert an.get("/tickets/1/files").json()["items"] == []


def test_nobody_s_megabytes_are_read_before_it_is_known_who_sends_them(api: Api) -> None:
    big = ("a.txt", b"x" * 3_000_000)
    assert put_on(api.stranger(), big).status_code == 401
    assert put_on(api.by("kiem"), big).status_code == 403
    given: dict[str, Any] = {"file": ("a.txt", b"x")}
    headers = {"If-Match": "*", "Idempotency-Key": "k"}
    other = api.by("an").client.post(f"{V1}/tickets/1/comment", files=given, headers=headers)
    assert other.status_code == 415  # on no other address
