"""Both languages say everything that the console says, and nothing that it no longer does."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from babel.messages.pofile import read_po
from support.messages import found

from pipeline.access.permissions import PEOPLE_ROLES
from pipeline.console import labels
from pipeline.console.catalogues import FOLDER, LANGUAGES, load, load_all
from pipeline.model.detections import Level
from pipeline.model.tickets import ClosingReason, TicketStatus

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def kept(language: str) -> dict[str, tuple[str, ...]]:
    with (FOLDER / language / "console.po").open("rb") as file:
        catalogue = read_po(file, locale=language, abort_invalid=True)
    return {
        one.id if isinstance(one.id, str) else one.id[0]: (
            (one.string,) if isinstance(one.string, str) else tuple(one.string)
        )
        for one in catalogue
        if one.id
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_translated_and_none_is_stale(language: str) -> None:
    asked, there = found(), kept(language)
    assert sorted(set(asked) - set(there)) == [], "add these to console.po"
    assert sorted(set(there) - set(asked)) == [], "nobody says these any more"
    assert [key for key, texts in there.items() if not all(texts)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_keeps_the_places_of_its_values(language: str) -> None:
    places = re.compile(r"%\(\w+\)\w")
    wrong = {
        key: texts
        for key, texts in kept(language).items()
        if any(sorted(places.findall(text)) != sorted(places.findall(key)) for text in texts)
    }
    assert wrong == {}


def test_the_city_s_words_are_used() -> None:
    words = load("vi")
    for english, vietnamese in (
        ("Critical", "Nghiêm trọng"),
        ("High", "Cao"),
        ("Medium", "Trung bình"),
        ("Low", "Thấp"),
        ("Informational", "Thông tin"),
        ("Ticket", "Phiếu xử lý"),
        ("Claim", "Nhận xử lý"),
        ("Release", "Trả lại"),
        ("Rules", "Luật phát hiện"),
        ("drill", "diễn tập"),
    ):
        assert words.say(english) == vietnamese


def test_every_key_of_the_state_has_a_label() -> None:
    assert set(labels.LEVELS) == set(Level)
    assert set(labels.STATUSES) == set(TicketStatus)
    assert set(labels.REASONS) == set(ClosingReason)
    assert set(labels.ROLES) == {*PEOPLE_ROLES, "operator", "system"}


@pytest.mark.parametrize(
    ("language", "ago", "soon", "number"),
    [
        ("vi", "3 phút trước", "sau 2 giờ nữa", "1.234,5"),
        ("en", "3 minutes ago", "in 2 hours", "1,234.5"),
    ],
)
def test_ages_and_numbers_are_written_as_the_language_does(
    language: str, ago: str, soon: str, number: str
) -> None:
    words = load_all()[language]
    assert words.ago(NOW - timedelta(minutes=3), NOW) == ago
    assert words.ago(NOW + timedelta(hours=2), NOW) == soon
    assert words.number(1234.5) == number
