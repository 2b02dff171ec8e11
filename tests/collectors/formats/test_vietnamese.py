"""Text from before Unicode: every Vietnamese letter there and back, as iconv reads it, and bytes that are none."""

from __future__ import annotations

import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats.text import composed, decode, known, lines_of
from collectors.formats.vietnamese import table
from pipeline.model.fold import fold

LETTERS = "".join(sorted(table("vni")))
SENTENCE = "Ủy ban nhân dân phường Bến Nghé: Trần Đức Hoà đăng nhập thất bại, ỨNG DỤNG Ỷ Ỹ Ỵ Ữ"
CODECS = ("tcvn3", "viscii", "vni", "cp1258", "utf-8", "utf-16-le", "utf-16-be")


def written(text: str, encoding: str) -> bytes:
    """windows-1258 has few composed letters; a person's text comes as it likes them."""
    if encoding != "cp1258":
        return text.encode(encoding)
    made = bytearray()
    for char in text:
        try:
            made += char.encode("cp1258")
        except UnicodeEncodeError:
            apart = unicodedata.normalize("NFD", char)
            tone = next(c for c in apart if c in "\u0300\u0309\u0303\u0301\u0323")
            base = unicodedata.normalize("NFC", apart.replace(tone, ""))
            made += base.encode("cp1258") + tone.encode("cp1258")
    return bytes(made)


def test_there_are_134_letters_beyond_ascii() -> None:
    assert len(LETTERS) == 134
    assert {unicodedata.category(letter) for letter in LETTERS} == {"Lu", "Ll"}
    for encoding in ("tcvn", "viscii", "vni"):
        assert len(set(table(encoding).values())) == 134


@pytest.mark.parametrize("encoding", CODECS)
@given(text=st.text(alphabet=LETTERS + "aAeEiIoOuUyYdD nhg.:0", max_size=60))
def test_any_vietnamese_text_comes_back_composed_and_its_bytes_too(
    encoding: str, text: str
) -> None:
    body = written(text, encoding)
    read, faithful = decode(body, encoding)
    assert (composed(read), faithful) == (text, True)


@pytest.mark.parametrize("encoding", CODECS)
def test_a_sentence_is_found_without_its_marks(encoding: str) -> None:
    read, _ = decode(written(SENTENCE, encoding), encoding)
    assert composed(read) == SENTENCE
    assert fold(read).startswith(
        "uy ban nhan dan phuong ben nghe tran duc hoa dang nhap that bai ung dung"
    )


@pytest.mark.parametrize(("ours", "theirs"), [("tcvn3", "TCVN5712-1"), ("viscii", "VISCII")])
def test_iconv_reads_every_byte_alike(ours: str, theirs: str) -> None:
    codes = bytes(range(0xA0 if ours == "tcvn3" else 0x80, 0x100))
    body = b"\n".join(b"a" + bytes([code]) for code in codes)
    ran = subprocess.run(
        ["iconv", "-f", theirs, "-t", "UTF-8"], input=body, capture_output=True, check=True
    )
    assert composed(body.decode(ours)) == composed(ran.stdout.decode())


def test_vni_is_read_as_people_write_it() -> None:
    body = "Traàn Ñöùc Hoaø, UÛy ban Nhaân daân phöôøng Beán Ngheù, Kyõ, Thò Myõ".encode("cp1252")
    assert body.decode("vni") == "Trần Đức Hoà, Ủy ban Nhân dân phường Bến Nghé, Kỹ, Thị Mỹ"
    text, faithful = decode(
        "AÙ Aù".encode("cp1252"), "vni"
    )  # a sloppy capital cannot be told afterwards
    assert (text, faithful) == ("Á Á", False)


@pytest.mark.parametrize("encoding", ["tcvn3", "viscii", "vni", "cp1258", "utf-16-le", "utf-16-be"])
@given(body=st.binary(max_size=80))
def test_any_bytes_are_text_and_what_cannot_be_turned_back_says_so(
    encoding: str, body: bytes
) -> None:
    text, faithful = decode(body, encoding)
    text.encode()  # no surrogate is left
    assert not faithful or text.encode(encoding) == body


@pytest.mark.parametrize(
    "name", ["tcvn3", "ABC", "TCVN3", "viscii", "VNI", "cp1258", "utf-16-le", "latin-1"]
)
def test_encodings_of_text_are_known(name: str) -> None:
    assert known(name)


@pytest.mark.parametrize(
    "name",
    ["", "klingon", "zlib", "hex", "rot13", "idna", "punycode", "unicode_escape", "utf-7", "a\0b"],
)
def test_what_is_no_encoding_of_text_is_not(name: str) -> None:
    assert not known(name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "tcvn3"])
def test_lines_are_cut_in_the_encoding(encoding: str) -> None:
    text = (
        "hàng một\r\n\nਊ hàng hai\n" if encoding.startswith("utf") else "hàng một\r\n\nhàng hai\n"
    )
    wanted = [line for line in text.replace("\r", "").split("\n") if line]
    bodies = [text.encode(encoding)]
    if encoding.startswith(("utf-16", "utf-32")):
        bodies.append("\ufeff".encode(encoding) + bodies[0])
    for body in bodies:
        assert [line.decode(encoding) for line in lines_of(body, encoding)] == wanted
