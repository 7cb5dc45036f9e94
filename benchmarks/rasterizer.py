"""Times the CPU kernels against plain torch, in one run, on a bumpy ball of Gaussians.

    python -m benchmarks.rasterizer [--threads 2] [--seconds 8]

Prints a Markdown table of the median times of the forward and backward passes. The two versions take turns,
so that other load on the machine slows both.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from collections.abc import Callable

import numba
import numpy as np
import torch
from torch import Tensor

from ar4d.blending import blend, blend_torch
from ar4d.cameras import orbit
from ar4d.gaussians import Gaussians, rotation_matrices
from ar4d.losses import similarity_torch, ssim
from ar4d.rendering.cpu import rasterize
from ar4d.warmup import warm_up
from benchmarks import torch_tiles

Pass = Callable[[], tuple[float, float]]
"""Runs both passes and returns the seconds of the forward and of the backward pass."""


def main() -> None:
    """Time all pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="spent on each row")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warm_up()

    print(f"{_processor()}, {args.threads} threads; Python {platform.python_version()}, ", end="")
    print(f"torch {torch.__version__}, numba {numba.__version__}, numpy {np.__version__}  ")
    print(f"`python -m benchmarks.rasterizer --threads {args.threads} --seconds {args.seconds:g}`\n")
    print("| | ours: forward + backward | torch: forward + backward | ratio |")
    print("|---|---|---|---|")
    for num_gaussians, size in ((4096, 128), (16384, 256), (65536, 512)):
        name = f"rasteriser, {num_gaussians // 1024}k Gaussians, {size}²"
        _row(name, *_rasterizers(num_gaussians, size), args.seconds)
    _row("SSIM, 256²", *_ssims(256), args.seconds)
    _row("blend, 16k Gaussians, 512 nodes", *_blends(16384, 512), args.seconds)


def _row(name: str, ours: Pass, torchs: Pass, seconds: float) -> None:
    times: list[tuple[float, ...]] = []
    times.append((*ours(), *torchs()))
    times.clear()  # the first round allocates memory and fills caches
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        times.append((*ours(), *torchs()))
    a, b, c, d = np.median(times, axis=0) * 1e3
    ratio = np.median([(t[2] + t[3]) / (t[0] + t[1]) for t in times])
    print(f"| {name} | {a:.2f} + {b:.2f} ms | {c:.1f} + {d:.1f} ms | {ratio:.0f} |", flush=True)


def _timed(forward: Callable[[], tuple[Tensor, ...]], leaves: list[Tensor]) -> Pass:
    """A pass that times `forward` and its backward pass with gradients of ones for all outputs."""

    def run() -> tuple[float, float]:
        start = time.perf_counter()
        outputs = forward()
        middle = time.perf_counter()
        torch.autograd.backward(outputs, [torch.ones_like(x) for x in outputs])
        end = time.perf_counter()
        for leaf in leaves:
            leaf.grad = None
        return middle - start, end - middle

    return run


def _rasterizers(num_gaussians: int, size: int) -> tuple[Pass, Pass]:
    gaussians = bumpy_ball(num_gaussians).map(lambda x: x.requires_grad_())
    leaves = list(gaussians.state().values())
    cameras = orbit(17.0, 11.0, size=size)
    ours, theirs = rasterize(gaussians, cameras), torch_tiles.rasterize(gaussians, cameras)
    for a, b in zip(ours, theirs, strict=True):
        error = ((a - b).norm() / b.norm()).item()
        assert error < 1e-3, f"ours and torch's images differ by {error:.1e}"
    return (
        _timed(lambda: rasterize(gaussians, cameras), leaves),
        _timed(lambda: torch_tiles.rasterize(gaussians, cameras), leaves),
    )


def _ssims(size: int) -> tuple[Pass, Pass]:
    a, b = torch.rand(1, size, size, 3, requires_grad=True), torch.rand(1, size, size, 3)
    return _timed(lambda: (ssim(a, b),), [a]), _timed(lambda: (similarity_torch(a, b)[0],), [a])


def _blends(num_gaussians: int, num_nodes: int) -> tuple[Pass, Pass]:
    nodes = torch.randn(num_nodes, 3)
    turns = torch.nn.functional.normalize(torch.randn(num_nodes, 4), dim=-1).requires_grad_()
    moves, extras = (
        torch.randn(num_nodes, 3, requires_grad=True),
        torch.randn(num_nodes, 4, requires_grad=True),
    )
    indices = torch.randint(num_nodes, (num_gaussians, 4), dtype=torch.int32)
    weights = torch.rand(num_gaussians, 4)
    means, quats = (torch.randn(num_gaussians, n, requires_grad=True) for n in (3, 4))
    with torch.no_grad():
        rotations = rotation_matrices(turns)
        packed = torch.cat([rotations.flatten(1), nodes, turns, extras], 1)
    rotations.requires_grad_()
    packed.requires_grad_()
    leaves = [rotations, turns, moves, extras, packed, means, quats]
    return (
        _timed(lambda: blend(rotations, turns, moves, extras, nodes, indices, weights, means, quats), leaves),
        _timed(lambda: blend_torch(packed, indices, weights, means, quats), leaves),
    )


def bumpy_ball(num_gaussians: int, seed: int = 0, radius: float = 0.46) -> Gaussians:
    """Flat Gaussians on a closed, bumpy surface that covers 40 % of the image; 15 % of them lie inside it."""
    g = torch.Generator().manual_seed(seed)
    normals = torch.nn.functional.normalize(torch.randn(num_gaussians, 3, generator=g), dim=-1)
    bumps = 1 + 0.08 * torch.sin(5 * normals[:, 0]) * torch.cos(4 * normals[:, 1])
    inside = torch.rand(num_gaussians, generator=g) < 0.15
    depths = torch.where(inside, torch.rand(num_gaussians, generator=g) ** (1 / 3), 1.0)
    spacing = math.sqrt(4 * math.pi * radius**2 / num_gaussians)
    scales = 0.6 * spacing * torch.exp(0.35 * torch.randn(num_gaussians, 3, generator=g))
    scales[:, 2] *= 0.35
    w = 1 + normals[:, 2:]  # the shortest turn from z to the normal
    quats = torch.cat([w, -normals[:, 1:2], normals[:, :1], torch.zeros_like(w)], -1)
    return Gaussians(
        means=radius * (bumps * depths)[:, None] * normals,
        quats=torch.nn.functional.normalize(quats, dim=-1),
        scales=scales,
        opacities=torch.sigmoid(1 + 2 * torch.randn(num_gaussians, generator=g)),
        colors=0.5 + 0.5 * torch.sin(torch.tensor([3.0, 4.0, 5.0]) * normals),
    )


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
