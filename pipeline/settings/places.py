"""Where the data files that come with the program lie: in a checkout beside it, in a wheel inside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Mark = tuple[tuple[str, int, int, int], ...]
"""Of each file of a folder its name, size, time and inode: another mark, another content."""

_PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(name: str) -> Path:
    bundled = _PACKAGE / "_shipped" / name
    return bundled if bundled.is_dir() else _PACKAGE.parent / name


@dataclass(frozen=True, slots=True)
class Additions:
    """What a home adds to the files that ship: folders of products and of the taxonomy; None for none."""

    products: Path | None = None
    taxonomy: Path | None = None

    def product_files(self) -> Mark:
        return _mark(self.products)

    def taxonomy_files(self) -> Mark:
        return _mark(self.taxonomy)


NOTHING = Additions()


def _mark(folder: Path | None) -> Mark:
    """Of its `*.yml`, by name; empty where there is no such folder."""
    if folder is None:
        return ()
    found = []
    for path in sorted(folder.glob("[!.]*.yml")):
        try:
            seen = path.stat()
        except OSError:
            continue
        found.append((path.name, seen.st_size, seen.st_mtime_ns, seen.st_ino))
    return tuple(found)


def config_dir() -> Path:
    """``config/``: annotated defaults, taxonomy, policies, templates."""
    return _shipped("config")


def rules_dir() -> Path:
    """``rules/``: the Sigma rules that come with the program."""
    return _shipped("rules")


def products_dir() -> Path:
    """``collectors/products/``: one YAML per product."""
    return _PACKAGE.parent / "collectors" / "products"
