"""Addresses of the console, as they are printed."""

from __future__ import annotations

from pipeline.settings.values import ConsoleSettings


def console_url(settings: ConsoleSettings) -> str:
    return settings.public_url.rstrip("/") or f"http://{settings.address}:{settings.port}"


def sign_in_url(settings: ConsoleSettings, secret: str) -> str:
    """The page whose form spends the link."""
    return f"{console_url(settings)}/link/{secret}"
