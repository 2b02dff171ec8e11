"""W3C extended lines: with their header, without it, and what cannot be told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.formats.w3c import ORDER, told_by_values, w3c

VALUES = dict(
    zip(
        ORDER,
        (
            "2026-11-24", "02:00:00", "W3SVC1", "WEB01", "10.0.0.5", "GET", "/a.aspx", "-", "443", "-", "203.0.113.5",
            "HTTP/1.1", "Mozilla/5.0", "sid=1", "https://a.example/", "a.example", "200", "0", "0", "10", "20", "3",
        ),
        strict=True,
    )
)  # fmt: skip
CHOICES = (
    (),
    ("cs(Referer)",),
    ("s-sitename", "s-computername", "cs-version", "cs(Cookie)", "cs-host", "sc-bytes", "cs-bytes"),
    (
        "s-sitename",
        "s-computername",
        "cs-version",
        "cs(Cookie)",
        "cs(Referer)",
        "cs-host",
        "sc-bytes",
        "cs-bytes",
    ),
    ("s-computername", "cs-version", "cs(User-Agent)"),
)


def test_iis_own_order_is_told_by_the_values_whichever_fields_were_left_out() -> None:
    for left_out in (set(ORDER) & set(choice) for choice in CHOICES):
        names = tuple(name for name in ORDER if name not in left_out)
        if "cs(User-Agent)" in left_out:
            continue  # what stands in its place cannot be told from it
        assert told_by_values([VALUES[name] for name in names]) == names


def test_a_record_that_carries_its_header_may_have_any_order() -> None:
    made = w3c()(
        ["#Version: 1.0\n#Fields: c-ip date time cs-uri-stem\n203.0.113.5 2026-11-24 02:00:00 /a"]
    )
    (group,) = made.groups
    found = dict(zip(group.names, (column[0] for column in group.columns), strict=True))
    assert found == {
        "c-ip": "203.0.113.5",
        "time": "2026-11-24T02:00:00Z",
        "cs-uri-stem": "/a",
        "url": "/a",
    }


def test_directives_are_dropped_and_an_unknown_order_is_a_failure() -> None:
    made = w3c()(
        ["#Fields: date time", "203.0.113.5 2026-11-24 02:00:00 /a 200", "#Fields: a b\n1 2 3"]
    )
    assert made.dropped == {0}
    assert made.failures == {
        1: "W3C fields in an order that is not IIS's, without a #Fields line",
        2: "3 fields, the #Fields line names 2",
    }


@given(
    st.lists(
        st.sampled_from([*VALUES.values(), "#Fields:", "\n", "x"]) | st.text(max_size=9),
        max_size=40,
    )
)
def test_any_line_is_read_dropped_or_a_failure(parts: list[str]) -> None:
    made = w3c()([" ".join(parts)])
    assert len(made.groups) + len(made.dropped) + len(made.failures) == 1
