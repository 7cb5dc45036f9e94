"""Splat files: PLY, PlayCanvas' compressed PLY and SOG, Niantic's SPZ, and splats in a GLB."""

from __future__ import annotations

from ar4d.formats.splats.export import FrameOptions, SplatOptions, SpzOptions, export_splats
from ar4d.formats.splats.stored import StoredGaussians, stored_gaussians, z_order

__all__ = [
    "FrameOptions",
    "SplatOptions",
    "SpzOptions",
    "StoredGaussians",
    "export_splats",
    "stored_gaussians",
    "z_order",
]
