"""Renders actors of the game 0 A.D. into a training set.

    python -m train.data.render_actors --data public.zip --out DIR

A sample shows two neighbouring poses of an animation in the four orthogonal views. Files `rgba_NNN.npy`
[N, 2, 4, S, S, 4] uint8 have straight alpha, files `depth_NNN.npy` [N, 2, 4, S, S] uint16 the depths in
multiples of DEPTH_UNIT, 0 outside the object. Files `test_NNN.npy` [N, 4, S, S, 4] show the first pose at
TEST_AZIMUTHS_DEG, for validation samples only. `samples.json` describes each sample. train/README.md names
the data's source and licence.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, orbit
from ar4d.experts.embedded.symmetry import upright_plane
from ar4d.scenes.mesh import Clip
from ar4d.scenes.zeroad.actors import REST, Archive, load_clip
from train.data.framing import FILL_RANGE, frame_object
from train.data.lighting import DEFAULT_LIGHT_PROB
from train.data.samples import DEPTH_UNIT, TEST_AZIMUTHS_DEG
from train.data.shards import ShardWriter
from train.data.warp import warp_clip
from train.data.zeroad.choice import VALIDATION, choose_actors, is_allowed, reserved_meshes, usage_json
from train.data.zeroad.render import Renderer

PER_CLIP = 4
"""Samples of an actor in the same clothes, animation and build."""
FRAMES = 16
"""Frames of a cycle of an animation."""


@dataclass(frozen=True)
class Options:
    """Render a training set from the actors of 0 A.D."""

    data: Path
    """The game's public.zip."""
    out: Path
    """Folder for the arrays."""
    samples: int = 4000
    """About how many samples to render."""
    size: int = 128
    """Width and height of the views."""
    seed: int = 0
    limit: int | None = None
    """Largest number of actors; all by default."""


@dataclass(frozen=True)
class RenderContext:
    """What the rendering of any actor needs."""

    archive: Archive
    renderer: Renderer
    banned: frozenset[str]
    """Meshes that no sample may show."""
    random: np.random.Generator
    size: int


@dataclass(frozen=True)
class Shot:
    """Description of a sample."""

    actor: str
    animation: str
    frame: int
    yaw_deg: float
    validation: bool
    plane: tuple[float, float, float, float] | None = None
    """The plane of symmetry (see `ar4d.experts.embedded.symmetry`): all models are built symmetric."""


def main(argv: Sequence[str]) -> None:
    """Render all samples and write the arrays and the lists."""
    options = tyro.cli(Options, prog="python -m train.data.render_actors", args=argv)
    archive = Archive(options.data)
    chosen = choose_actors(archive)
    names = list(chosen)[: options.limit]
    total = sum(chosen[name] for name in names)
    random = np.random.default_rng(options.seed)
    renderer = Renderer(options.size)
    options.out.mkdir(parents=True, exist_ok=True)
    banned = reserved_meshes(archive)
    shots: list[Shot] = []
    writer = ShardWriter(options.out)
    context = RenderContext(archive, renderer, banned, random, options.size)
    started = time.perf_counter()
    for number, name in enumerate(names):
        count = max(2, round(options.samples * chosen[name] / total))
        for shot, views, depths, extra in render_actor(context, name, count):
            shots.append(shot)
            writer.add(views, depths, extra)
        if number % 10 == 0:
            print(
                f"{number}/{len(names)} {name}: {len(shots)} samples, {time.perf_counter() - started:.0f} s",
                flush=True,
            )
    writer.flush()
    (options.out / "samples.json").write_text(json.dumps([vars(shot) for shot in shots]))
    (options.out / "actors.json").write_text(usage_json((shot.actor, shot.validation) for shot in shots))


def render_actor(
    context: RenderContext, name: str, count: int
) -> Iterator[tuple[Shot, NDArray[np.uint8], NDArray[np.uint16], NDArray[np.uint8]]]:
    """Render samples of one actor; every PER_CLIP of them in other clothes and another animation."""
    archive, random = context.archive, context.random
    for start in range(0, count, PER_CLIP):
        dressed = archive.actor(name)
        assert dressed is not None
        moves = sorted(dressed.animations) or [REST]
        animation = moves[int(random.integers(len(moves)))]
        clip = load_clip(archive, name, animation, FRAMES, random)
        meshes = {part.name for part in clip.parts}
        if not is_allowed(meshes, context.banned):
            continue
        validation = bool(meshes & set(VALIDATION))
        clip = clip if validation else warp_clip(clip, random)
        context.renderer.load(clip)
        for _ in range(min(PER_CLIP, count - start)):
            yaw = float(random.uniform(0, 360))
            yield render_shot(
                context, clip, Shot(name, animation, int(random.integers(FRAMES)), yaw, validation)
            )


def render_shot(
    context: RenderContext, clip: Clip, shot: Shot
) -> tuple[Shot, NDArray[np.uint8], NDArray[np.uint16], NDArray[np.uint8]]:
    """Render one sample.

    Returns:
        The shot with its plane, and its entries in the rgba, depth and test files.
    """
    renderer, random, size = context.renderer, context.random, context.size
    angle = math.radians(shot.yaw_deg)
    turn = np.array(
        [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    )
    frames = [shot.frame, (shot.frame + 1) % FRAMES]
    points = np.concatenate([p for f in frames for p in clip.points(f)]) @ turn.T
    scale, centre = frame_object(points, float(random.uniform(*FILL_RANGE)))
    centre = centre + random.normal(0, 0.02, 3) / scale
    normal = np.array([math.cos(angle), 0, -math.sin(angle)])
    plane = upright_plane(shot.yaw_deg, -scale * float(centre @ normal))
    if random.random() < DEFAULT_LIGHT_PROB:
        renderer.light()
    else:
        around = random.uniform(-math.pi, math.pi)
        renderer.light(
            (math.sin(around), float(random.uniform(0.2, 1.5)), math.cos(around)),
            ambient=float(random.uniform(0.5, 0.9)),
            diffuse=float(random.uniform(0, 0.6)),
            tint=tuple(random.uniform(0.8, 1.1, 3).tolist()),
            team=tuple(random.uniform(0, 1, 3).tolist()),
        )
    views, depths = [], []
    extra = np.zeros((len(TEST_AZIMUTHS_DEG), size, size, 4), np.uint8)
    for k, frame in enumerate(frames):
        renderer.pose(frame, turn, scale, centre)
        rgba, depth = renderer.draw(orbit(ORTHOGONAL_AZIMUTHS_DEG, size=size))
        views.append(rgba)
        depths.append(np.round(depth / DEPTH_UNIT).astype(np.uint16))
        if shot.validation and k == 0:
            extra, _ = renderer.draw(orbit(TEST_AZIMUTHS_DEG, size=size))
    return replace(shot, plane=plane), np.stack(views), np.stack(depths), extra


if __name__ == "__main__":
    main(sys.argv[1:])
