"""Rendering in arrays that are kept: the same bits as `rasterize`, again and again."""

from __future__ import annotations

from dataclasses import replace

import torch

from ar4d.cameras import orbit
from ar4d.rendering import WHITE
from ar4d.rendering.cpu import rasterize
from ar4d.rendering.cpu.buffers import Renderer
from tests.support import reference


def test_a_renderer_gives_what_rasterize_gives() -> None:
    renderer = Renderer(300, 70)
    for seed, azimuth in ((1, 0.0), (2, 40.0), (1, 0.0)):
        gaussians, camera = reference.blob(300, seed=seed), orbit(azimuth, 10.0, size=70)
        expected = rasterize(gaussians, camera, WHITE)
        found = renderer.render(gaussians, camera)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_its_images_are_not_overwritten() -> None:
    renderer, camera = Renderer(300, 40), orbit(0.0, size=40)
    first = renderer.render(reference.blob(300, seed=1), camera)
    kept = [image.clone() for image in first]
    renderer.render(reference.blob(300, seed=2), camera)
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


def test_gaussians_that_need_more_room_get_it() -> None:
    gaussians = reference.blob(50, seed=3)
    large = replace(gaussians, scales=torch.full_like(gaussians.scales, 0.5))
    camera = orbit(0.0, size=150)  # 25 tiles
    found = Renderer(50, 150).render(large, camera)
    assert all(torch.equal(a, b) for a, b in zip(found, rasterize(large, camera, WHITE), strict=True))
