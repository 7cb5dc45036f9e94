"""Where an export goes: a file with the right ending, or a folder for a sequence."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ar4d.errors import UserError
from ar4d.files import atomic

FILE_ENDINGS = {".png"}  # names that end so mean a file, not a folder; each export format adds its own


def write(path: Path, content: bytes) -> Path:
    """Writes one file in one go; returns `path`."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return path


@contextmanager
def all_or_none(names: Sequence[Path]) -> Iterator[None]:
    """Deletes the files of a sequence if the body stops before the end, and its folder if that is empty."""
    try:
        yield
    except BaseException:
        for path in names:
            path.unlink(missing_ok=True)
        if names and not any(names[0].parent.iterdir()):
            names[0].parent.rmdir()
        raise


def single_file(out: Path, suffix: str) -> Path:
    """Checks that `out` can be a file that ends in `suffix`, and makes its folder.

    Raises:
        UserError: another ending, a folder of that name, or a folder that cannot be made.
    """
    if not out.name.lower().endswith(suffix):
        raise UserError(f"{out} does not end in {suffix}; name the file {out.stem or 'asset'}{suffix}.")
    if out.is_dir():
        raise UserError(f"{out} is a folder; give the name of a file that ends in {suffix}.")
    _make_folder(out.parent)
    return out


def sequence(out: Path, num_frames: int, suffix: str) -> list[Path]:
    """Names for a sequence, `0000` and on, in the folder `out`, which is made.

    Raises:
        UserError: `out` is a file or is named like one, cannot be made, or holds frames of a longer
            sequence, which would be taken for part of this one.
    """
    if out.is_file() or out.name.lower().endswith(tuple(FILE_ENDINGS)):
        raise UserError(f"{out} names a file, but a sequence needs a folder; leave the ending away.")
    _make_folder(out)
    frame_name = re.compile(r"(\d{4,})" + re.escape(suffix))
    for name in sorted(os.listdir(out)):
        match = frame_name.fullmatch(name)
        if match and int(match[1]) >= num_frames:
            raise UserError(f"{out} holds {name} from a longer sequence; empty it or choose another folder.")
    return [out / f"{index:04d}{suffix}" for index in range(num_frames)]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder {folder} cannot be made ({error.strerror}); choose another one."
        ) from error
