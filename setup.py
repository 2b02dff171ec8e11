"""Everything is in setup.cfg, save this: a wheel carries `rules/` and `config/` inside the package."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# setuptools tells everyone who installs a checkout that its folders come first: that is what a checkout is for.
warnings.filterwarnings("ignore", "Editable installation")


class BuildWithData(build_py):
    """Copies the data folders to where `pipeline.settings.places` looks for them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # a checkout has them beside the package
        for name in ("rules", "config"):
            target = Path(self.build_lib) / "pipeline" / "_shipped" / name
            shutil.copytree(name, target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithData})
