"""Arrow for the modules here: imported when first used (0.3 s), and untyped, since columns of every type
pass through the same code and typed stubs only get in the way (`pipeline.normalise.types`).

Use inside functions: ``from pipeline.normalise.arrow import pa, pc``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

pa: Any = import_module("pyarrow")
pc: Any = import_module("pyarrow.compute")
