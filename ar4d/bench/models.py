"""The models of the benchmark, posed: from 0 A.D.'s archive, glTF files and makers of our own."""

from __future__ import annotations

import hashlib
import math
import urllib.request
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import platformdirs

from ar4d.bench.catalogue import Entry, ModelFile, files
from ar4d.errors import UserError
from ar4d.files import atomic
from ar4d.scenes.gltf import load_glb
from ar4d.scenes.made import MADE
from ar4d.scenes.mesh import Clip
from ar4d.scenes.zeroad.actors import REST, Archive, load_clip

DEBIAN = Path("/usr/share/games/0ad/mods/public/public.zip")
"""Where Debian's package 0ad-data puts the game's art."""
TURN = "turn"
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Models:
    """Where models are looked for."""

    zeroad: Path | None = None
    """0 A.D.'s `public.zip`; None: where Debian's package has it."""
    gltf: Path | None = None
    """Folder with the glTF files; None: they are downloaded once, to the user's cache."""

    def clip(self, entry: Entry, frames: int) -> Clip:
        """An object over one cycle of its motion, as its model has it: not yet turned or placed.

        Raises:
            UserError: the model is not on this machine, is another one, or cannot be read.
        """
        if entry.source == "made":
            return MADE[entry.model](frames)
        if entry.source == "gltf":
            return self._from_gltf(entry, frames)
        actor = self.archive.actor(entry.model)
        turns = entry.motion == TURN
        if actor is None or not (turns or entry.motion in actor.animations):
            raise UserError(
                f'{self._zip} has no actor "{entry.model}" with the animation "{entry.motion}": '
                "take release 0.0.26 of 0 A.D., or leave the object out with --objects."
            )
        clip = load_clip(self.archive, entry.model, REST if turns else entry.motion, frames)
        return _turning(clip) if turns else clip

    @property
    def _zip(self) -> Path:
        return self.zeroad or DEBIAN

    @cached_property
    def archive(self) -> Archive:
        """
        Raises:
            UserError: the game's art is missing or damaged.
        """
        try:
            return Archive(self._zip)
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(
                f"0 A.D.'s art cannot be read from {self._zip} ({error}): install Debian's package 0ad-data, "
                "name its public.zip with --zeroad, or make the other objects with --sources gltf made."
            ) from error

    def _from_gltf(self, entry: Entry, frames: int) -> Clip:
        file = files()[entry.model]
        data = self._data(file)
        try:
            clip = load_glb(data, None if entry.motion == TURN else entry.motion, frames)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise UserError(f"{file.name} cannot be read as glTF ({error}).") from error
        return _turning(clip) if entry.motion == TURN else clip

    def _data(self, file: ModelFile) -> bytes:
        """The file's bytes, compared with its hash.

        Raises:
            UserError: it is not there, cannot be had, or is another file.
        """
        folder = self.gltf or platformdirs.user_cache_path("ar4d") / "models"
        path = folder / file.name
        if not path.exists():
            if self.gltf is not None:
                raise UserError(f"{path} is not there: get it from {file.url}, or leave out --gltf.")
            _download(file, path)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise UserError(
                f"{path} is not the file that the benchmark is made of (SHA-256 {file.sha256}): delete it "
                f"and get it from {file.url}."
            )
        return data


def _download(file: ModelFile, path: Path) -> None:
    """
    Raises:
        UserError: the server cannot be reached or lacks the file.
    """
    try:
        with urllib.request.urlopen(file.url, timeout=_TIMEOUT_S) as answer:
            data = answer.read()
    except OSError as error:
        raise UserError(
            f"{file.url} cannot be fetched ({error}): put {file.name} in a folder and name that with --gltf, "
            "or make the other objects with --sources 0ad made."
        ) from error
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def _turning(clip: Clip) -> Clip:
    """A clip at rest that turns once about the y axis."""
    angles = 2 * math.pi * np.arange(clip.frames) / clip.frames
    c, s, zero, one = np.cos(angles), np.sin(angles), np.zeros(clip.frames), np.ones(clip.frames)
    turns = np.stack([c, zero, s, zero, one, zero, -s, zero, c], 1).reshape(-1, 3, 3)
    parts = (
        replace(part, vertices=(part.vertices @ turns.transpose(0, 2, 1)).astype(np.float32))
        for part in clip.parts
    )
    return Clip(tuple(parts))
