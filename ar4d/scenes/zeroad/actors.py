"""Actors of the game 0 A.D. as animated meshes.

Reads the game's `public.zip`. An actor is an XML file with groups of variants. Together, the chosen variants
name a mesh, a texture, animations and props (other actors attached to points of the mesh).
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ar4d.scenes.mesh import AlphaMode, ByteArray, Clip, FloatArray, Part
from ar4d.scenes.zeroad.formats import (
    NO_BONE,
    SkeletalAnimation,
    SkinnedMesh,
    parse_pmd,
    parse_psa,
)

REST = "idle"
"""Animation to use for actors without any; they stay in their rest pose."""
_HIDDEN_PROPS = ("garrisoned", "projectile", "loaded-")
_MAX_PROP_DEPTH = 4
_MIRROR = np.array([1.0, 1.0, -1.0])
"""Left-handed to right-handed space."""


@dataclass
class Actor:
    """An actor's mesh, texture, animations and props, as the chosen variants name them."""

    mesh: str | None = None
    texture: str | None = None
    material: str = ""
    animations: dict[str, list[str]] = field(default_factory=dict)
    props: dict[str, str | None] = field(default_factory=dict)

    def alpha_mode(self) -> AlphaMode:
        """How the material uses the alpha channel of the texture."""
        if "player" in self.material:
            return AlphaMode.TEAM_COLOUR
        if "trans" in self.material and "no_trans" not in self.material:
            return AlphaMode.CUTOUT
        return AlphaMode.OPAQUE


class Archive:
    """Case-insensitive access to the game's art in ``public.zip``."""

    def __init__(self, path: str | Path) -> None:
        """Open ``public.zip``."""
        self._zip = zipfile.ZipFile(path)
        self._names = {name.lower(): name for name in self._zip.namelist()}
        self._textures: dict[str, ByteArray | None] = {}

    def actor_names(self) -> list[str]:
        """Names of all actor files, without folder and suffix."""
        prefix, suffix = "art/actors/", ".xml"
        return sorted(
            name[len(prefix) : -len(suffix)]
            for name in self._names.values()
            if name.startswith(prefix) and name.endswith(suffix)
        )

    def xml(self, path: str) -> ElementTree.Element | None:
        """Root element of an XML file, or None when there is no such file."""
        data = self._read(path)
        return None if data is None else ElementTree.fromstring(data)

    def mesh(self, name: str) -> SkinnedMesh | None:
        """A mesh by the name that actor files use."""
        data = self._first("art/meshes/" + _stem(name, "dae|pmd"), (".dae.cached.pmd", ".pmd"))
        return None if data is None else parse_pmd(data)

    def animation(self, name: str) -> SkeletalAnimation | None:
        """A skeletal animation by the name that actor files use."""
        data = self._first("art/animation/" + _stem(name, "dae|psa"), (".dae.cached.psa", ".psa"))
        return None if data is None else parse_psa(data)

    def texture(self, name: str) -> ByteArray | None:
        """RGBA texels by the name that actor files use."""
        if name not in self._textures:
            data = self._first(
                "art/textures/skins/" + _stem(name, "dds|png|tga"),
                (".png.cached.dds", ".dds.cached.dds", ".tga.cached.dds", ".dds", ".png"),
            )
            self._textures[name] = (
                None if data is None else np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
            )
        return self._textures[name]

    def actor(self, name: str, random: np.random.Generator | None = None) -> Actor | None:
        """Resolve the variants of an actor.

        Args:
            name: of the actor file.
            random: chooses among the variants that the game itself chooses by chance; without it, the first
                variant of each group is taken.

        Returns:
            The actor, or None if there is no such file.
        """
        root = self.xml(f"art/actors/{name}.xml")
        if root is None:
            return None
        if root.tag == "qualitylevels":
            best = list(root.iter("actor"))[-1]
            file, inline = best.get("file"), root.find("inline")
            if file:
                return self.actor(_stem(file, "xml"), random)
            root = best if inline is None else inline
        actor = Actor(material=root.findtext("material") or "")
        for group in root.findall("group"):
            variant = _choose(group.findall("variant"), random)
            if variant is not None:
                self._apply(variant, actor)
        return actor

    def _apply(self, variant: ElementTree.Element, actor: Actor) -> None:
        parent = variant.get("file")
        if parent:
            base = self.xml("art/variants/" + parent)
            if base is not None:
                self._apply(base, actor)
        mesh = variant.findtext("mesh")
        if mesh:
            actor.mesh = mesh.strip()
        for texture in variant.iter("texture"):
            if texture.get("name") == "baseTex":
                actor.texture = texture.get("file")
        for animation in variant.iter("animation"):
            file = animation.get("file")
            if file:
                key = (animation.get("name") or "").lower()
                actor.animations.setdefault(key, []).append(file)
        for prop in variant.iter("prop"):
            actor.props[prop.get("attachpoint") or ""] = prop.get("actor") or None

    def _read(self, path: str) -> bytes | None:
        name = self._names.get(path.lower())
        return None if name is None else self._zip.read(name)

    def _first(self, stem: str, suffixes: tuple[str, ...]) -> bytes | None:
        for suffix in suffixes:
            data = self._read(stem + suffix)
            if data is not None:
                return data
        return None


def animated_actors(archive: Archive, prefix: str = "") -> dict[str, list[str]]:
    """Names of the actors with a skinned mesh, and of their animations."""
    found: dict[str, list[str]] = {}
    skinned: dict[str, bool] = {}
    for name in archive.actor_names():
        if not name.startswith(prefix):
            continue
        actor = archive.actor(name)
        if actor is None or actor.mesh is None or not actor.animations:
            continue
        if actor.mesh not in skinned:
            mesh = archive.mesh(actor.mesh)
            skinned[actor.mesh] = mesh is not None and len(mesh.bind) > 0
        if skinned[actor.mesh]:
            found[name] = sorted(actor.animations)
    return found


@dataclass(frozen=True)
class SkinnedPart:
    """A mesh with a single texture, and the movement of its bones."""

    name: str
    mesh: SkinnedMesh
    matrices: NDArray[np.float64]
    """Transforms [frames, bones + 1, 3, 4] from the vertices' rest positions to the posed object; the last
    is for vertices without a bone."""
    texture: ByteArray | None
    alpha_mode: AlphaMode

    @property
    def uvs(self) -> FloatArray:
        """Texture coordinates [vertices, 2] with their origin at the texture's first row."""
        return self.mesh.uvs * np.array([1, -1], np.float32) + np.array([0, 1], np.float32)

    def bound(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The bones of each vertex and their weights, [vertices, 4] each."""
        count = self.matrices.shape[1] - 1
        used = self.mesh.bones < count
        weights = self.mesh.weights / np.maximum(self.mesh.weights.sum(1, keepdims=True), 1e-9)
        bones, weights = np.where(used, self.mesh.bones, 0), np.where(used, weights, 0.0)
        loose = weights.sum(1) < 0.5
        bones[loose, 0], weights[loose] = count, (1.0, 0, 0, 0)
        return bones, weights

    def posed(self) -> Part:
        """The part in all frames, by linear blend skinning."""
        bones, weights = self.bound()
        homogeneous = np.concatenate([self.mesh.positions, np.ones((len(self.mesh.positions), 1))], axis=1)
        vertices = np.zeros((len(self.matrices), len(homogeneous), 3))
        for slot in range(bones.shape[1]):
            moved = np.einsum("fnij,nj->fni", self.matrices[:, bones[:, slot]], homogeneous)
            vertices += weights[:, slot, None] * moved
        return Part(
            vertices.astype(np.float32), self.mesh.faces, self.uvs, self.texture, self.alpha_mode, self.name
        )


def load_clip(
    archive: Archive, name: str, animation: str, frames: int, random: np.random.Generator | None = None
) -> Clip:
    """Pose an actor and its props over one cycle of an animation."""
    phases = np.arange(frames) / frames
    return Clip(tuple(part.posed() for part in load_skinned(archive, name, animation, phases, random)))


def load_skinned(
    archive: Archive,
    name: str,
    animation: str,
    phases: NDArray[np.float64],
    random: np.random.Generator | None = None,
) -> list[SkinnedPart]:
    """Load an actor and its props at phases of an animation's cycle, each in [0, 1).

    Props without that animation use `idle`, or else keep their rest pose.
    """
    builder = _Builder(archive, animation, phases, random)
    builder.add(name, np.tile(np.eye(4), (len(phases), 1, 1)), depth=0)
    return [part for part in builder.parts if len(part.mesh.faces)]


class _Builder:
    """Collects the parts of an actor and, recursively, of its props."""

    def __init__(
        self,
        archive: Archive,
        animation: str,
        phases: NDArray[np.float64],
        random: np.random.Generator | None,
    ) -> None:
        self.parts: list[SkinnedPart] = []
        self._archive = archive
        self._animation = animation
        self._phases = phases
        self._random = random

    def add(self, name: str, placement: NDArray[np.float64], depth: int) -> None:
        """Add an actor at a per-frame placement [frames, 4, 4]."""
        actor = self._archive.actor(name, self._random)
        mesh = self._archive.mesh(actor.mesh) if actor is not None and actor.mesh is not None else None
        if actor is None or actor.mesh is None or mesh is None:
            return
        pose = self._pose(actor, mesh, is_root=depth == 0)
        moves = np.concatenate([placement[:, None] @ pose @ np.linalg.inv(mesh.bind), placement[:, None]], 1)
        self.parts.append(
            SkinnedPart(
                name=actor.mesh,
                mesh=mesh,
                matrices=_MIRROR[:, None] * moves[:, :, :3],
                texture=(self._archive.texture(actor.texture) if actor.texture else None),
                alpha_mode=actor.alpha_mode(),
            )
        )
        if depth < _MAX_PROP_DEPTH:
            self._add_props(actor, mesh, pose, placement, depth)

    def _add_props(
        self,
        actor: Actor,
        mesh: SkinnedMesh,
        pose: NDArray[np.float64],
        placement: NDArray[np.float64],
        depth: int,
    ) -> None:
        for point, prop in actor.props.items():
            if not prop or point.startswith(_HIDDEN_PROPS):
                continue
            if point == "root":
                at = placement
            elif point in mesh.prop_points:
                place = mesh.prop_points[point]
                on_bone = place.bone != NO_BONE and place.bone < pose.shape[1]
                bone = pose[:, place.bone] if on_bone else np.eye(4)
                at = placement @ bone @ place.matrix
            else:
                continue
            self.add(_stem(prop, "xml"), at, depth + 1)

    def _pose(self, actor: Actor, mesh: SkinnedMesh, is_root: bool) -> NDArray[np.float64]:
        """Bone-to-object transforms, [frames, bones, 4, 4]."""
        bone_count = len(mesh.bind)
        names = [self._animation] if is_root else [self._animation, "idle"]
        for name in names:
            for file in actor.animations.get(name, [])[:1]:
                animation = self._archive.animation(file)
                if animation is None or animation.keys.shape[1] < bone_count:
                    continue
                return np.stack([animation.sample(p)[:bone_count] for p in self._phases])
        return np.tile(mesh.bind, (len(self._phases), 1, 1, 1))


def _choose(
    variants: list[ElementTree.Element], random: np.random.Generator | None
) -> ElementTree.Element | None:
    usual = [v for v in variants if float(v.get("frequency") or 0) > 0] or variants[:1]
    if not usual:
        return None
    return usual[0 if random is None else int(random.integers(len(usual)))]


def _stem(name: str, suffixes: str) -> str:
    return re.sub(rf"\.({suffixes})$", "", name)
