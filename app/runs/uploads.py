"""What a visitor may drop: one video or animation, several pictures, or a ZIP archive of either."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from app.runs.storage import safe_name
from ar4d.errors import UserError

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".gif"}
MOST_PICTURES = 2000
_UNPACKED = 20  # times an archive's own limit that its contents may have


def take_in(paths: Sequence[Path], name: str, source: Path, most_bytes: float) -> Path:
    """Copy an upload into a draft.

    Args:
        paths: the uploaded files.
        name: the copy's name; a folder of pictures is called like it, without its ending.
        source: the draft's folder for it, which exists.
        most_bytes: that an upload may have; unpacked, twenty times as many.

    Returns:
        The copy: a file, or a folder of pictures.

    Raises:
        UserError: the files do not belong together, or an archive cannot be used.
    """
    if len(paths) > 1:
        return _pictures(paths, source / Path(name).stem)
    (path,) = paths
    if zipfile.is_zipfile(path):
        return _unpacked(path, name, source, _UNPACKED * most_bytes)
    copy = source / name
    shutil.copyfile(path, copy)
    return copy


def require_size(paths: Sequence[Path], name: str, most_bytes: float) -> None:
    """Checks the size of an upload.

    Raises:
        UserError: it is too large.
    """
    size = sum(path.stat().st_size for path in paths)
    if size > most_bytes:
        raise UserError(
            f"{name} has {size / 1e6:.0f} MB and this server accepts at most {most_bytes / 1e6:.0f} MB; make "
            "it shorter or smaller."
        )


def _pictures(paths: Sequence[Path], folder: Path) -> Path:
    others = [path.name for path in paths if path.suffix.lower() not in PICTURES]
    if others:
        raise UserError(
            f"{others[0]} is no picture: drop one video or animation alone, or several pictures that are the "
            "frames of one."
        )
    folder.mkdir()
    for path in paths:
        shutil.copyfile(path, folder / safe_name(path.name))
    return folder


def _unpacked(path: Path, name: str, source: Path, most_bytes: float) -> Path:
    """The pictures of an archive as a folder, or its one file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if _is_content(info)]
            total = sum(info.file_size for info in members)
            if total > most_bytes or len(members) > MOST_PICTURES:
                raise UserError(
                    f"{name} holds {len(members)} files of {total / 1e6:.0f} MB, and this server unpacks at "
                    f"most {MOST_PICTURES} files of {most_bytes / 1e6:.0f} MB; leave frames out."
                )
            if not members:
                raise UserError(f"{name} holds no files; put the frames into it as pictures.")
            if len(members) == 1:
                return _extract(archive, members[0], source)
            pictures = [i for i in members if PurePosixPath(i.filename).suffix.lower() in PICTURES]
            if len(pictures) < len(members):
                other = next(info for info in members if info not in pictures)
                raise UserError(
                    f"{name} holds {PurePosixPath(other.filename).name}, which is no picture; it may hold "
                    "one video, or pictures that are the frames of one."
                )
            folder = source / Path(name).stem
            folder.mkdir()
            for info in pictures:
                _extract(archive, info, folder)
            return folder
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # the latter: encrypted, unknown
        raise UserError(f"{name} cannot be unpacked ({error}); make the archive again.") from error


def _is_content(info: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(info.filename)
    return not info.is_dir() and "__MACOSX" not in path.parts and not path.name.startswith(".")


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> Path:
    """One file of an archive, under its own name without folders."""
    copy = folder / safe_name(PurePosixPath(info.filename).name)
    with archive.open(info) as packed, open(copy, "wb") as file:
        shutil.copyfileobj(packed, file)  # zipfile stops at the size that was checked
    return copy
