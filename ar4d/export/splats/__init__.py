"""Splat files: PLY, PlayCanvas' compressed PLY and SOG, Niantic's SPZ, and splats in a GLB."""

from __future__ import annotations

from ar4d.export.splats.export import FrameOptions, SplatOptions, SpzOptions, export_splats
from ar4d.export.splats.stored import StoredGaussians, stored_gaussians, z_order

__all__ = [
    "FrameOptions",
    "SplatOptions",
    "SpzOptions",
    "StoredGaussians",
    "export_splats",
    "stored_gaussians",
    "z_order",
]
