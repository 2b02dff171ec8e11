"""``rules lock`` and ``rules export-taxonomy``: what is done to a set of rules and its words as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Json
from pipeline.cli.output import show_list, show_one
from pipeline.cli.rules import rules


def attach(app: typer.Typer) -> None:
    """Nothing to attach: the commands are of the group that `rules` attaches."""
    del app


@rules.command("lock")
def rules_lock(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder of rules; by default the program's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give new and changed rules of a folder their next version in its lock.json."""
    from pipeline.detect.proof.lock import write_lock
    from pipeline.settings.places import rules_dir

    lines = write_lock(folder or rules_dir())
    show_list([{"change": line} for line in lines], as_json=as_json, columns=("change",))


@rules.command("export-taxonomy")
def rules_export_taxonomy(
    folder: Annotated[Path, typer.Argument(help="Where the files go: thapcanh-1.yml, -2.yml …")],
    as_json: Json = False,
) -> None:
    """Write the taxonomy as processing pipelines for sigma-cli (`sigma convert -t lucene -p FILE`)."""
    from pipeline.detect.rulebook.export import export_pipeline, variants
    from pipeline.detect.rulebook.taxonomy import Taxonomy
    from pipeline.settings.places import config_dir

    taxonomy = Taxonomy.load(config_dir() / "taxonomy")
    folder.mkdir(parents=True, exist_ok=True)
    count = variants(taxonomy)
    for variant in range(1, count + 1):
        path = folder / f"thapcanh-{variant}.yml"
        path.write_text(export_pipeline(taxonomy, variant), "utf-8")
    show_one({"written": count, "folder": str(folder)}, as_json=as_json)
