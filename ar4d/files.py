"""Writing files so that a killed process or a full disk never leaves half a one."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ar4d.errors import UserError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there becomes `path` at the end.

    If the body raises, `path` stays as it was and the temporary file is gone.

    Raises:
        UserError: the disk is full, or the folder cannot be written to.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        with readable_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.chmod(0o644)  # some writers make files that only their owner can read
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replaces the file by `text`, at once."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turns the disk's refusals into sentences; every other error passes as it is."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"The disk is full: {path} could not be written; free some space and try again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise UserError(
                f"{path.parent} cannot be written to ({error.strerror}); choose another folder."
            ) from error
        raise
