"""Why a run failed is said in the reader's language, with what it met left as it is."""

from __future__ import annotations

import pytest

from pipeline.console.catalogues import load
from pipeline.console.reasons import trouble
from pipeline.model.errors import ServiceAwayError, ThapCanhError

AWAY = ServiceAwayError(
    "the state does not answer", got="database (5) is locked", remedy="thapcanh doctor says more"
)
TABLE = ThapCanhError(
    "a table of events cannot be evaluated", where="nginx, n1 7–9", got="ValueError: x; y",
    remedy="the window is tried again; its events stay a gap of the coverage until then",
)  # fmt: skip


VIETNAMESE = (
    "Không đánh giá được một bảng sự kiện (tại: nginx, n1 7–9; gặp: ValueError: x; y). "
    "Cửa sổ được thử lại; đến lúc đó các sự kiện của nó là một khoảng trống của độ phủ."
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            str(AWAY),
            "Cơ sở dữ liệu trạng thái không trả lời (gặp: database (5) is locked). Lệnh thapcanh doctor cho biết thêm.",
        ),
        (str(TABLE), VIETNAMESE),
        ("overtaken by another worker", "Bị một tiến trình khác vượt trước"),
        ("KeyError: 'x' (a) b", "KeyError: 'x' (a) b"),
    ],
)
def test_an_error_of_a_run_is_said_in_vietnamese(text: str, said: str) -> None:
    assert trouble(text, load("vi").say) == said


def test_and_in_english() -> None:
    said = "The state does not answer (found: database (5) is locked). thapcanh doctor says more."
    assert trouble(str(AWAY), load("en").say) == said
