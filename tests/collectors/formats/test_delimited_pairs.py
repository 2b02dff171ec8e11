"""Pairs as devices write them: with commas, semicolons and bars between."""

from __future__ import annotations

from collectors.formats.delimited_pairs import delimited, delimited_pairs
from collectors.formats.key_value import REST


def test_commas_between_pairs_leave_blanks_to_the_values() -> None:
    fields = delimited("IPVer=4,Protocol=tcp, Reason=aged out ,Path=a\\,b,,Empty=", ",", "=")
    assert fields == {
        "IPVer": "4",
        "Protocol": "tcp",
        "Reason": "aged out",
        "Path": "a,b",
        "Empty": "",
    }


def test_semicolons_and_colons_in_brackets_are_pairs_too() -> None:
    line = r'[action:"Drop"; product:"VPN-1 & FireWall-1"; msg:"say \"no\"; never"; proto:6; proto:"17"; alone]'
    fields = delimited(line, ";", ":")
    assert fields == {
        "action": "Drop",
        "product": "VPN-1 & FireWall-1",
        "msg": 'say "no"; never',
        "proto": "6",
        "proto#2": "17",
        REST: "alone",
    }


def test_bars_between_pairs_with_equal_signs_in_values() -> None:
    fields = delimited(r"time=1|dn=cn\=a,o\=b|loguid={0x5,0x0}|", "|", "=")
    assert fields == {
        "time": "1",
        "dn": "cn=a,o=b",
        "loguid": "{0x5,0x0}",
    }


def test_a_line_without_a_pair_fails() -> None:
    parsed = delimited_pairs(";", ":")(["nothing here", "a:1"])
    assert parsed.failures == {0: "no pair of a key and a value in the line"}
    assert [list(group.rows) for group in parsed.groups] == [[1]]
