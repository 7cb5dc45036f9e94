"""Rasterisation of 3D Gaussians on the CPU, in Numba."""

from ar4d.rendering.cpu.function import rasterize
from ar4d.rendering.cpu.warmup import warm_up

__all__ = ["rasterize", "warm_up"]
