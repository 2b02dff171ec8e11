"""CEF, down to lines that carry nothing."""

from __future__ import annotations

from collectors.formats.cef import parts

HEADS = {"cef.version": "0", "cef.vendor": "V", "cef.product": "P", "cef.device_version": "1"}


def test_a_line_is_taken_apart_with_its_escapes_and_values_that_hold_spaces() -> None:
    line = r"<13>host CEF:0|V|P|1|7|a \| b|5|src=10.1.2.3 msg=two words\=one act=x"
    assert parts(line) == HEADS | {
        "cef.class_id": "7", "cef.name": "a | b", "cef.severity": "5",
        "src": "10.1.2.3", "msg": "two words=one", "act": "x",
    }  # fmt: skip


def test_a_line_without_extensions_or_with_empty_heads_is_no_error() -> None:
    assert parts("CEF:0|V|P|1|7|n|5|") == HEADS | {
        "cef.class_id": "7",
        "cef.name": "n",
        "cef.severity": "5",
    }
    assert set((parts("CEF:||||||| ") or {}).values()) == {""}
    assert parts("CEF:0|V|P") is None
