"""``admin``, ``person``, ``token``: the beginning of an installation, and who may enter."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from pipeline.cli.options import Home, Json, opened
from pipeline.cli.output import show_list, show_one
from pipeline.model.clock import utc_now
from pipeline.model.scope import OPERATOR

admin = typer.Typer(no_args_is_help=True, help="Begin an installation.")
person = typer.Typer(no_args_is_help=True, help="People who sign in.")
token = typer.Typer(no_args_is_help=True, help="Keys of programs.")


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
    who: Annotated[str, typer.Argument(help="What they sign in with.")],
    name: Annotated[str, typer.Option()],
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
def person_link(who: str, home: Home = None, as_json: Json = False) -> None:
    """A new one-time sign-in link for a person."""
    from pipeline.access import links
    from pipeline.serve.links import sign_in_url

    with opened(home) as here:
        secret = links.issue(here.state, OPERATOR, who, now=utc_now())
        show_one(
            {"person": who, "link": sign_in_url(here.settings.console, secret)}, as_json=as_json
        )


@person.command("list")
def person_list(home: Home = None, as_json: Json = False) -> None:
    """All people, with their roles."""
    from pipeline.access import people

    with opened(home) as here:
        show_list(
            [
                {
                    "id": p.id,
                    "name": p.name,
                    "role": p.role,
                    "agencies": list(p.agencies),
                    "disabled": p.disabled,
                }
                for p in people.list_people(here.state, OPERATOR)
            ],
            as_json=as_json,
        )


@person.command("disable")
def person_disable(who: str, home: Home = None) -> None:
    """End a person's sessions and let them in no more."""
    from pipeline.access import people

    with opened(home) as here:
        people.disable(here.state, OPERATOR, who, now=utc_now())


@token.command("issue")
def token_issue(
    who: Annotated[str, typer.Option("--person")],
    name: Annotated[str, typer.Option()],
    permission: Annotated[list[str], typer.Option(help="May be given several times.")],
    agency: Annotated[list[str] | None, typer.Option()] = None,
    days: Annotated[int, typer.Option(min=1, max=366)] = 90,
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
        show_one({"token": text}, as_json=as_json)


@token.command("revoke")
def token_revoke(which: str, home: Home = None) -> None:
    """Revoke a token at once."""
    from pipeline.access import tokens

    with opened(home) as here:
        tokens.revoke(here.state, OPERATOR, which, now=utc_now())
