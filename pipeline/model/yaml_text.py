"""Values written as YAML that gives back the very same values.

In: mappings, lists and scalars. Out: text for people, in their own letters. PyYAML writes U+0085, U+2028 and U+2029 as
they are between plain quotes and reads them back as the ends of folded lines: texts that hold one are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

_LINE_ENDS: Final = re.compile("[\x85\u2028\u2029]")


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if _LINE_ENDS.search(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _text)


def write_yaml(document: Mapping[str, Any], *, width: int = 120, sort_keys: bool = False) -> str:
    written: str = yaml.dump(
        dict(document), Dumper=_Dumper, allow_unicode=True, sort_keys=sort_keys, width=width
    )
    return written
