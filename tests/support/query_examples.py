"""Events and queries of every kind, for tests that hold a store against the oracle (`support.query_oracle`)."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from support.event_tables import NOW

TEXTS = st.one_of(
    st.sampled_from(
        [
            "admin", "ADMIN", "Trần Đức", "Tra\u0302\u0300n", "tran duc", "", " ", "a\nb", "C:\\Windows\\a.exe", "%_", "a*b",
            "10.0.0.1", "443", "-5", "1.5", "true", "k\u212a", "\u0130stanbul", "ς", "Σ", "x\0y", "🚨 alert",
            "한국", "\u1112\u1161\u11ab",
        ]
    ),
    st.text(st.sampled_from("aAbB0. -_đĐàÀ\u0300\u0323\u212aς\U0001f6a8\u1112\u1161가\u09c7\u09be"), max_size=8),
)  # fmt: skip
ROWS = st.fixed_dictionaries(
    {"event.original": TEXTS},
    optional={
        "user.name": TEXTS,
        "source.ip": st.sampled_from(["10.0.0.1", "10.0.0.255", "10.1.0.0", "::1", "2001:db8::1"]),
        "source.port": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 443, -5]),
        "event.risk_score": st.floats(-2, 2),
        "file.fork_name": TEXTS,
        "dll.code_signature.valid": st.booleans(),
        "process.start": st.integers(-40, 40).map(lambda hours: NOW + timedelta(hours=hours)),
        "host.ip": st.lists(st.sampled_from(["10.0.0.1", "::1"]), max_size=2),
        "related.user": st.lists(TEXTS | st.none(), max_size=3),
        "thapcanh.extra": st.dictionaries(st.sampled_from(["x.left", "x.over", "destination.port"]), TEXTS).map(
            lambda found: list(found.items())
        ),
    },
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "admin", "TRAN", "trần", "đ", "a", "*a", "a*", "*a*", "b*", '"tran duc"', "tran-duc*", "*n.duc", "10.0", "0*",
        "x:1", "kk", "i", "istanbul", "σ", "한국", "🚨", "가", "windows", '"windows a"', "alert", "0.0",
    ]
)  # fmt: skip
FIELDS = st.builds(
    "{}:{}".format,
    st.sampled_from(["user.name", "related.user", "x.left", "x.over", "no.such", "event.dataset", "file.fork_name"]),
    st.sampled_from(
        [
            "admin", "Admi?", "*", '""', "*min", "a*", "*d*", "trần*", "*\\ đức", "[a TO b]", "{a TO *]", ">=b", "<A",
            '"tran duc"', "(a* OR -b)", "(NOT a*)", "443", "?", "??", "*a*b*", "C\\:\\\\*", '"%_"', "a\\*b",
            "k*", "test.log", "x*y",
        ]
    ),
) | st.sampled_from(
    [
        "source.ip:10.0.0.0/24", "source.ip:[10.0.0.2 TO *]", 'source.ip:"::1"', "source.ip:>=10.1.0.0", "host.ip:10.0.0.1",
        "source.port:443", "source.port:-5", "source.port:[0 TO 443}", "source.port:>443",
        "destination.port:443", "destination.port:<1",
        "event.risk_score:>0.5", "event.risk_score:[* TO -1.5]", "dll.code_signature.valid:true", "process.start:2026-11-24",
        "process.start:[2026-11-23T12 TO 2026-11-24T06:30}", "_exists_:related.user", "_exists_:x.left",
        "event.id:" + "0" * 28 + "6e31",
        "organization.id:a", "source.ip:*", "host.ip:*", "x.left:>=1",
    ]
)  # fmt: skip
QUERIES = st.recursive(
    WORDS | FIELDS,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("(NOT {})".format, inner),
        st.builds("({} -({}))".format, inner, inner),
    ),
    max_leaves=5,
)
