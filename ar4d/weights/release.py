"""What is published: the files of a release, and where they lie on this machine.

Weights lie in a folder that the user names, below the folder that `AR4D_WEIGHTS` names (one folder
per repository, as `ashawkey/LGM`), or in the model hub's cache (`HF_HOME`, `HF_HUB_OFFLINE` and
`HF_TOKEN` work as always).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import constants, try_to_load_from_cache

from ar4d.errors import UserError

WEIGHTS_VARIABLE = "AR4D_WEIGHTS"


@dataclass(frozen=True)
class Release:
    """Files of one repository on the model hub that belong together."""

    repo: str
    files: tuple[str, ...]
    gib: float
    """Size of the download."""
    licence: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Hashes of the files whose contents could be mistaken for another version's."""
    weights: tuple[str, ...] = ()
    """Stems of weights that lie in `STEM.safetensors`, or in the parts that an index beside it names."""

    @property
    def fetch_command(self) -> str:
        single = f" {self.files[0]}" if len(self.files) == 1 and not self.weights else ""
        return f"hf download {self.repo}{single}"

    def __str__(self) -> str:
        return f"{self.repo} ({self.gib:.1f} GiB, {self.licence})"


def own_folder(release: Release) -> Path | None:
    """Where below `AR4D_WEIGHTS` the user keeps the release, if there is such a folder."""
    base = os.environ.get(WEIGHTS_VARIABLE)
    folder = Path(base).expanduser() / release.repo if base else None
    return folder if folder is not None and folder.is_dir() else None


def locate(release: Release, folder: Path | None = None) -> Path | None:
    """The folder that holds every file of the release, or None.

    Args:
        folder: where the user keeps the files, laid out as on the hub; None: below `AR4D_WEIGHTS` if
            there is a folder for it, else the hub's cache.
    """
    folder = folder or own_folder(release)
    if folder is None:
        first = (*release.files, *release.weights)[0]
        names = [first] if release.files else [f"{first}.safetensors.index.json", f"{first}.safetensors"]
        cached = (try_to_load_from_cache(release.repo, n, cache_dir=constants.HF_HUB_CACHE) for n in names)
        found = next((path for path in cached if isinstance(path, str)), None)
        if found is None:
            return None
        folder = root_of(found, first)
    return folder if first_missing(release, folder) is None else None


def weight_files(root: Path, stem: str) -> list[str]:
    """Names below `root` of the files that hold the weights `stem`: one, or those that its index names.

    Raises:
        UserError: the index cannot be read.
    """
    index = root / f"{stem}.safetensors.index.json"
    if not index.is_file():
        return [f"{stem}.safetensors"]
    try:
        parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{index} is damaged ({error}); delete it and fetch it again.") from error
    return sorted((Path(stem).parent / part).as_posix() for part in parts)


def first_missing(release: Release, root: Path) -> str | None:
    """The first file of the release that is not below `root`."""
    weights = (name for stem in release.weights for name in weight_files(root, stem))
    return next((name for name in (*release.files, *weights) if not (root / name).is_file()), None)


def root_of(path: str, name: str) -> Path:
    """The folder above a file that is called `name` within it."""
    return Path(path).parents[name.count("/")]
