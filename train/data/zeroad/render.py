"""Offscreen OpenGL renderer (EGL, on a GPU or by Mesa's CPU driver) of posed objects.

Colour is drawn at twice its size with four samples per pixel and averaged premultiplied. Depth is the
camera-space z of the surface under each pixel's centre, 0 outside the object.
"""

from __future__ import annotations

from typing import Any

import moderngl  # pyright: ignore[reportMissingImports]  (train/requirements.txt)
import numpy as np
from numpy.typing import NDArray

from ar4d.cameras import Cameras
from ar4d.scenes.lighting import AMBIENT, DIFFUSE, LIGHT, TEAM_COLOUR
from ar4d.scenes.mesh import CUTOUT_THRESHOLD, AlphaMode, ByteArray, Clip, FloatArray, Part, welded

NEAR, FAR = 0.05, 20.0
SUPERSAMPLE = 2

_COLOUR_VERTEX = """
#version 330
uniform mat4 clip_from_world;
in vec3 position; in vec3 normal; in vec2 uv;
out vec3 v_normal; out vec2 v_uv;
void main() { gl_Position = clip_from_world * vec4(position, 1.0); v_normal = normal; v_uv = uv; }
"""

_COLOUR_FRAGMENT = """
#version 330
uniform sampler2D image; uniform sampler2D holes;
uniform bool textured; uniform int alpha_mode; uniform float threshold;
uniform vec3 team; uniform vec3 light; uniform vec3 tint; uniform vec2 shading;
in vec3 v_normal; in vec2 v_uv;
out vec4 result;
void main() {
    vec4 albedo = textured ? texture(image, v_uv) : vec4(1.0);
    if (alpha_mode == 1 && texture(holes, v_uv).r < threshold) discard;
    if (alpha_mode == 2) albedo.rgb = mix(team, albedo.rgb, albedo.a);
    vec3 n = v_normal / max(length(v_normal), 1e-6);
    if (!gl_FrontFacing) n = -n;
    float shade = shading.x + shading.y * max(dot(n, light), 0.0) + 0.08 * n.y;
    result = vec4(clamp(albedo.rgb * tint * shade, 0.0, 1.0), 1.0);
}
"""

_DEPTH_VERTEX = """
#version 330
uniform mat4 clip_from_world; uniform vec4 depth_row;
in vec3 position; in vec2 uv;
out vec2 v_uv; out float v_depth;
void main() {
    gl_Position = clip_from_world * vec4(position, 1.0);
    v_uv = uv; v_depth = dot(depth_row, vec4(position, 1.0));
}
"""

_DEPTH_FRAGMENT = """
#version 330
uniform sampler2D holes; uniform int alpha_mode; uniform float threshold;
in vec2 v_uv; in float v_depth;
out float result;
void main() {
    if (alpha_mode == 1 && texture(holes, v_uv).r < threshold) discard;
    result = v_depth;
}
"""


class _Drawable:
    """A part on the device, of which only positions and normals change between frames."""

    def __init__(self, context: moderngl.Context, programs: tuple[moderngl.Program, ...], part: Part) -> None:
        self.part = part
        self.groups, self.normal_faces = welded(part.vertices[0], part.faces)
        self.moving = context.buffer(reserve=len(part.uvs) * 24, dynamic=True)
        fixed = context.buffer(part.uvs.astype(np.float32).tobytes())
        indices = context.buffer(part.faces.astype(np.int32).tobytes())
        colour, depth = programs
        self.colour = context.vertex_array(
            colour, [(self.moving, "3f 3f", "position", "normal"), (fixed, "2f", "uv")], indices
        )
        self.depth = context.vertex_array(
            depth, [(self.moving, "3f 12x", "position"), (fixed, "2f", "uv")], indices
        )
        self.owned: list[Any] = [self.colour, self.depth, self.moving, fixed, indices]
        self.image = self.holes = None
        if part.texture is not None:
            height, width = part.texture.shape[:2]
            self.image = context.texture((width, height), 4, part.texture.tobytes())
            self.image.build_mipmaps()
            self.image.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
            self.owned.append(self.image)
            if part.alpha_mode == AlphaMode.CUTOUT:
                alpha = np.ascontiguousarray(part.texture[..., 3])
                self.holes = context.texture((width, height), 1, alpha.tobytes())
                self.owned.append(self.holes)

    @property
    def alpha_mode(self) -> int:
        """The shaders' value of the alpha mode."""
        if self.holes is not None:
            return 1
        return 2 if self.part.alpha_mode == AlphaMode.TEAM_COLOUR else 0

    def pose(self, vertices: FloatArray) -> None:
        """Set the positions [V, 3] and compute the normals."""
        data = np.concatenate([vertices, self._normals(vertices)], axis=1)
        self.moving.write(data.astype(np.float32).tobytes())

    def _normals(self, vertices: FloatArray) -> FloatArray:
        """Area-weighted vertex normals [V, 3]; welded vertices share one."""
        a, b, c = (vertices[self.normal_faces[:, k]] for k in range(3))
        face = np.cross(b - a, c - a)
        count = int(self.groups.max()) + 1
        corners = self.groups[self.normal_faces].T.reshape(-1)
        total = np.stack([np.bincount(corners, np.tile(face[:, k], 3), count) for k in range(3)], axis=1)
        normals = total[self.groups]
        return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)).astype(
            np.float32
        )

    def release(self) -> None:
        """Free the memory on the device."""
        for item in self.owned:
            item.release()


class Renderer:
    """Draws one clip at a time: `load` it, `pose` it, then `draw` it from any camera."""

    def __init__(self, size: int) -> None:
        context = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        self._context, self._size = context, size
        self._colour = context.program(_COLOUR_VERTEX, _COLOUR_FRAGMENT)
        self._depth = context.program(_DEPTH_VERTEX, _DEPTH_FRAGMENT)
        large, small = (size * SUPERSAMPLE, size * SUPERSAMPLE), (size, size)
        self._multisampled = context.framebuffer(
            [context.renderbuffer(large, 4, samples=4)], context.depth_renderbuffer(large, samples=4)
        )
        self._resolved = context.framebuffer([context.renderbuffer(large, 4)])
        self._depths = context.framebuffer(
            [context.renderbuffer(small, 1, dtype="f4")], context.depth_renderbuffer(small)
        )
        self._drawables: list[_Drawable] = []
        for program in (self._colour, self._depth):
            program["threshold"] = CUTOUT_THRESHOLD
            program["holes"] = 1
        self._colour["image"] = 0
        self.light()
        context.enable(moderngl.DEPTH_TEST)

    def light(
        self,
        direction: tuple[float, float, float] = LIGHT,
        ambient: float = AMBIENT,
        diffuse: float = DIFFUSE,
        tint: tuple[float, float, float] = (1.0, 1.0, 1.0),
        team: tuple[float, float, float] = TEAM_COLOUR,
    ) -> None:
        """Set the light, which is fixed in the world, a tint of all colours, and the team colour."""
        length = float(np.linalg.norm(direction))
        self._colour["light"] = tuple(x / length for x in direction)
        self._colour["shading"] = (ambient, diffuse)
        self._colour["tint"] = tint
        self._colour["team"] = team

    def load(self, clip: Clip) -> None:
        """Send a clip to the device and free the previous one."""
        for drawable in self._drawables:
            drawable.release()
        programs = (self._colour, self._depth)
        self._drawables = [_Drawable(self._context, programs, part) for part in clip.parts]

    def pose(self, frame: int, turn: NDArray[np.float64], scale: float, centre: NDArray[np.float64]) -> None:
        """Pose the clip in a frame, with its points x moved to scale · (turn x - centre)."""
        for drawable in self._drawables:
            points = scale * (drawable.part.vertices[frame] @ turn.T - centre)
            drawable.pose(points.astype(np.float32))

    def draw(self, cameras: Cameras) -> tuple[ByteArray, FloatArray]:
        """Draw colour with straight alpha [C, S, S, 4] and depth [C, S, S] in world units."""
        views = [self._draw(v, k) for v, k in zip(cameras.viewmats.numpy(), cameras.Ks.numpy(), strict=True)]
        return np.stack([rgba for rgba, _ in views]), np.stack([depth for _, depth in views])

    def _draw(self, viewmat: NDArray[Any], intrinsics: NDArray[Any]) -> tuple[ByteArray, FloatArray]:
        matrix = _projection(intrinsics, self._size) @ viewmat
        columns = tuple(matrix.T.reshape(-1).tolist())
        self._colour["clip_from_world"] = self._depth["clip_from_world"] = columns
        self._depth["depth_row"] = tuple(viewmat[2].tolist())
        self._multisampled.use()
        self._multisampled.clear(0.0, 0.0, 0.0, 0.0)
        for drawable in self._drawables:
            self._colour["textured"] = drawable.image is not None
            self._colour["alpha_mode"] = drawable.alpha_mode
            for unit, texture in enumerate((drawable.image, drawable.holes)):
                if texture is not None:
                    texture.use(unit)
            drawable.colour.render()
        self._context.copy_framebuffer(self._resolved, self._multisampled)
        pixels = np.frombuffer(self._resolved.read(components=4), np.uint8)
        self._depths.use()
        self._depths.clear()
        for drawable in self._drawables:
            self._depth["alpha_mode"] = drawable.alpha_mode
            if drawable.holes is not None:
                drawable.holes.use(1)
            drawable.depth.render()
        depth = np.frombuffer(self._depths.read(components=1, dtype="f4"), np.float32)
        large = self._size * SUPERSAMPLE
        return _averaged(pixels.reshape(large, large, 4)[::-1]), depth.reshape(self._size, -1)[::-1]


def _projection(intrinsics: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Projection matrix from OpenCV camera coordinates to OpenGL clip space."""
    k = 2 * intrinsics / size
    return np.array(
        [
            [k[0, 0], 0, k[0, 2] - 1, 0],
            [0, -k[1, 1], 1 - k[1, 2], 0],
            [0, 0, (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)],
            [0, 0, 1, 0],
        ]
    )


def _averaged(premultiplied: ByteArray) -> ByteArray:
    """Average blocks of SUPERSAMPLE² premultiplied pixels; straight alpha [S, S, 4], 0 where alpha is 0."""
    size = len(premultiplied) // SUPERSAMPLE
    mean = premultiplied.reshape(size, SUPERSAMPLE, size, SUPERSAMPLE, 4).mean(axis=(1, 3), dtype=np.float32)
    colour = mean[..., :3] * 255 / np.maximum(mean[..., 3:], 1e-6)
    rgba = np.concatenate([np.where(mean[..., 3:] > 0, colour, 0), mean[..., 3:]], axis=2)
    result = np.clip(np.round(rgba), 0, 255).astype(np.uint8)
    result[result[..., 3] == 0] = 0
    return result
