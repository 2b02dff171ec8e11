"""Where the data files that come with the program lie: in a checkout beside it, in a wheel inside it."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(name: str) -> Path:
    bundled = _PACKAGE / "_shipped" / name
    return bundled if bundled.is_dir() else _PACKAGE.parent / name


def config_dir() -> Path:
    """``config/``: annotated defaults, taxonomy, policies, templates."""
    return _shipped("config")


def rules_dir() -> Path:
    """``rules/``: the Sigma rules that come with the program."""
    return _shipped("rules")


def products_dir() -> Path:
    """``collectors/products/``: one YAML per product."""
    return _PACKAGE.parent / "collectors" / "products"
