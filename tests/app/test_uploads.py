"""What may be dropped: one file, several pictures, archives; and what may not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from app.runs.storage import safe_name
from app.runs.uploads import take_in
from ar4d.errors import UserError

MOST = 1e6


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "draft" / "source"
    folder.mkdir(parents=True)
    return folder


def archive(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "frames.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def test_one_file_is_copied(tmp_path: Path, source: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"video")
    copy = take_in([tmp_path / "a.mp4"], "a.mp4", source, MOST)
    assert (copy, copy.read_bytes()) == (source / "a.mp4", b"video")


def test_several_pictures_become_a_folder(tmp_path: Path, source: Path) -> None:
    for k in range(3):
        (tmp_path / f"{k}.png").write_bytes(b"%d" % k)
    copy = take_in([tmp_path / f"{k}.png" for k in range(3)], "0.png", source, MOST)
    assert copy == source / "0"
    assert sorted(p.name for p in copy.iterdir()) == ["0.png", "1.png", "2.png"]


def test_what_is_no_picture_among_pictures_is_named(tmp_path: Path, source: Path) -> None:
    for name in ("0.png", "b.txt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"^b\.txt is no picture: drop one video or animation alone"):
        take_in([tmp_path / "0.png", tmp_path / "b.txt"], "0.png", source, MOST)


def test_an_archive_of_pictures_becomes_a_folder_without_its_paths(tmp_path: Path, source: Path) -> None:
    files = {"walk/0.png": b"0", "../1.png": b"1", "__MACOSX/walk/._0.png": b"x", "walk/.DS_Store": b"x"}
    copy = take_in([archive(tmp_path, files)], "frames.zip", source, MOST)
    assert copy == source / "frames"
    assert sorted(p.name for p in copy.iterdir()) == ["0.png", "1.png"]


def test_an_archive_of_one_video_is_that_video(tmp_path: Path, source: Path) -> None:
    copy = take_in([archive(tmp_path, {"x/walk.mov": b"video"})], "frames.zip", source, MOST)
    assert copy == source / "walk.mov"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, r"^frames\.zip holds no files"),
        ({"a.png": b"", "b.pdf": b""}, r"^frames\.zip holds b\.pdf, which is no picture"),
        (
            {"a.png": bytes(30_000_000)},
            r"^frames\.zip holds 1 files of 30 MB, and this server unpacks at most",
        ),
    ],
)
def test_an_archive_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, source: Path, files: dict[str, bytes], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as raised:
        take_in([archive(tmp_path, files)], "frames.zip", source, MOST)
    assert "\n" not in str(raised.value)


def test_names_are_made_safe() -> None:
    assert safe_name("../a b;c.mp4") == "a_b_c.mp4"
    assert safe_name("..") == "clip"
