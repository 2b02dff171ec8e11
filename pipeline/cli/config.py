"""``config``: what is set. No secret is shown: a reference to one is, a password within an address is not."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any, Final

import typer

from pipeline.cli.options import Home, Json
from pipeline.cli.output import show_one

config = typer.Typer(no_args_is_help=True, help="Settings.")


def attach(app: typer.Typer) -> None:
    app.add_typer(config, name="config")


@config.command("show")
def show(home: Home = None, as_json: Json = False) -> None:
    """Every setting with its value in force."""
    from pipeline.serve.installation import home_folder
    from pipeline.settings.load import load_settings

    show_one(_plain(load_settings(home_folder(home), os.environ)), as_json=as_json)


@config.command("check")
def check(home: Home = None) -> None:
    """Read the settings; every fault with its file and line, exit code 2 if there are any."""
    from pipeline.serve.installation import home_folder
    from pipeline.settings.load import load_settings

    load_settings(home_folder(home), os.environ)
    typer.echo("ok")


def _plain(value: Any, name: str = "") -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f.name) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(one, name) for one in value]
    if isinstance(value, str):
        if name in _SECRET and value and not value.startswith(("file:", "env:")):
            return _MASK  # no reference, though it should be one
        return _ASKED.sub(rf"\1{_MASK}", _USER.sub(rf"\1:{_MASK}@", value))
    return value


_MASK: Final = "***"
_SECRET: Final = frozenset({"api_key", "password", "secret", "token"})
_USER: Final = re.compile(
    r"(?<=://)([^:/?#@]*):.*@", re.DOTALL
)  # to the last @: a password may hold one
_ASKED: Final = re.compile(r"([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)
