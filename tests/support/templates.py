"""Messages of some seventy vendors, from the templates of splunk-connect-for-syslog, filled in.

In: ``syslog-templates.json``, each ``{"file": "test_palo_alto.py", "template": "{{ mark }} {{ bsd }} …"}``.
Out: records as a device sends them at `AT`. What a name stands for is as the file's own test writes it; times
differ from vendor to vendor. A template of several messages gives several records.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from pipeline.model.clock import CITY_ZONE, to_micros

AT: Final = datetime(2026, 11, 24, 9, 0, 0, 123456, CITY_ZONE)
MICROS: Final = to_micros(AT)
HOST: Final = "gw-q1-01"
_NAME: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_VALUES: Final = {
    "mark": "<134>",
    "host": HOST,
    "orig_host": HOST,
    "bsd": f"{AT:%b %d %H:%M:%S}",
    "timestamp_bsd": f"{AT:%b %d %H:%M:%S}",
    "iso": f"{AT:%Y-%m-%dT%H:%M:%S.%f}",
    "iso_header": f"{AT:%Y-%m-%dT%H:%M:%S.%f}"[:-3],
    "timestamp": f"{AT:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
    "timestamp_iso_8601": f"{AT:%Y-%m-%dT%H:%M:%S.%f}+0700",
    "time": f"{AT:%Y/%m/%d %H:%M:%S}",
    "recv_time": f"{AT:%Y/%m/%d %H:%M:%S}",
    "high_res_time": f"{AT:%Y-%m-%dT%H:%M:%S}.123+07:00",
    "epoch": f"{AT.timestamp():.3f}",
    "wsatime": f"{AT.timestamp():.3f}",
    "date": f"{AT:%Y-%m-%d}",
    "aruba_time": f"{AT:%Y-%m-%d %H:%M:%S},123",
    "delldt": f"{AT:%Y-%m-%d %H:%M:%S}",
    "hptime": f"{AT:%Y-%b-%d %I:%M %p}",
    "lss_time": f"{AT:%a %b %d %H:%M:%S %Y}",
    "device_time": f"{AT:%a, %d %b %Y %H:%M:%S} +0700",
    "taniumtime": f"{AT:%Y-%m-%dT%H:%M:%S}",
    "bsd_airwatch": f"{AT:%B %d, %Y %H:%M:%S}",
    "tzoffset": "+07:00",
    "pid": "4242",
    "program": "Acl",
    "key": "k-1",
    "MSGID": "0a1b2c3d-9f",
    "app": "github_audit",
    "log_type": "WF",
    "overwritten_host_name": HOST,
}
_OF_FILE: Final = {
    "test_citrix_netscaler.py": {"time": f"{AT:%d/%m/%Y:%H:%M:%S}"},
    "test_cisco_acs.py": {"time": f"{AT:%H:%M:%S}.123"},
    "test_zscaler_proxy.py": {"time": f"{AT:%H:%M:%S}"},
}


@dataclass(frozen=True, slots=True)
class Template:
    """`mark` names it in a file of labels, whatever its place in the list."""

    file: str
    mark: str
    records: tuple[str, ...]


def templates(path: Path) -> list[Template]:
    return [
        Template(
            one["file"],
            sha256(one["template"].encode()).hexdigest()[:12],
            tuple(_filled(one["file"], part) for part in _parts(one["template"])),
        )
        for one in json.loads(path.read_text(encoding="utf-8"))
    ]


def _parts(template: str) -> list[str]:
    """A new message begins where a line begins with a priority."""
    return [p for p in re.split(r"\n+(?=\{\{\s*mark\s*\}\})", template) if p.strip()]


def _filled(file: str, text: str) -> str:
    own = _OF_FILE.get(file, {})
    filled = _NAME.sub(lambda m: own.get(m[1]) or _VALUES[m[1]], text)
    return re.sub(r"^(<134>) +(?=\S)", r"\1", filled).rstrip("\n")


def labels() -> dict[str, str]:
    """By a template's mark the product that wrote it, empty for one that is not listed."""
    path = Path(__file__).parents[1] / "normalise" / "labels" / "syslog-templates.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = [line.split("\t") for line in lines if not line.startswith("#")]
    return {mark: rest[1] if len(rest) > 1 else "" for mark, *rest in cells}
