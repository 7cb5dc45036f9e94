"""A texture for a surface: a UV map by xatlas, and at every texel the colour of the Gaussians there."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
from PIL import Image
from scipy import ndimage

from ar4d.errors import UserError
from ar4d.formats.mesh.motion import neighbors
from ar4d.formats.mesh.surface import Surface, color_source, colors_at
from ar4d.gaussians import Gaussians
from ar4d.kernels.jit import kernel

PADDING = 4  # texels between two charts
BATCH = 1 << 16  # texels that are coloured at a time


def textured(surface: Surface, gaussians: Gaussians, size: int) -> Surface:
    """The same surface with a texture instead of vertex colours.

    Vertices on the seams of the UV map are doubled. Texels between the charts take the colour of the nearest
    chart, so that filtering draws no seams.

    Args:
        gaussians: those that the surface was extracted from.
        size: width and height of the texture in pixels.

    Raises:
        UserError: the package xatlas is not installed.
    """
    origin, faces, uvs = _unwrapped(surface, size)
    vertices = surface.vertices[origin]
    places = np.full((size, size, 3), np.nan, np.float32)
    _draw(places, uvs * size, vertices, faces)
    covered = np.isfinite(places[..., 0])
    picture = np.zeros((size, size, 3), np.uint8)
    points, source = places[covered].astype(np.float64), color_source(gaussians)
    batches = [colors_at(points[k : k + BATCH], source) for k in range(0, len(points), BATCH)]
    picture[covered] = np.round(np.concatenate(batches) * 255)
    nearest = np.asarray(
        ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    )
    buffer = io.BytesIO()
    Image.fromarray(picture[tuple(nearest)]).save(buffer, "png")
    return replace(
        surface, vertices=vertices, faces=faces, colors=surface.colors[origin],
        uvs=uvs, texture_png=buffer.getvalue(),
    )  # fmt: skip


def _unwrapped(surface: Surface, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The old vertex of each new one [V], faces [T, 3], and texture coordinates [V, 2] in [0, 1], v down."""
    try:
        import xatlas
    except ImportError as error:
        raise UserError("A texture needs the package xatlas; install it: pip install ar4d[mesh]") from error
    atlas = xatlas.Atlas()
    atlas.add_mesh(surface.vertices, surface.faces.astype(np.uint32))
    charts, pack = xatlas.ChartOptions(), xatlas.PackOptions()
    pack.resolution, pack.padding, pack.bilinear = size, PADDING, True
    atlas.generate(charts, pack)
    origin, faces, uvs = atlas[0]
    origin, faces, uvs = origin.astype(np.int64), faces.astype(np.int32), uvs.astype(np.float32)
    return origin, faces, _without_gaps(surface.vertices[origin], faces, uvs)


def _without_gaps(vertices: np.ndarray, faces: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """The same texture coordinates, where xatlas leaves slivers in the corner: there those of a neighbour."""
    (ux, uy), (vx, vy) = (uvs[faces[:, 1]] - uvs[faces[:, 0]]).T, (uvs[faces[:, 2]] - uvs[faces[:, 0]]).T
    mapped = np.zeros(len(vertices), bool)
    mapped[faces[ux * vy != uy * vx]] = True
    _, nearest = neighbors(vertices[~mapped], vertices[mapped], 1)
    filled = uvs.copy()
    filled[~mapped] = uvs[mapped][nearest[:, 0]]
    return filled


@kernel
def _draw(places, uvs, vertices, faces):
    """Fills `places` [S, S, 3] with the surface point at the centre of each texel that a triangle covers.

    Triangles are drawn half a texel larger, so that texels cut by an outline have a value, too.
    """
    height, width = places.shape[0], places.shape[1]
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        ax, ay, bx, by, cx, cy = uvs[a, 0], uvs[a, 1], uvs[b, 0], uvs[b, 1], uvs[c, 0], uvs[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-12:
            continue
        # A barycentric coordinate is a distance from an edge, times that edge's length over the area.
        slack = 0.5 / abs(area)
        slack_a, slack_b, slack_c = (
            slack * math.hypot(cx - bx, cy - by),
            slack * math.hypot(cx - ax, cy - ay),
            slack * math.hypot(bx - ax, by - ay),
        )
        for y in range(max(int(min(ay, by, cy) - 1), 0), min(int(max(ay, by, cy) + 2), height)):
            for x in range(max(int(min(ax, bx, cx) - 1), 0), min(int(max(ax, bx, cx) + 2), width)):
                px, py = x + 0.5 - ax, y + 0.5 - ay
                v = (px * (cy - ay) - py * (cx - ax)) / area
                w = (py * (bx - ax) - px * (by - ay)) / area
                u = 1 - v - w
                if u < -slack_a or v < -slack_b or w < -slack_c:
                    continue
                if min(u, v, w) < 0 and places[y, x, 0] == places[y, x, 0]:  # not a NaN: it has a point
                    continue
                for k in range(3):
                    places[y, x, k] = u * vertices[a, k] + v * vertices[b, k] + w * vertices[c, k]
