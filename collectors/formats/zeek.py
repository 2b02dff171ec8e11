"""Zeek's logs, JSON or TSV, with or without the name of the log beside each record.

In, one record a line::

    {"_path":"dns","ts":1795485600.5,"uid":"C1","id.orig_h":"10.1.2.3","id.orig_p":53001,…,"query":"tin.example"}
    {"@stream":"conn","ts":1795485600.5,"uid":"C1","id_orig_h":"10.1.2.3",…}          (Corelight, Elastic's names)
    1795485600.500000<tab>C1<tab>10.1.2.3<tab>53001<tab>10.0.0.4<tab>53<tab>udp<tab>…  (TSV, the default layout)

Out: `log` (``dns``, ``connection``, ``http`` …), what all logs share under its own name (`SHARED`), and the rest
behind the name of the log: ``dns.query``. TSV's texts for nothing (``-``) are left out, its sets are lists.

A TSV record does not say of which log it is, and its header may have come in another batch: the log is told
by the number of columns and by what stands in them, for Zeek's default layouts (`LAYOUTS`). A JSON record
without a name is told by its fields. What is of no known log is ``log: other``; header lines are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from collectors.formats.json_lines import json_lines
from collectors.formats.parsed import Format, Group, Grouper, Parsed, Value

SHARED: Final = frozenset(
    ("ts", "uid", "proto", "log", "@system", "@proc", "@timestamp", "host.name",
     "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"),
)  # fmt: skip
_HEAD: Final = ("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p")
LAYOUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "conn": (*_HEAD, "proto", "service", "duration", "orig_bytes", "resp_bytes", "conn_state", "local_orig",
             "local_resp", "missed_bytes", "history", "orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes",
             "tunnel_parents", "ip_proto"),
    "dns": (*_HEAD, "proto", "trans_id", "rtt", "query", "qclass", "qclass_name", "qtype", "qtype_name", "rcode",
            "rcode_name", "AA", "TC", "RD", "RA", "Z", "answers", "TTLs", "rejected"),
    "http": (*_HEAD, "trans_depth", "method", "host", "uri", "referrer", "version", "user_agent", "origin",
             "request_body_len", "response_body_len", "status_code", "status_msg", "info_code", "info_msg", "tags",
             "username", "password", "proxied", "orig_fuids", "orig_filenames", "orig_mime_types", "resp_fuids",
             "resp_filenames", "resp_mime_types"),
    "kerberos": (*_HEAD, "request_type", "client", "service", "success", "error_msg", "from", "till", "cipher",
                 "forwardable", "renewable", "client_cert_subject", "client_cert_fuid", "server_cert_subject",
                 "server_cert_fuid"),
    "smb_files": (*_HEAD, "fuid", "action", "path", "name", "size", "prev_name", "times.modified", "times.accessed",
                  "times.created", "times.changed"),
    "dce_rpc": (*_HEAD, "rtt", "named_pipe", "endpoint", "operation"),
}  # fmt: skip
"""Columns of the default logs of Zeek 4 to 7; the last of `conn` since Zeek 7."""

_PROTO: Final = re.compile("tcp|udp|icmp|unknown_transport")
_STATE: Final = re.compile("S0|S1|SF|REJ|S2|S3|RSTO|RSTR|RSTOS0|RSTRH|SH|SHR|OTH")
_NUMBER: Final = re.compile(r"\d{1,20}")
_SIGNS: Final[Mapping[str, tuple[tuple[int, re.Pattern[str]], ...]]] = {
    "conn": ((6, _PROTO), (11, _STATE)),
    "dns": ((6, _PROTO), (7, _NUMBER)),
    "http": ((6, _NUMBER), (14, _NUMBER)),
    "kerberos": ((6, re.compile("AS|TGS|-")), (9, re.compile("[TF-]"))),
    "smb_files": ((7, re.compile("SMB::[A-Z_]+|-")),),
    "dce_rpc": ((6, re.compile(r"\d+\.\d+|-")),),
}
_TIME: Final = re.compile(r"\d{9,11}\.\d{1,9}")

_FIELDS: Final = (
    ("conn", {"conn_state"}), ("dns", {"trans_id"}), ("dns", {"query", "qtype"}), ("smtp", {"helo"}),
    ("smtp", {"mailfrom"}), ("http", {"trans_depth"}), ("ssl", {"established"}), ("notice", {"note"}),
    ("dce_rpc", {"endpoint", "operation"}), ("smb_files", {"action", "path"}), ("x509", {"certificate.serial"}),
    ("ssh", {"auth_attempts"}), ("rdp", {"security_protocol"}), ("rdp", {"cookie"}), ("files", {"fuid", "mime_type"}),
    ("kerberos", {"service", "success"}), ("kerberos", {"client", "success"}), ("kerberos", {"request_type"}),
    ("smb_mapping", {"share_type"}),
)  # fmt: skip
"""Fields by which a JSON record without a name is told, the first that fits."""

_LISTS: Final = frozenset(
    ("answers", "TTLs", "tags", "proxied", "orig_fuids", "orig_filenames", "orig_mime_types", "resp_fuids",
     "resp_filenames", "resp_mime_types", "tunnel_parents", "cert_chain_fuids", "cert_chain_fps",
     "client_cert_chain_fuids", "client_cert_chain_fps", "client_header_names", "server_header_names", "actions"),
)  # fmt: skip
_TRUTHS: Final = frozenset(
    ("local_orig", "local_resp", "AA", "TC", "RD", "RA", "rejected", "success", "forwardable", "renewable", "established",
     "resumed", "auth_success"),
)  # fmt: skip
_WORDS: Final = {"T": "true", "F": "false"}
_NAMES: Final = {
    "id_orig_h": "id.orig_h", "id_orig_p": "id.orig_p", "id_resp_h": "id.resp_h", "id_resp_p": "id.resp_p",
    "_path": "log", "@stream": "log",
}  # fmt: skip
_LOGS: Final = {"conn": "connection"}


def _told(names: frozenset[str]) -> str:
    return next((log for log, fields in _FIELDS if fields <= names), "other")


@lru_cache(maxsize=4096)
def _renamed(names: tuple[str, ...], log: str) -> tuple[str, ...]:
    plain = [_NAMES.get(name, name) for name in names]
    return tuple(name if name in SHARED else f"{log}.{name}" for name in plain)


def _read(name: str, value: Value) -> Value:
    """TSV's texts as JSON has them: sets as lists, T and F as truth values."""
    if value.__class__ is not str:
        return value
    if name in _LISTS:
        return value.split(",")
    return _WORDS.get(value, value) if name in _TRUTHS else value


def layout(values: Sequence[str]) -> str | None:
    """The log of a TSV record."""
    if len(values) < len(_HEAD) or not _TIME.fullmatch(values[0]):
        return None
    for log, signs in _SIGNS.items():
        width = len(LAYOUTS[log])
        if len(values) not in ((width, width - 1) if log == "conn" else (width,)):
            continue
        if all(pattern.fullmatch(values[place]) for place, pattern in signs):
            return log
    return None


def zeek() -> Format:
    """A format of Zeek records, JSON and TSV mixed as they come."""
    read = json_lines()

    def parse(lines: Sequence[str | None]) -> Parsed:
        parsed, grouper = Parsed(), Grouper()
        objects: list[str | None] = [None] * len(lines)
        for row, line in enumerate(lines):
            if line is None:
                continue
            if line[:1] == "#":
                parsed.dropped.add(row)
            elif "\t" in line and line[:1] != "{":
                values = line.split("\t")
                log = layout(values)
                if log is None:
                    parsed.failures[row] = (
                        f"{len(values)} columns of no default log of Zeek: send JSON"
                    )
                    continue
                given = {
                    name: _read(name, value)
                    for name, value in zip(LAYOUTS[log], values, strict=False)
                    if value not in ("-", "(empty)")
                }
                name = _LOGS.get(log, log)
                grouper.add(row, ("log", *_renamed(tuple(given), name)), (name, *given.values()))
            else:
                objects[row] = line
        known = read(objects)
        parsed.failures |= known.failures
        for group in known.groups:
            if group.names:
                _objects(group, grouper)
            else:
                parsed.failures |= dict.fromkeys(group.rows, "an empty object")
        parsed.groups.extend(grouper.groups())
        return parsed

    return parse


def _objects(group: Group, into: Grouper) -> None:
    """JSON records of one shape, under the names of their logs."""
    told = _told(frozenset(_NAMES.get(name, name) for name in group.names))
    place = next((i for i, name in enumerate(group.names) if name in ("_path", "@stream")), -1)
    for row, values in zip(group.rows, zip(*group.columns, strict=True), strict=True):
        log = str(values[place]) if place >= 0 else told
        log = _LOGS.get(log, log)
        cells = [_read(name, value) for name, value in zip(group.names, values, strict=True)]
        both = dict(zip(_renamed(group.names, log), cells, strict=True)) | {"log": log}
        into.add(row, tuple(both), tuple(both.values()))
