"""Rule files as they come: folders, files and archives, honest and hostile."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from pipeline.detect.rulebook import rule_archives, rule_files
from pipeline.detect.rulebook.rule_files import read_rule_files


def tar(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for entry, body in entries:
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def names(*paths: Path) -> tuple[list[str], list[str]]:
    texts, faults = read_rule_files(paths)
    return [name for name, _ in texts], [f"{fault.what}: {fault.where}" for fault in faults]


def test_names_that_climb_links_and_devices_are_faults_by_name_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    path = tar(
        tmp_path / "evil.tar",
        [
            (info("good.yml"), b"a: b"),
            (info("../../outside.yml"), b"a: b"),
            (info("/etc/cron.d/x.yml"), b"a: b"),
            (info("x/..\\..\\up.yml"), b"a: b"),
            (info("c:/windows.yml"), b"a: b"),
            (info("soft.yml", tarfile.SYMTYPE, "/etc/shadow"), b""),
            (info("hard.yml", tarfile.LNKTYPE, "good.yml"), b""),
            (info("pipe.yml", tarfile.FIFOTYPE), b""),
            (info("null.yml", tarfile.CHRTYPE), b""),
            (info("readme.txt"), b"nothing"),
        ],
    )
    climbs, link = "a name that climbs out of the archive: ", "a link or device, no file: "
    assert names(path) == (
        ["good.yml"],
        [
            climbs + "../../outside.yml", climbs + "/etc/cron.d/x.yml", climbs + "x/..\\..\\up.yml",
            climbs + "c:/windows.yml", link + "soft.yml", link + "hard.yml", link + "pipe.yml",
            link + "null.yml",
        ],
    )  # fmt: skip
    assert not list(tmp_path.parent.parent.glob("outside.yml"))


def test_a_zip_s_climbing_names_links_and_locked_entries_are_faults(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    link = zipfile.ZipInfo("link.yml")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.yml", "a: b")
        archive.writestr("../up.yml", "a: b")
        archive.writestr(link, "/etc/shadow")
        archive.writestr("locked.yml", "a: b")
    raw = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):  # say of the last that it is encrypted
        raw[raw.rindex(mark) + flags] |= 1
    path.write_bytes(raw)
    read, faults = names(path)
    assert read == ["good.yml"]
    assert faults[:2] == [
        "a name that climbs out of the archive: ../up.yml",
        "a link or device, no file: link.yml",
    ]
    assert "encrypted" in faults[2]


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_a_bomb_is_given_up_on_within_bounded_memory(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_archives, "MAX_UNPACKED", 8 << 20)
    path = tar(tmp_path / "bomb", [(info(f"{n}.bin"), bytes(8 << 20)) for n in range(3)], mode)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    read, faults = names(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (read, len(faults)) == ([], 1)
    assert faults[0].startswith("the archive unpacks to more than it may")
    assert peak < 12 << 20  # xz alone keeps a window of 8 MB


def test_a_bomb_of_many_files_in_a_zip_is_given_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_archives, "MAX_UNPACKED", 1 << 20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"{number:02}.yml", b"a" * 100_000)
    read, faults = names(path)
    assert len(read) == 10
    assert faults == [f"the archive unpacks to more than it may: {path}"]


def test_a_huge_file_and_a_file_that_is_no_text_are_faults_by_name(tmp_path: Path) -> None:
    path = tar(
        tmp_path / "x.tar",
        [(info("big.yml"), b"a" * (rule_files.MAX_FILE_BYTES + 1)), (info("bin.yml"), b"\xff\xfe")],
    )
    assert names(path) == (
        [],
        ["the rule file is too large: big.yml", "the file is not UTF-8 text: bin.yml"],
    )


def test_too_many_files_end_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_files, "MAX_FILES", 3)
    path = tar(tmp_path / "x.tar", [(info(f"{n}.yml"), b"a: b") for n in range(5)])
    assert names(path) == (["0.yml", "1.yml", "2.yml"], [f"more than 3 rule files: {path}"])


def test_a_file_twice_in_an_archive_is_a_fault_and_not_a_silent_replacement(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", [(info("a.yml"), b"a: 1"), (info("a.yml"), b"a: 2")])
    texts, faults = read_rule_files([path])
    assert texts == [("a.yml", "a: 1")]
    assert [fault.what for fault in faults] == ["the file occurs twice in the archive"]


def test_files_of_one_name_in_two_folders_both_count(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yml").write_text(f"from: {folder}")
    texts, faults = read_rule_files([tmp_path / "one", tmp_path / "two"])
    assert (texts, faults) == ([("a.yml", "from: one"), ("two/a.yml", "from: two")], [])


def test_a_link_out_of_the_folder_is_not_followed_and_one_within_is(tmp_path: Path) -> None:
    secret = tmp_path / "secret.yml"
    secret.write_text("password: x")
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "real.yml").write_text("a: b")
    (folder / "inner.yml").symlink_to("real.yml")
    (folder / "outer.yml").symlink_to(secret)
    (folder / "gone.yml").symlink_to(folder / "nothing.yml")
    assert names(folder) == (["inner.yml", "real.yml"], ["a link out of the folder: outer.yml"])


@pytest.mark.parametrize(
    "body", [b"", b"junk", b"\x1f\x8b\x08\0broken", b"BZh9broken", b"\xfd7zXZ\0broken", b"\x28\xb5\x2f\xfdbroken"]
)  # fmt: skip
def test_what_is_no_archive_says_so(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "rules.tar"
    path.write_bytes(body)
    read, faults = names(path)
    assert read == []
    assert len(faults) == 1
    assert faults[0].startswith("cannot be read: ")
