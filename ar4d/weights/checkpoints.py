"""Published weights: finding them, fetching them, and loading nothing but what fits.

Weights lie in a folder that the user names, below the folder that `AR4D_WEIGHTS` names (one folder
per repository, as `ashawkey/LGM`), or in the model hub's cache (`HF_HOME`, `HF_HUB_OFFLINE` and
`HF_TOKEN` work as always). Only safetensors are read: no code comes with them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError, safe_open
from torch import nn

from ar4d.errors import UserError
from ar4d.weights.downloads import OnBytes, download, verify

Shapes = Mapping[str, Sequence[int]]
HUB_ERRORS = (OSError, HTTPError)
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
    """Of those files whose contents could be mistaken for another version's."""
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
        folder = _root(found, first)
    return folder if _missing(release, folder) is None else None


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


def _missing(release: Release, root: Path) -> str | None:
    """The first file of the release that is not below `root`."""
    weights = (name for stem in release.weights for name in weight_files(root, stem))
    return next((name for name in (*release.files, *weights) if not (root / name).is_file()), None)


def obstacle(release: Release, folder: Path | None = None) -> str | None:
    """Why the weights are not to be had, in one sentence, or None if they are here or can be fetched.

    Asks the hub (3 seconds at most) if they are not here.
    """
    if locate(release, folder) is not None:
        return None
    folder = folder or own_folder(release)
    if folder is not None:
        return _incomplete(release, folder)
    if constants.HF_HUB_OFFLINE:
        return _refusal(OfflineModeIsEnabled("offline"), release)
    try:
        get_hf_file_metadata(hf_hub_url(release.repo, release.files[0]), timeout=3)
    except HUB_ERRORS as error:
        return _refusal(error, release)
    return None


def fetch(
    release: Release,
    folder: Path | None = None,
    *,
    on_bytes: OnBytes | None = None,
    to: Path | None = None,
) -> Path:
    """The folder that holds every file of the release; downloads what the cache lacks.

    A download that was broken off goes on where it stopped; what arrived is compared with the hash
    under which the hub lists it.

    Args:
        folder: where the user keeps the files; None: `AR4D_WEIGHTS`, or the hub's cache.
        on_bytes: told how far a download is; it may raise to stop it.
        to: download into this folder, laid out as on the hub, and not into the cache.

    Raises:
        UserError: a file is missing or is another version, or the hub does not give it.
    """
    root = locate(release, to if to is not None else folder)
    kept = folder or own_folder(release)
    if root is None and kept is not None and to is None:
        raise UserError(_incomplete(release, kept))
    if root is None:
        _require_room(release, to)
        try:
            root = _download(release, on_bytes, to)
        except HUB_ERRORS as error:
            raise UserError(_refusal(error, release)) from error
    for name, expected in release.sha256.items():
        _verify(root / name, expected, release)
    return root


def _require_room(release: Release, to: Path | None) -> None:
    """
    Raises:
        UserError: the disk has no room for what may have to be downloaded.
    """
    folder = Path(constants.HF_HUB_CACHE) if to is None else to
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(place).free / 2**30
    if free < release.gib:
        raise UserError(
            f"{release} needs {release.gib:.1f} GiB of disk and {place} has {free:.1f} GiB free; free some, "
            "or set HF_HOME to a larger disk."
        )


def _download(release: Release, on_bytes: OnBytes | None, to: Path | None) -> Path:
    root: Path | None = None
    for name in release.files:
        root = _root(str(download(release.repo, name, on_bytes, to)), name)
    for stem in release.weights:
        try:
            name = f"{stem}.safetensors.index.json"
            root = _root(str(download(release.repo, name, on_bytes, to)), name)
            names = weight_files(root, stem)
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):  # no answer at all
                raise
            names = [f"{stem}.safetensors"]
        for name in names:
            root = _root(str(download(release.repo, name, on_bytes, to)), name)
    assert root is not None
    return root


def verify_release(release: Release, root: Path) -> list[str]:
    """Compares every file with the hash under which the hub lists it; names those that could not be.

    Raises:
        UserError: a file is damaged.
    """
    names = [*release.files, *(name for stem in release.weights for name in weight_files(root, stem))]
    unknown = [name for name in names if name not in release.sha256 and not verify(root / name, root, name)]
    for name, expected in release.sha256.items():
        _verify(root / name, expected, release)
    return unknown


def load_weights(
    network: nn.Module,
    path: Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype | None = None,
    prefix: str = "",
    ignored: str | None = None,
) -> None:
    """Fills a network that was built on the meta device, and freezes it.

    Args:
        network: every entry of its state dict has to be in the file, and nothing else may be.
        dtype: to convert to; None keeps the file's.
        prefix: what keys in the file may begin with and the network's do not.
        ignored: keys with this ending may be in the file and mean nothing.

    Raises:
        UserError: the file cannot be read or does not fit; names the first keys and shapes.
    """
    shapes = read_shapes(path)
    keys = {
        key.removeprefix(prefix): key for key in shapes if ignored is None or not key.endswith(ignored)
    }  # the network's: the file's
    complaints = differences({name: shapes[key] for name, key in keys.items()}, shapes_of(network))
    if complaints:
        raise UserError(
            f"{path} does not fit {type(network).__name__}: {'; '.join(complaints)}; "
            "take the published file, or fetch it again."
        )
    with safe_open(path, framework="pt") as file:
        # copy=True: a tensor in a mapped file may be unaligned, and the file may change under it
        state = {name: file.get_tensor(key).to(device, dtype, copy=True) for name, key in keys.items()}
    network.load_state_dict(state, assign=True)
    network.requires_grad_(False).eval()


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """{key: shape} of a safetensors file, from its header.

    Raises:
        UserError: there is no such file, or it is cut short or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}; fetch the weights again.") from error
    except (SafetensorError, OSError) as error:
        size = path.stat().st_size
        raise UserError(
            f"{path} ({size:,} bytes) is cut short or damaged ({error}); delete it and fetch it again."
        ) from error


def check_fit(network: nn.Module, paths: Sequence[Path]) -> None:
    """Compares the headers of a checkpoint's files with a network that may be on the meta device.

    Raises:
        UserError: a file cannot be read, or the checkpoint does not fit; names the first keys and shapes.
    """
    shapes = {key: shape for path in paths for key, shape in read_shapes(path).items()}
    complaints = differences(shapes, shapes_of(network))
    if complaints:
        where = paths[0] if len(paths) == 1 else f"{paths[0].parent} ({len(paths)} files)"
        raise UserError(
            f"{where} does not fit {type(network).__name__}: {'; '.join(complaints)}; "
            "take the published files, or fetch them again."
        )


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """{key: shape} of a network's state dict, on whatever device."""
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def differences(found: Shapes, expected: Shapes) -> list[str]:
    """What keeps `found` from being `expected`, the first case of each kind; empty if nothing does."""
    missing = [key for key in expected if key not in found]
    unknown = [key for key in found if key not in expected]
    reshaped = [key for key in expected if key in found and tuple(found[key]) != tuple(expected[key])]
    complaints = []
    if missing:
        complaints.append(f"it lacks {missing[0]} {list(expected[missing[0]])}{_others(missing)}")
    if unknown:
        complaints.append(f"it has the unknown {unknown[0]} {list(found[unknown[0]])}{_others(unknown)}")
    if reshaped:
        key = reshaped[0]
        shapes = f"{list(found[key])} instead of {list(expected[key])}"
        complaints.append(f"the shape of {key} is {shapes}{_others(reshaped)}")
    return complaints


def _others(keys: list[str]) -> str:
    return f" and {len(keys) - 1} more" if len(keys) > 1 else ""


def _root(path: str, name: str) -> Path:
    """The folder above a file that is called `name` within it."""
    return Path(path).parents[name.count("/")]


def _verify(path: Path, expected: str, release: Release) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise UserError(
            f"{path} is not the published {path.name} of {release.repo} (SHA-256 {actual[:12]}…, "
            f"not {expected[:12]}…); delete it and fetch it again: `{release.fetch_command}`."
        )


def _incomplete(release: Release, folder: Path) -> str:
    absent = _missing(release, folder)
    return f"{folder} lacks {absent} of {release}; fetch it: `{release.fetch_command} --local-dir {folder}`."


def _refusal(error: Exception, release: Release) -> str:
    """One sentence about what the hub, or the way there, answered, with the remedy."""
    page = f"{constants.ENDPOINT}/{release.repo}"
    if isinstance(error.__cause__, HfHubHTTPError):
        error = error.__cause__  # "not in the cache" hides what the hub said
    if constants.HF_HUB_OFFLINE or isinstance(error, OfflineModeIsEnabled):
        return (
            f"The weights {release} are not in the cache {constants.HF_HUB_CACHE} and HF_HUB_OFFLINE is set; "
            f"unset it, or bring them from a machine with a network: `{release.fetch_command}`."
        )
    if isinstance(error, GatedRepoError):
        return (
            f"The weights {release} are only for those who accepted their licence: accept it on {page}, "
            "then log in with `hf auth login` or set HF_TOKEN."
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"The hub shows no {release} to this account; see {page}, and log in with `hf auth login`."
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return f"The hub lacks a file of {release}, the release has changed; see {page} for its new files."
    if isinstance(error, HfHubHTTPError):
        return f"The hub did not give {release} ({_first_line(error)}); try again later, or see {page}."
    if isinstance(error, LocalEntryNotFoundError | HTTPError | ConnectionError | TimeoutError):
        return (
            f"The weights {release} are not in the cache {constants.HF_HUB_CACHE} and {constants.ENDPOINT} "
            f"cannot be reached; connect, or bring them from elsewhere: `{release.fetch_command}`."
        )
    return f"The weights {release} cannot be written to {constants.HF_HUB_CACHE} ({error}); make room there."


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
