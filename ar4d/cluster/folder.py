"""A run's folder on its way between machines: its files as bytes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ar4d.errors import UserError
from ar4d.files import atomic

Files = dict[str, bytes]
LEFT_OUT = ("source",)
"""Folders that a run does not need to go on."""
LAST = "run.json"
"""The file that says how far a run is, which is written after all others."""


class Watched:
    """A folder, and which of its files have changed since they were last read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[int, int]] = {}

    def changes(self) -> Files:
        """The files that are new or have changed."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if not path.is_file() or _is_left_out(name):
                continue
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size
            if self._known.get(name) != stamp:
                self._known[name] = stamp
                found[name] = path.read_bytes()
        return found


def write(folder: Path, files: Files) -> None:
    """Writes files into a folder, each of them whole or not at all.

    Raises:
        UserError: a name leads out of the folder, or the disk is full.
    """
    for name in sorted(files, key=lambda name: (name == LAST, name)):
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or PurePosixPath(name).is_absolute():
            raise UserError(f'A node sent a file "{name}", which is outside of its run.')
        with atomic(folder / name) as path:
            path.write_bytes(files[name])


def _is_left_out(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return parts[0] in LEFT_OUT or any(part.startswith(".") for part in parts)
