"""Releases from the model hub: downloads resume, are compared with hashes, and fail in sentences."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from ar4d.errors import UserError
from ar4d.weights.downloads import OnBytes, download, verify
from ar4d.weights.loading import first_line
from ar4d.weights.release import Release, first_missing, locate, own_folder, root_of, weight_files

HUB_ERRORS = (OSError, HTTPError)


def why_unavailable(release: Release, folder: Path | None = None) -> str | None:
    """Why the weights are unavailable, in one sentence, or None if they are here or can be fetched.

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

    A broken download resumes where it stopped. What arrived is compared with the hash
    under which the hub lists it.

    Args:
        folder: where the user keeps the files; None: `AR4D_WEIGHTS`, or the hub's cache.
        on_bytes: called as a download proceeds; it may raise to stop it.
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
        root = root_of(str(download(release.repo, name, on_bytes, to)), name)
    for stem in release.weights:
        try:
            name = f"{stem}.safetensors.index.json"
            root = root_of(str(download(release.repo, name, on_bytes, to)), name)
            names = weight_files(root, stem)
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):  # no answer at all
                raise
            names = [f"{stem}.safetensors"]
        for name in names:
            root = root_of(str(download(release.repo, name, on_bytes, to)), name)
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


def _verify(path: Path, expected: str, release: Release) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise UserError(
            f"{path} is not the published {path.name} of {release.repo} (SHA-256 {actual[:12]}…, "
            f"not {expected[:12]}…); delete it and fetch it again: `{release.fetch_command}`."
        )


def _incomplete(release: Release, folder: Path) -> str:
    absent = first_missing(release, folder)
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
        return f"The hub did not give {release} ({first_line(error)}); try again later, or see {page}."
    if isinstance(error, LocalEntryNotFoundError | HTTPError | ConnectionError | TimeoutError):
        return (
            f"The weights {release} are not in the cache {constants.HF_HUB_CACHE} and {constants.ENDPOINT} "
            f"cannot be reached; connect, or bring them from elsewhere: `{release.fetch_command}`."
        )
    return f"The weights {release} cannot be written to {constants.HF_HUB_CACHE} ({error}); make room there."
