"""Draws posed meshes on the CPU: colour with straight alpha, depth and normals.

The kernels use float64 without fast maths, in one order of operations, so that the same meshes give the same
bits on every machine and for any number of threads. Both sides of a triangle are drawn. Surfaces have to lie
in front of the camera; triangles that reach behind NEAR are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ar4d.cameras import Cameras
from ar4d.kernels.jit import SETTINGS, cache_folder
from ar4d.scenes.lighting import AMBIENT, DIFFUSE, LIGHT, SKY, TEAM_COLOUR
from ar4d.scenes.mesh import CUTOUT_THRESHOLD, AlphaMode, ByteArray, Clip, welded

NEAR = 0.02
SAMPLES = 4
"""Samples of a pixel along each side; colours are averaged over their square."""
_LIGHT = tuple(float(x) for x in np.round(np.array(LIGHT) / np.sqrt(np.square(LIGHT).sum()), 12))
_CUTOUT, _TEAM = int(AlphaMode.CUTOUT), int(AlphaMode.TEAM_COLOUR)
_HOLE = int(np.ceil(CUTOUT_THRESHOLD * 255))


@dataclass(frozen=True)
class Picture:
    """What one camera sees of one frame, S×S pixels."""

    rgba: ByteArray
    """[S, S, 4], straight alpha; colour is 0 where alpha is."""
    depth: NDArray[np.float64]
    """[S, S] camera-space z of the surface under each pixel's centre; 0 beside the object."""
    normals: NDArray[np.float64]
    """[S, S, 3] unit normals there in the world, turned towards the camera; 0 beside the object."""


def _exact(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a kernel without fast maths: no fused or reordered operations."""
    before = SETTINGS["CACHE_DIR"]
    SETTINGS["CACHE_DIR"] = cache_folder(Path(__file__).parent)
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        SETTINGS["CACHE_DIR"] = before


class Scene:
    """A clip's meshes as one, ready to be drawn in any frame."""

    def __init__(self, clip: Clip) -> None:
        """Join the parts of a clip, which is already placed in the world."""
        counts = np.cumsum([0, *(len(part.uvs) for part in clip.parts)])
        groups, corners, first = [], [], 0
        for part, start in zip(clip.parts, counts, strict=False):
            own, kept = welded(part.vertices[0], part.faces)
            groups.append(own + first)
            corners.append(kept + start)
            first += int(own.max()) + 1
        self.vertices = np.concatenate([part.vertices for part in clip.parts], axis=1).astype(np.float64)
        """[F, V, 3]."""
        pairs = zip(clip.parts, counts, strict=False)
        self.faces = np.concatenate([part.faces + start for part, start in pairs]).astype(np.int64)
        """[T, 3]."""
        self.part_of = np.repeat(np.arange(len(clip.parts)), [len(part.faces) for part in clip.parts])
        """[T]."""
        self._uvs = np.concatenate([part.uvs for part in clip.parts]).astype(np.float64)
        self._groups, self._welded = np.concatenate(groups), np.concatenate(corners)
        images = [_texels(part.texture) for part in clip.parts]
        starts = np.cumsum([0, *(image.shape[0] * image.shape[1] for image in images)])[:-1]
        self._looks = np.array(
            [
                (start, *image.shape[:2], int(_mode(part.alpha_mode, part.texture)), int(part.flat))
                for start, image, part in zip(starts, images, clip.parts, strict=True)
            ]
        )
        self._texels = np.concatenate([image.reshape(-1, 4) for image in images])
        self._colours = np.array([part.colour for part in clip.parts], dtype=np.float64)

    def draw(self, frame: int, camera: Cameras) -> Picture:
        """Draw a frame as a camera (of length 1, as wide as high) sees it."""
        vertices, size = self.vertices[frame], camera.width
        normals, sides = np.zeros_like(vertices), np.empty((len(self.faces), 3))
        _vertex_normals(vertices, self._welded, self._groups, normals)
        _face_normals(vertices, self.faces, sides)
        viewmat, K = camera.viewmats[0].numpy().astype(np.float64), camera.Ks[0].numpy().astype(np.float64)
        projected = np.empty_like(vertices)
        _project(vertices, viewmat, K, projected)
        mesh = (self.faces, self.part_of, self._uvs, self._looks, self._texels)
        fine = size * SAMPLES
        nearest, owners = np.zeros((fine, fine)), np.full((fine, fine), -1, np.int32)
        _find_nearest(projected, float(SAMPLES), *mesh, nearest, owners)
        rgba = np.zeros((size, size, 4), np.uint8)
        eye = -viewmat[:3, :3].T @ viewmat[:3, 3]
        light = np.array([*_LIGHT, AMBIENT, DIFFUSE, SKY, *TEAM_COLOUR])
        _shade(vertices, projected, normals, sides, eye, light, self._colours, *mesh, owners, rgba)
        nearest, owners = np.zeros((size, size)), np.full((size, size), -1, np.int32)
        _find_nearest(projected, 1.0, *mesh, nearest, owners)
        depth, seen = np.zeros((size, size)), np.zeros((size, size, 3))
        _geometry(vertices, projected, normals, sides, eye, *mesh[:2], self._looks, owners, depth, seen)
        return Picture(rgba, depth, seen)


def _texels(texture: ByteArray | None) -> ByteArray:
    return np.full((1, 1, 4), 255, np.uint8) if texture is None else texture


def _mode(mode: AlphaMode, texture: ByteArray | None) -> AlphaMode:
    return AlphaMode.OPAQUE if texture is None else mode


@_exact
def _face_normal(vertices, a, b, c):
    """The cross product of two sides."""
    px, py, pz = (
        vertices[b, 0] - vertices[a, 0],
        vertices[b, 1] - vertices[a, 1],
        vertices[b, 2] - vertices[a, 2],
    )
    qx, qy, qz = (
        vertices[c, 0] - vertices[a, 0],
        vertices[c, 1] - vertices[a, 1],
        vertices[c, 2] - vertices[a, 2],
    )
    return py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx


@_exact
def _face_normals(vertices, faces, out):
    """The normals [T, 3] of all triangles, not normalised."""
    for t in range(faces.shape[0]):
        a, b, c = faces[t]
        out[t, 0], out[t, 1], out[t, 2] = _face_normal(vertices, a, b, c)


@_exact
def _vertex_normals(vertices, faces, groups, out):
    """Area-weighted normals [V, 3]; welded vertices share one."""
    total = np.zeros((groups.max() + 1, 3))
    for t in range(faces.shape[0]):
        a, b, c = faces[t]
        n = _face_normal(vertices, a, b, c)
        for v in (a, b, c):
            for k in range(3):
                total[groups[v], k] += n[k]
    for v in range(vertices.shape[0]):
        n = total[groups[v]]
        length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
        for k in range(3):
            out[v, k] = n[k] / max(length, 1e-30)


@_exact
def _project(vertices, viewmat, K, out):
    """Pixels x and y, and 1/z, or 0 for a vertex that is too near or behind the camera."""
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v]
        cx = viewmat[0, 0] * x + viewmat[0, 1] * y + viewmat[0, 2] * z + viewmat[0, 3]
        cy = viewmat[1, 0] * x + viewmat[1, 1] * y + viewmat[1, 2] * z + viewmat[1, 3]
        cz = viewmat[2, 0] * x + viewmat[2, 1] * y + viewmat[2, 2] * z + viewmat[2, 3]
        if cz < NEAR:
            out[v, 2] = 0.0
        else:
            out[v, 0] = K[0, 0] * (cx / cz) + K[0, 2]
            out[v, 1] = K[1, 1] * (cy / cz) + K[1, 2]
            out[v, 2] = 1.0 / cz


@_exact
def _weights(projected, a, b, c, scale, x, y):
    """The barycentric coordinates of the sample (x, y), each times the triangle's area, and that area."""
    ax, ay = projected[a, 0] * scale, projected[a, 1] * scale
    bx, by = projected[b, 0] * scale, projected[b, 1] * scale
    cx, cy = projected[c, 0] * scale, projected[c, 1] * scale
    wa = (bx - x) * (cy - y) - (cx - x) * (by - y)
    wb = (cx - x) * (ay - y) - (ax - x) * (cy - y)
    wc = (ax - x) * (by - y) - (bx - x) * (ay - y)
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    return wa, wb, wc, area


@_exact
def _in_space(projected, a, b, c, wa, wb, wc, area):
    """The barycentric coordinates on the triangle itself, and 1/z there."""
    wa, wb, wc = wa / area * projected[a, 2], wb / area * projected[b, 2], wc / area * projected[c, 2]
    inverse = wa + wb + wc
    return wa / inverse, wb / inverse, wc / inverse, inverse


@_exact
def _find_nearest(projected, scale, faces, part_of, uvs, looks, texels, nearest, owners):
    """For each sample the largest 1/z and the triangle that has it; holes in textures do not count."""
    size = nearest.shape[0]
    for t in range(faces.shape[0]):
        a, b, c = faces[t]
        if min(projected[a, 2], projected[b, 2], projected[c, 2]) <= 0.0:
            continue
        xs = (projected[a, 0] * scale, projected[b, 0] * scale, projected[c, 0] * scale)
        ys = (projected[a, 1] * scale, projected[b, 1] * scale, projected[c, 1] * scale)
        x0, x1 = max(int(np.ceil(min(xs) - 0.5)), 0), min(int(np.floor(max(xs) - 0.5)), size - 1)
        y0, y1 = max(int(np.ceil(min(ys) - 0.5)), 0), min(int(np.floor(max(ys) - 0.5)), size - 1)
        look = looks[part_of[t]]
        for row in range(y0, y1 + 1):
            for column in range(x0, x1 + 1):
                wa, wb, wc, area = _weights(projected, a, b, c, scale, column + 0.5, row + 0.5)
                if area < 0.0:
                    wa, wb, wc, area = -wa, -wb, -wc, -area
                if area <= 0.0 or wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                u, v, w, inverse = _in_space(projected, a, b, c, wa, wb, wc, area)
                if inverse <= nearest[row, column]:
                    continue
                if look[3] == _CUTOUT:
                    s = u * uvs[a, 0] + v * uvs[b, 0] + w * uvs[c, 0]
                    r = u * uvs[a, 1] + v * uvs[b, 1] + w * uvs[c, 1]
                    texel = look[0] + _wrapped(r, look[1]) * look[2] + _wrapped(s, look[2])
                    if texels[texel, 3] < _HOLE:
                        continue
                nearest[row, column], owners[row, column] = inverse, t


@_exact
def _wrapped(coordinate, count):
    """The texel at a texture coordinate; textures repeat."""
    return int(np.floor(coordinate * count)) % count


@_exact
def _normal_at(vertices, normals, face, eye, a, b, c, u, v, w, flat):
    """The unit normal at a point of a triangle, turned towards the camera."""
    nx, ny, nz = face[0], face[1], face[2]
    if not flat:
        nx = u * normals[a, 0] + v * normals[b, 0] + w * normals[c, 0]
        ny = u * normals[a, 1] + v * normals[b, 1] + w * normals[c, 1]
        nz = u * normals[a, 2] + v * normals[b, 2] + w * normals[c, 2]
    length = max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-30)
    side = (
        face[0] * (eye[0] - vertices[a, 0])
        + face[1] * (eye[1] - vertices[a, 1])
        + face[2] * (eye[2] - vertices[a, 2])
    )
    # The face decides which way is out; a smoothed normal may lean away from the camera at the outline.
    agrees = face[0] * nx + face[1] * ny + face[2] * nz >= 0.0
    length = length if (side >= 0.0) == agrees else -length
    return nx / length, ny / length, nz / length


@_exact
def _between(texels, corners, fx, fy, k):
    """A channel between four texels, in [0, 255]."""
    above = texels[corners[0], k] * (1 - fx) + texels[corners[1], k] * fx
    below = texels[corners[2], k] * (1 - fx) + texels[corners[3], k] * fx
    return above * (1 - fy) + below * fy


@_exact
def _bilinear(texels, look, s, r):
    """The texture's red, green, blue and alpha, each in [0, 1]."""
    x, y = s * look[2] - 0.5, r * look[1] - 0.5
    x0, y0 = np.floor(x), np.floor(y)
    left, right = int(x0) % look[2], (int(x0) + 1) % look[2]
    top, bottom = look[0] + int(y0) % look[1] * look[2], look[0] + (int(y0) + 1) % look[1] * look[2]
    corners = (top + left, top + right, bottom + left, bottom + right)
    red = _between(texels, corners, x - x0, y - y0, 0) / 255.0
    green = _between(texels, corners, x - x0, y - y0, 1) / 255.0
    blue = _between(texels, corners, x - x0, y - y0, 2) / 255.0
    return red, green, blue, _between(texels, corners, x - x0, y - y0, 3) / 255.0


@_exact
def _lit(texel, factor, light, look, i, n):
    """A colour channel under the light, in [0, 1]; see `ar4d.scenes.lighting`."""
    towards = max(n[0] * light[0] + n[1] * light[1] + n[2] * light[2], 0.0)
    shade = light[3] + light[4] * towards + light[5] * n[1]
    colour = texel[i]
    if look[3] == _TEAM:
        colour = light[6 + i] + (colour - light[6 + i]) * texel[3]
    return min(max(colour * factor[i] * shade, 0.0), 1.0)


@_exact
def _shade(
    vertices, projected, normals, sides, eye, light, colours, faces, part_of, uvs, looks, texels, owners, rgba
):
    """Averages the samples of each pixel."""
    size = rgba.shape[0]
    for row in range(size):
        for column in range(size):
            red, green, blue, covered = 0.0, 0.0, 0.0, 0
            for k in range(SAMPLES * SAMPLES):
                y, x = row * SAMPLES + k // SAMPLES, column * SAMPLES + k % SAMPLES
                t = owners[y, x]
                if t < 0:
                    continue
                covered += 1
                a, b, c = faces[t]
                wa, wb, wc, area = _weights(projected, a, b, c, float(SAMPLES), x + 0.5, y + 0.5)
                u, v, w, _ = _in_space(projected, a, b, c, wa, wb, wc, area)
                part = part_of[t]
                look = looks[part]
                n = _normal_at(vertices, normals, sides[t], eye, a, b, c, u, v, w, look[4])
                s = u * uvs[a, 0] + v * uvs[b, 0] + w * uvs[c, 0]
                r = u * uvs[a, 1] + v * uvs[b, 1] + w * uvs[c, 1]
                texel = _bilinear(texels, look, s, r)
                red += _lit(texel, colours[part], light, look, 0, n)
                green += _lit(texel, colours[part], light, look, 1, n)
                blue += _lit(texel, colours[part], light, look, 2, n)
            if covered:
                rgba[row, column, 0] = int(np.floor(red / covered * 255.0 + 0.5))
                rgba[row, column, 1] = int(np.floor(green / covered * 255.0 + 0.5))
                rgba[row, column, 2] = int(np.floor(blue / covered * 255.0 + 0.5))
                rgba[row, column, 3] = int(np.floor(covered / (SAMPLES * SAMPLES) * 255.0 + 0.5))


@_exact
def _geometry(vertices, projected, normals, sides, eye, faces, part_of, looks, owners, depth, seen):
    """Depth and normals under the pixels' centres."""
    size = owners.shape[0]
    for row in range(size):
        for column in range(size):
            t = owners[row, column]
            if t < 0:
                continue
            a, b, c = faces[t]
            wa, wb, wc, area = _weights(projected, a, b, c, 1.0, column + 0.5, row + 0.5)
            u, v, w, inverse = _in_space(projected, a, b, c, wa, wb, wc, area)
            depth[row, column] = 1.0 / inverse
            flat = looks[part_of[t], 4]
            n = _normal_at(vertices, normals, sides[t], eye, a, b, c, u, v, w, flat)
            seen[row, column, 0], seen[row, column, 1], seen[row, column, 2] = n
