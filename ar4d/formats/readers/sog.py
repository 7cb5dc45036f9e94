"""One SOG file (version 2) becomes Gaussians: the reverse of `ar4d.formats.splats.sog`.

gsply reads SOG as well, but needs a large package for WebP pictures that Pillow decodes.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ar4d.errors import UserError
from ar4d.formats.splats.sog import FIRST_ROTATION_TAG
from ar4d.formats.splats.stored import SH_C0
from ar4d.gaussians import Gaussians


def read_sog_file(path: Path) -> tuple[Gaussians, list[str]]:
    """Read the Gaussians of a .sog file, and what was left out, in sentences.

    Raises:
        UserError: the file is damaged, or of a version other than 2.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            meta = json.loads(archive.read("meta.json"))
            if meta.get("version") != 2:
                version = meta.get("version", 1)
                raise UserError(
                    f"{path} is SOG of version {version}, and ar4d reads version 2; convert it with the "
                    "current splat-transform."
                )
            return _gaussians(_Archive(archive, int(meta["count"])), meta), _left_out(path, meta)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, IndexError, TypeError) as error:
        raise UserError(f"{path} cannot be read as a SOG file ({error}); export it again.") from error


class _Archive:
    """The pictures of a SOG archive, whose pixels are Gaussians in rows."""

    def __init__(self, archive: zipfile.ZipFile, count: int) -> None:
        self.archive, self.count = archive, count

    def pixels(self, name: str) -> np.ndarray:
        """[N, 4] uint8."""
        with Image.open(io.BytesIO(self.archive.read(name))) as picture:
            rows = np.asarray(picture.convert("RGBA")).reshape(-1, 4)
        if len(rows) < self.count:
            raise ValueError(f"{name} has {len(rows)} pixels for {self.count} Gaussians")
        return rows[: self.count]


def _gaussians(archive: _Archive, meta: dict[str, Any]) -> Gaussians:
    low, high = (np.array(meta["means"][key], np.float64) for key in ("mins", "maxs"))
    lower, upper = (archive.pixels(name)[:, :3].astype(np.uint16) for name in meta["means"]["files"])
    logs = low + (upper << 8 | lower) / 65535 * (high - low)
    scales = np.array(meta["scales"]["codebook"])[archive.pixels(meta["scales"]["files"][0])[:, :3]]
    sh0 = archive.pixels(meta["sh0"]["files"][0])
    colors = 0.5 + SH_C0 * np.array(meta["sh0"]["codebook"])[sh0[:, :3]]
    arrays = {
        "means": np.sign(logs) * np.expm1(np.abs(logs)),
        "quats": _quats(archive.pixels(meta["quats"]["files"][0])),
        "scales": np.exp(scales),
        "opacities": sh0[:, 3] / 255,
        "colors": colors,
    }
    return Gaussians(**{name: torch.from_numpy(a.astype(np.float32)) for name, a in arrays.items()})


def _quats(pixels: np.ndarray) -> np.ndarray:
    """[N, 4] wxyz from the three smaller components and the index of the largest."""
    if pixels[:, 3].min(initial=255) < FIRST_ROTATION_TAG:
        raise ValueError("a rotation does not say which of its components is left out")
    largest = pixels[:, 3] - FIRST_ROTATION_TAG
    others = (pixels[:, :3] / 255 - 0.5) * np.sqrt(2)
    quats = np.empty((len(pixels), 4))
    quats[np.arange(4) != largest[:, None]] = others.ravel()
    rest = np.sqrt(np.maximum(1 - np.square(others).sum(1), 0))
    np.put_along_axis(quats, largest[:, None].astype(np.int64), rest[:, None], 1)
    return quats


def _left_out(path: Path, meta: dict[str, Any]) -> list[str]:
    if "shN" not in meta:
        return []
    return [f"{path.name} has view-dependent colour, which is left out: ar4d shows the base colour."]
