"""Splats in a GLB: the extension KHR_gaussian_splatting of glTF 2.0."""

from __future__ import annotations

import numpy as np

from ar4d.formats import gltf
from ar4d.formats.splats.packing import to_bytes
from ar4d.formats.splats.stored import StoredGaussians

EXTENSION = "KHR_gaussian_splatting"


def encode_splat_glb(stored: StoredGaussians) -> bytes:
    """A GLB of one point primitive with the extension's attributes.

    Rotations are xyzw, scales linear, opacities after the sigmoid. The colours of the points themselves, for
    programs that do not know the extension, are linear light.
    """
    buffer = gltf.Buffer()
    points = np.column_stack([gltf.to_linear(stored.colors.clip(0, 1)), stored.opacities])
    attributes = {
        "POSITION": buffer.add_points(stored.means.astype("<f4")),
        "COLOR_0": buffer.add_vertices(to_bytes(points * 255), "VEC4", normalized=True),
        f"{EXTENSION}:ROTATION": buffer.add_vertices(np.roll(stored.quats, -1, 1).astype("<f4"), "VEC4"),
        f"{EXTENSION}:SCALE": buffer.add_vertices(np.exp(stored.log_scales).astype("<f4"), "VEC3"),
        f"{EXTENSION}:OPACITY": buffer.add_vertices(stored.opacities.astype("<f4"), "SCALAR"),
        f"{EXTENSION}:SH_DEGREE_0_COEF_0": buffer.add_vertices(stored.f_dc.astype("<f4"), "VEC3"),
    }
    primitive = {
        "mode": 0,
        "attributes": attributes,
        "extensions": {EXTENSION: {
            "kernel": "ellipse", "colorSpace": "srgb_rec709_display",
            "projection": "perspective", "sortingMethod": "cameraDistance",
        }},
    }  # fmt: skip
    document = {
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "asset", "mesh": 0}],
        "meshes": [{"name": "asset", "primitives": [primitive]}],
        "extensionsUsed": [EXTENSION],
    }
    return gltf.encode(document, buffer)
