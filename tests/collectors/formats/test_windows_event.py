"""Windows records, the odd ones: each is in one group or a failure, and none takes the others with it."""

from __future__ import annotations

import orjson

from collectors.formats.windows_event import windows_event


def test_nxlogs_own_event_type_is_told_from_the_event_s_row_by_row() -> None:
    kinds = ["INFO", "SetValue", ["INFO"], None, "ERROR"]
    lines = [orjson.dumps({"EventID": 1, "EventType": kind, "Keywords": -1}) for kind in kinds]
    groups = windows_event()(lines).groups
    found = {
        row: dict(zip(group.names, values, strict=True))
        for group in groups
        for row, values in zip(group.rows, zip(*group.columns, strict=True), strict=True)
    }
    name = {"INFO": "event_type", "ERROR": "event_type"}
    assert found == {
        row: {
            "event_id": 1,
            name.get(str(kind), "data.EventType"): kind,
            "keywords": "0xffffffffffffffff",
        }
        for row, kind in enumerate(kinds)
    }


def test_forms_mixed_and_broken_lines_end_where_they_belong() -> None:
    lines = [
        b'  {"EventID": 1}', b'{"winlog": {"event_id": 2}}', b"nonsense", b"[1]", b'{"a": 1}', None,
        b"<Event><System><EventID>3</EventID></System></Event>", b'{"EventID": 4, "x": NaN}',
    ]  # fmt: skip
    parsed = windows_event()(lines)
    ids = {
        row: str(group.columns[group.names.index("event_id")][place])
        for group in parsed.groups
        for place, row in enumerate(group.rows)
    }
    assert ids == {0: "1", 1: "2", 6: "3", 7: "4"}
    assert sorted(parsed.failures) == [2, 3, 4]


def test_a_whole_number_that_a_shipper_wrote_with_a_point_is_whole_again() -> None:
    lines = [
        b'{"EventID": 4625.0, "LogonType": 3.0, "x": 0.5, "y": 1e300}',
        b'{"winlog": {"event_id": 1.0}}',
        b'{"Event": {"System": {"EventID": 7.0}}}',
    ]
    found = [
        dict(zip(group.names, row, strict=True))
        for group in windows_event()(lines).groups
        for row in zip(*group.columns, strict=True)
    ]
    assert sorted(map(repr, (one["event_id"] for one in found))) == ["1", "4625", "7"]
    (flat,) = [one for one in found if one["event_id"] == 4625]
    assert repr(flat["data.LogonType"]) == "3"
    assert (flat["data.x"], flat["data.y"]) == (0.5, 1e300)
