"""Renders the benchmark: clips of moving objects with true views, depth, normals, meshes and points."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ar4d.bench.catalogue import Entry
from ar4d.bench.models import Models
from ar4d.cameras import FOV_Y_DEG, RADIUS, Cameras, orbit
from ar4d.errors import UserError
from ar4d.files import readable_errors, write_text
from ar4d.scenes.mesh import Clip
from ar4d.scenes.placing import Placing, placed, turned
from ar4d.scenes.points import surface_points
from ar4d.scenes.rasterizer import Picture, Scene
from ar4d.threads import available_cores

AZIMUTHS_DEG = (0, 15, 90, 105, 180, 195, 270, -75)
"""Of the cameras at the clip's own elevation; 0 is the clip's own."""
OTHER_AZIMUTHS_DEG = (45, 135, 225, 315)
"""Of the cameras at the other elevation; no protocol's test views."""
ELEVATIONS_DEG = (0, 15)
DEPTH_UNIT = 2.0**-14
"""World units of one step of the depth pictures."""
POINTS = 4096
FPS = 10
FORMAT = 1
"""Raised when the same recipe gives other pictures."""


@dataclass(frozen=True)
class Recipe:
    """How objects are rendered."""

    size: int = 256
    """Width and height of the views in pixels."""
    input_size: int = 512
    """Width and height of the clip."""
    frames: int = 16

    @property
    def facts(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True)
class Made:
    """An object that has been rendered."""

    entry: Entry
    checksum: str
    """SHA-256 of all pixels and points."""
    published: str | None
    """The committed checksum; None where the recipe is not that of the committed ones."""


def make(out: Path, objects: Sequence[Entry], models: Models, recipe: Recipe) -> Iterator[Made]:
    """Renders every object that is not there yet and yields it.

    An object's folder appears when it is whole, so this may be stopped at any time and goes on.

    Raises:
        UserError: a model cannot be had, or the folder holds an object of another recipe.
    """
    published = _published() if recipe == Recipe() else {}
    for entry in objects:
        folder = out / entry.name
        checksum = _finished(folder, entry, recipe)
        if checksum is None:
            checksum = _make_object(folder, entry, models, recipe)
        yield Made(entry, checksum, published.get(entry.name))


def cameras_of(entry: Entry, size: int) -> dict[str, tuple[int, int, Cameras]]:
    """The cameras around an object by name: azimuth, elevation and camera."""
    own = int(entry.elevation)
    other = next(e for e in ELEVATIONS_DEG if e != own)
    places = [(a, own) for a in AZIMUTHS_DEG] + [(a, other) for a in OTHER_AZIMUTHS_DEG]
    return {f"az{a:+04d}el{e:+03d}": (a, e, orbit(a, e, size=size)) for a, e in places}


def _published() -> dict[str, str]:
    return json.loads(Path(__file__).with_name("checksums.json").read_text(encoding="utf-8"))


def _finished(folder: Path, entry: Entry, recipe: Recipe) -> str | None:
    """The checksum of an object that is there already, None if it is not.

    Raises:
        UserError: what is there was made otherwise, or is something else.
    """
    if not folder.exists():
        return None
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        same = meta["recipe"] == recipe.facts and meta["catalogue"] == asdict(entry)
        checksum = str(meta["checksum"])
    except (OSError, ValueError, KeyError, TypeError):
        same, checksum = False, ""
    if not same:
        raise UserError(f"{folder} holds something else than this command makes: choose another folder.")
    return checksum


def _make_object(folder: Path, entry: Entry, models: Models, recipe: Recipe) -> str:
    clip, placing = placed(
        turned(models.clip(entry, recipe.frames), entry.yaw), entry.elevation, ELEVATIONS_DEG
    )
    points = surface_points(clip, POINTS)
    partial = folder.with_name(f".{entry.name}.part")
    with readable_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        cameras = cameras_of(entry, recipe.size)
        own = orbit(0, entry.elevation, size=recipe.input_size)
        scene = Scene(clip)

        def draw(frame: int) -> bytes:
            digest = hashlib.sha256()
            digest.update(_save(scene.draw(frame, own), partial / "input", frame, geometry=False))
            for name, (_, _, camera) in cameras.items():
                digest.update(
                    _save(scene.draw(frame, camera), partial / "views" / name, frame, geometry=True)
                )
            return digest.digest()

        with ThreadPoolExecutor(available_cores()) as pool:
            digests = list(pool.map(draw, range(recipe.frames)))
        np.save(partial / "points.npy", points)
        vertices, faces = scene.vertices.astype(np.float32), scene.faces.astype(np.int32)
        np.savez(partial / "mesh.npz", vertices=vertices, faces=faces, part=scene.part_of.astype(np.int32))
        checksum = hashlib.sha256(b"".join([*digests, points.tobytes()])).hexdigest()
        meta = _meta(entry, recipe, clip, placing) | {"checksum": checksum}
        write_text(partial / "meta.json", json.dumps(meta, indent=1))
        os.replace(partial, folder)
    return checksum


def _save(picture: Picture, folder: Path, frame: int, geometry: bool) -> bytes:
    """Writes a picture, and its depth and normals beside it; returns what its checksum is made of."""
    pictures: dict[Path, NDArray[np.uint8] | NDArray[np.uint16]] = {folder: picture.rgba}
    if geometry:
        root, name = folder.parents[1], folder.name
        there = picture.depth > 0
        steps = np.where(there, np.floor(picture.depth / DEPTH_UNIT + 0.5), 0)
        pictures[root / "depth" / name] = steps.astype(np.uint16)
        normals = np.floor((picture.normals + 1) * 127.5 + 0.5) * there[..., None]
        pictures[root / "normals" / name] = normals.astype(np.uint8)
    for place, pixels in pictures.items():
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{frame:04}.png")
    return b"".join(hashlib.sha256(pixels.tobytes()).digest() for pixels in pictures.values())


def _meta(entry: Entry, recipe: Recipe, clip: Clip, placing: Placing) -> dict[str, Any]:
    credit = entry.credit
    cameras = cameras_of(entry, recipe.size)
    own = orbit(0, entry.elevation, size=recipe.input_size)
    moved = max(float(np.abs(p.vertices - p.vertices[:1]).max()) for p in clip.parts)
    return {
        "name": entry.name,
        "source": f"{credit.origin}, {entry.model}",
        "licence": credit.licence,
        "attribution": credit.attribution,
        "frames": recipe.frames,
        "fps": FPS,
        "size": recipe.size,
        "input_size": recipe.input_size,
        "radius": RADIUS,
        "fov_y_deg": FOV_Y_DEG,
        "yaw_deg": entry.yaw,
        "framing": asdict(placing) | {"shrunk": placing.shrunk},
        "triangles": clip.triangles,
        "motion": round(moved, 4),
        "depth_unit": DEPTH_UNIT,
        "recipe": recipe.facts,
        "catalogue": asdict(entry),
        "input_camera": _camera(0, int(entry.elevation), own),
        "cameras": {name: _camera(*place) for name, place in cameras.items()},
    }


def _camera(azimuth_deg: int, elevation_deg: int, camera: Cameras) -> dict[str, Any]:
    return {
        "azimuth_deg": azimuth_deg,
        "elevation_deg": elevation_deg,
        "size": camera.width,
        "K": camera.Ks[0].tolist(),
        "viewmat": camera.viewmats[0].tolist(),
    }
