"""``admin``, ``person``, ``token``: the beginning of an installation, and who may enter."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Annotated

import typer

from pipeline.cli.options import After, Home, Json, Limit, opened
from pipeline.cli.output import show_list, show_one
from pipeline.cli.paging import page_of
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR

admin = typer.Typer(no_args_is_help=True, help="Begin an installation.")
person = typer.Typer(no_args_is_help=True, help="People who sign in.")
token = typer.Typer(no_args_is_help=True, help="Keys of programs.")
Who = Annotated[str, typer.Argument(help="What they sign in with.")]
_PERSON_COLUMNS = ("id", "role", "agencies", "has_password", "disabled", "locked_until", "name")
_TOKEN_COLUMNS = ("id", "person", "state", "expires", "permissions", "agencies", "name")


def attach(app: typer.Typer) -> None:
    app.add_typer(admin, name="admin")
    app.add_typer(person, name="person")
    app.add_typer(token, name="token")


@admin.command("init")
def init(
    name: Annotated[str, typer.Option(help="The administrator's name.")] = "Quản trị viên",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make the home, the centre's agency and the first administrator; print a one-time sign-in link."""
    from pipeline.access.beginning import begin_installation
    from pipeline.serve.links import sign_in_url

    with opened(home, create=True) as here:
        secret = begin_installation(here.state, OPERATOR, name=name, now=utc_now())
        show_one({"link": sign_in_url(here.settings.console, secret)}, as_json=as_json)


@person.command("add")
def person_add(
    who: Who,
    name: Annotated[str, typer.Option(help="The person's full name.")],
    role: Annotated[str, typer.Option(help="analyst, officer, auditor or administrator")],
    agency: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    language: Annotated[str, typer.Option(help="vi or en")] = "vi",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Add a person; print their one-time sign-in link."""
    from pipeline.access import links, people
    from pipeline.serve.links import sign_in_url

    with opened(home) as here:
        now = utc_now()
        people.add(
            here.state, OPERATOR, person=who, name=name, role=role, agencies=agency or (),
            language=language, now=now,
        )  # fmt: skip
        secret = links.issue(here.state, OPERATOR, who, now=now)
        show_one(
            {"person": who, "link": sign_in_url(here.settings.console, secret)}, as_json=as_json
        )


@person.command("link")
def person_link(who: Who, home: Home = None, as_json: Json = False) -> None:
    """A new one-time sign-in link for a person."""
    from pipeline.access import links
    from pipeline.serve.links import sign_in_url

    with opened(home) as here:
        secret = links.issue(here.state, OPERATOR, who, now=utc_now())
        show_one(
            {"person": who, "link": sign_in_url(here.settings.console, secret)}, as_json=as_json
        )


@person.command("list")
def person_list(
    limit: Limit = 200, after: After = None, home: Home = None, as_json: Json = False
) -> None:
    """All people, with their roles."""
    from pipeline.access import people

    with opened(home) as here:
        everybody = people.list_people(here.state, OPERATOR)
    page, following = page_of([dataclasses.asdict(one) for one in everybody], limit, after)
    show_list(page, as_json=as_json, columns=_PERSON_COLUMNS, following=following)


@person.command("disable")
def person_disable(who: Who, home: Home = None, as_json: Json = False) -> None:
    """End a person's sessions and tokens, and let them in no more."""
    from pipeline.access import people

    with opened(home) as here:
        done = people.disable(here.state, OPERATOR, who, now=utc_now())
    show_one({"person": done.id, "disabled": done.disabled}, as_json=as_json)


@token.command("issue")
def token_issue(
    who: Annotated[str, typer.Option("--person", help="Whom it acts for.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    permission: Annotated[
        list[str], typer.Option(help="E.g. ticket.read; may be given several times.")
    ],
    agency: Annotated[
        list[str] | None, typer.Option(help="Only of this agency; may be given several times.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it lives.")] = 90,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """A token that may do what is named, and never more than its person. Shown once."""
    from pipeline.access import tokens

    with opened(home) as here:
        now = utc_now()
        text = tokens.issue(
            here.state, OPERATOR, person=who, name=name, permissions=permission,
            agencies=agency or (), expires=now + timedelta(days=days), now=now,
        )  # fmt: skip
        show_one({"token": text, "expires": now + timedelta(days=days)}, as_json=as_json)


@token.command("list")
def token_list(
    person: Annotated[str, typer.Option(help="Only of this person.")] = "",
    limit: Limit = 200,
    after: After = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """All tokens, without their secrets."""
    from pipeline.access import tokens

    now = utc_now()
    with opened(home) as here:
        found = tokens.list_tokens(here.state, OPERATOR)
    items = [
        dataclasses.asdict(one)
        | {"state": "revoked" if one.revoked else "expired" if one.expires <= now else "valid"}
        for one in found
        if person in {"", one.person}
    ]
    page, following = page_of(items, limit, after)
    show_list(page, as_json=as_json, columns=_TOKEN_COLUMNS, following=following)


@token.command("revoke")
def token_revoke(
    which: Annotated[str, typer.Argument(help="The token's id, or the whole token.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Revoke a token at once."""
    from pipeline.access import tokens

    whole = tokens.FORM.fullmatch(which)
    with opened(home) as here:
        done = tokens.revoke(
            here.state, OPERATOR, whole[1] if whole else which.removeprefix("tct_"), now=utc_now()
        )
    show_one({"token": done.id, "revoked": done.revoked}, as_json=as_json)
