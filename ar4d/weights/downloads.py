"""Single files from the model hub: with progress, resumed where they stopped, compared with their hash."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download
from tqdm import tqdm

from ar4d.errors import UserError

OnBytes = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are here and their total; may raise to stop the download."""


def download(repo: str, name: str, on_bytes: OnBytes | None = None, to: Path | None = None) -> Path:
    """The path of a file of the hub; it is fetched if the cache (or `to`) lacks it.

    Raises:
        UserError: what arrived is damaged.
        OSError, HTTPError: of the hub's client.
    """
    arrived = False

    def report(done: int, total: int) -> None:
        nonlocal arrived
        arrived = True
        if on_bytes is not None:
            on_bytes(f"{repo}/{name}", done, total)

    root = hf_hub_download(
        repo,
        name,
        local_dir=to,
        cache_dir=None if to is not None else constants.HF_HUB_CACHE,
        tqdm_class=_bar(report),
    )
    path = Path(root)
    if arrived:
        verify(path, path.parents[name.count("/")], name)
    return path


def _bar(report: Callable[[int, int], None]) -> type[tqdm]:
    """The hub's client shows progress on a bar and nowhere else: one that prints nothing and reports."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)  # the client's own bars have one
            super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            report(int(self.n), int(self.total or 0))
            return shown

    return Bar


def verify(path: Path, root: Path, name: str) -> bool:
    """Compares a file with the hash under which the hub lists it; False if that is not known here.

    The cache names each file by its hash; a folder that the client filled keeps it beside the files.
    Large files have a SHA-256, small ones the SHA-1 of a git blob.

    Raises:
        UserError: the file is damaged. It is deleted, so that fetching again brings a whole one.
    """
    expected = _listed_hash(path, root, name)
    if len(expected) not in (40, 64) or not set(expected) <= set("0123456789abcdef"):
        return False
    digest = hashlib.sha256() if len(expected) == 64 else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    if digest.hexdigest() != expected:
        path.resolve().unlink()
        raise UserError(
            f"{path} was damaged on its way (hash {digest.hexdigest()[:12]}…, not {expected[:12]}…) and is "
            "deleted; fetch it again."
        )
    return True


def _listed_hash(path: Path, root: Path, name: str) -> str:
    if path.is_symlink():
        return path.resolve().name
    metadata = root / ".cache/huggingface/download" / f"{name}.metadata"
    lines = metadata.read_text(encoding="utf-8").splitlines() if metadata.is_file() else []
    return lines[1] if len(lines) > 1 else ""  # commit, hash, time
