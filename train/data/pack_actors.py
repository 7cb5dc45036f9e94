"""Packs actors of the game 0 A.D. into one file from which `train.data.point_cloud_dataset` renders.

    python -m train.data.pack_actors --data public.zip --out actors.npz

Each mesh, texture and animation is stored once, so that thousands of dressed, moving actors take a few dozen
megabytes. train/README.md describes the data's source and licence.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from PIL import Image

from ar4d.scenes.mesh import AlphaMode, ByteArray
from ar4d.scenes.zeroad.actors import REST, Archive, SkinnedPart, load_skinned
from train.data.samples import NEIGHBOUR
from train.data.zeroad.choice import VALIDATION, choose_actors, is_allowed, reserved_meshes, usage_json

TEXTURE_SIZE, TEXTURE_QUALITY = 192, 75


@dataclass(frozen=True)
class Options:
    """Pack actors for training."""

    data: Path
    """The game's public.zip."""
    out: Path
    """The file to write; a list of the actors is written beside it, as .json."""
    clips: int = 2000
    """About how many clips to pack: dressed actors in an animation."""
    pairs: int = 4
    """Pairs of neighbouring poses of each clip."""
    holdout: bool = True
    """Reserve some meshes (`VALIDATION`) for validation, instead of training on them too."""
    seed: int = 0


@dataclass(frozen=True)
class PackedMesh:
    """A mesh with the attributes that its surface needs."""

    positions: NDArray[np.float32]  # [V, 3] at rest
    uvs: NDArray[np.float32]  # [V, 2]
    faces: NDArray[np.int64]  # [T, 3]
    bones: NDArray[np.int64]  # [V, 4]
    weights: NDArray[np.float32]  # [V, 4]


@dataclass(frozen=True)
class PackedPart:
    """A mesh on an actor, with its animation and texture."""

    mesh: PackedMesh
    matrices: NDArray[np.float32]  # [2 pairs, bones, 3, 4]
    texture: ByteArray | None
    alpha_mode: AlphaMode


@dataclass
class Pack:
    """The contents of a pack: each mesh, texture and animation once, referred to by its number."""

    validation: Collection[str] = VALIDATION  # meshes; clips that show one of them are for validation
    meshes: list[dict[str, NDArray[np.generic]]] = field(default_factory=list)
    textures: list[bytes] = field(default_factory=list)
    moves: list[NDArray[np.float16]] = field(default_factory=list)
    clips: list[dict[str, object]] = field(default_factory=list)
    numbers: dict[object, int] = field(default_factory=dict)

    def add(self, actor: str, parts: list[SkinnedPart]) -> None:
        """Add a dressed actor in an animation."""
        rows = [
            [self._mesh(part), self._texture(part.texture), int(part.alpha_mode), self._moves(part)]
            for part in parts
        ]
        validation = any(part.name in self.validation for part in parts)
        self.clips.append({"actor": actor, "validation": validation, "parts": rows})

    def _mesh(self, part: SkinnedPart) -> int:
        key = "mesh", part.name, part.matrices.shape[1]
        if key not in self.numbers:
            self.numbers[key] = len(self.meshes)
            bones, weights = part.bound()
            self.meshes.append(
                {
                    "positions": part.mesh.positions.astype(np.float16),
                    "uvs": part.uvs.astype(np.float16),
                    "faces": part.mesh.faces.astype(np.uint16),
                    "bones": bones.astype(np.uint8),
                    "weights": np.round(255 * weights).astype(np.uint8),
                }
            )
        return self.numbers[key]

    def _texture(self, texture: ByteArray | None) -> int:
        if texture is None:
            return -1
        key = "texture", id(texture)  # the archive caches textures, so the same one is the same object
        if key not in self.numbers:
            self.numbers[key] = len(self.textures)
            image = Image.fromarray(texture)
            image.thumbnail((TEXTURE_SIZE, TEXTURE_SIZE))
            buffer = io.BytesIO()
            image.save(buffer, "webp", quality=TEXTURE_QUALITY, exact=True)
            self.textures.append(buffer.getvalue())
        return self.numbers[key]

    def _moves(self, part: SkinnedPart) -> int:
        matrices = part.matrices.astype(np.float16)
        key = "moves", matrices.shape, matrices.tobytes()
        if key not in self.numbers:
            self.numbers[key] = len(self.moves)
            self.moves.append(matrices)
        return self.numbers[key]

    def save(self, path: Path) -> None:
        """Write the pack as a compressed .npz file."""
        arrays = {f"mesh{k}_{name}": x for k, mesh in enumerate(self.meshes) for name, x in mesh.items()}
        arrays |= {f"texture{k}": np.frombuffer(x, np.uint8) for k, x in enumerate(self.textures)}
        arrays |= {f"moves{k}": x for k, x in enumerate(self.moves)}
        arrays["clips"] = np.frombuffer(json.dumps(self.clips).encode(), np.uint8)
        np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]


def read_pack(path: Path) -> Iterator[tuple[str, bool, list[PackedPart]]]:
    """Yield each clip's actor, whether the clip is for validation, and its parts."""
    file = np.load(path)
    stored = {name: file[name] for name in file.files}
    meshes: dict[int, PackedMesh] = {}
    textures: dict[int, ByteArray | None] = {-1: None}
    for clip in json.loads(stored["clips"].tobytes()):
        parts = []
        for mesh, texture, mode, moves in clip["parts"]:
            if mesh not in meshes:
                arrays = {name: stored[f"mesh{mesh}_{name}"] for name in PackedMesh.__annotations__}
                kinds = {"faces": np.int64, "bones": np.int64}
                meshes[mesh] = PackedMesh(
                    **{name: x.astype(kinds.get(name, np.float32)) for name, x in arrays.items()}
                )
            if texture not in textures:
                image = Image.open(io.BytesIO(stored[f"texture{texture}"].tobytes()))
                textures[texture] = np.asarray(image.convert("RGBA"))
            matrices = stored[f"moves{moves}"].astype(np.float32)
            parts.append(PackedPart(meshes[mesh], matrices, textures[texture], AlphaMode(mode)))
        yield clip["actor"], clip["validation"], parts


def main(argv: Sequence[str]) -> None:
    """Pack about `clips` clips; animals and rare shapes get more of them than others."""
    options = tyro.cli(Options, prog="python -m train.data.pack_actors", args=argv)
    archive, random = Archive(options.data), np.random.default_rng(options.seed)
    pack = Pack(VALIDATION if options.holdout else ())
    weights, banned = choose_actors(archive, pack.validation), reserved_meshes(archive)
    total = sum(weights.values())
    firsts = np.arange(options.pairs) / options.pairs
    phases = np.stack([firsts, firsts + NEIGHBOUR], 1).reshape(-1)
    for name, weight in weights.items():
        for _ in range(max(1, round(options.clips * weight / total))):
            actor = archive.actor(name)
            assert actor is not None
            moves = sorted(actor.animations) or [REST]
            parts = load_skinned(archive, name, moves[int(random.integers(len(moves)))], phases, random)
            meshes = {part.name for part in parts}
            if is_allowed(meshes, banned):
                pack.add(name, parts)
    pack.save(options.out)
    options.out.with_suffix(".json").write_text(
        usage_json((str(clip["actor"]), bool(clip["validation"])) for clip in pack.clips)
    )
    print(f"{len(pack.clips)} clips, {len(pack.meshes)} meshes, {len(pack.textures)} textures")


if __name__ == "__main__":
    main(sys.argv[1:])
