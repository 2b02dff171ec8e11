"""Audit records, the odd ones: joined, cut, mixed, encoded, hostile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.formats.audit_values import address, call_name, unquoted
from collectors.formats.auditd import auditd, event

HEAD = "type={} msg=audit(1795485600.123:7): "


def fields(*lines: str) -> dict[str, object]:
    found = event("\n".join(lines))
    assert found is not None
    return found[0]


def test_long_arguments_that_came_in_pieces_are_one_argument_again() -> None:
    found = fields(
        HEAD.format("EXECVE") + 'argc=3 a0="sh" a1_len=6 a1[0]=61626320',
        HEAD.format("EXECVE") + 'a1[1]="def" a2="-x"',
    )
    assert (found["a0"], found["a1"], found["a2"]) == ("sh", "abcdef", "-x")
    assert found["command"] == "sh abcdef -x"


def test_a_register_is_no_text_and_an_argument_is() -> None:
    assert fields(HEAD.format("SYSCALL") + "arch=c000003e syscall=59 a0=6162 a1=0")["a0"] == "6162"
    assert fields(HEAD.format("EXECVE") + "argc=1 a0=6162")["a0"] == "ab"


def test_lines_of_another_event_are_left_out_with_a_remark() -> None:
    found = event(HEAD.format("CWD") + 'cwd="/"\ntype=CWD msg=audit(1.0:8): cwd="/etc"')
    assert found is not None
    assert (found[0]["cwd"], found[1]) == (
        "/",
        "1 lines of other events, or beyond 512, are not read",
    )


def test_an_event_that_belongs_to_a_call_keeps_its_own_kind() -> None:
    found = fields(
        HEAD.format("CONFIG_CHANGE") + 'auid=0 op=remove_rule key="tap" list=4 res=1',
        HEAD.format("SYSCALL") + "arch=c000003e syscall=44 success=yes",
    )
    assert (found["main"], found["SYSCALL"], found["op"]) == (
        "CONFIG_CHANGE",
        "sendto",
        "remove_rule",
    )


def test_calls_have_the_names_of_their_architecture() -> None:
    assert [call_name(arch, "59") for arch in ("c000003e", "40000003", "c00000b7", "deadbeef")] == [
        "execve", "oldolduname", "pipe2", None,
    ]  # fmt: skip


def test_addresses_are_read_and_what_is_none_is_nothing() -> None:
    assert address("020001BBCB0071050000000000000000") == {
        "saddr.family": "ipv4", "saddr.ip": "203.0.113.5", "saddr.port": "443",
    }  # fmt: skip
    assert address("01002F72756E2F7800") == {"saddr.family": "unix", "saddr.path": "/run/x"}
    assert (address("0200"), address("zz"), address("")) == ({"saddr.family": "2"}, {}, {})


def test_digits_that_stand_for_no_text_stay() -> None:
    assert unquoted("123", hexadecimal=True) == "123"
    assert unquoted("zz", hexadecimal=True) == "zz"
    assert unquoted('"', hexadecimal=True) == '"'


@given(
    st.lists(
        st.text(max_size=60)
        | st.sampled_from(["type=PATH ", HEAD.format("EXECVE"), 'a0="', "\x1d", "\n"])
    )
)
def test_any_text_is_one_event_or_one_failure(parts: list[str]) -> None:
    parsed = auditd()([HEAD.format("USER") + "".join(parts), "".join(parts), None])
    rows = [row for group in parsed.groups for row in group.rows] + list(parsed.failures)
    assert sorted(rows) == [0, 1]
