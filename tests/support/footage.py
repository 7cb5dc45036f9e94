"""Small clips written with the real encoders: a disk that moves to the right at one pixel a frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ar4d.clip.sources import Source

WIDTH, HEIGHT, RADIUS = 96, 64, 12
RED = (200, 30, 40)
WHITE = (255, 255, 255)


def disk(
    x: float,
    y: float = HEIGHT / 2,
    radius: float = RADIUS,
    color: tuple[int, int, int] = RED,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> np.ndarray:
    """[h, w, 4] uint8 straight alpha: an antialiased disk; its centre in continuous coordinates."""
    ys, xs = np.mgrid[: size[1], : size[0]] + 0.5
    alpha = np.clip(radius - np.hypot(xs - x, ys - y) + 0.5, 0, 1)
    picture = np.zeros((size[1], size[0], 4), np.uint8)
    picture[..., :3][alpha > 0] = color
    picture[..., 3] = np.round(255 * alpha)
    return picture


def over(picture: np.ndarray, background: tuple[int, int, int] | np.ndarray = WHITE) -> np.ndarray:
    """[h, w, 3] uint8: an RGBA picture over a colour or another picture."""
    alpha = picture[..., 3:].astype(np.float64) / 255
    return np.round(picture[..., :3] * alpha + np.asarray(background) * (1 - alpha)).astype(np.uint8)


def moving_disk(num_frames: int, start: float = 20.0) -> list[np.ndarray]:
    return [disk(start + k) for k in range(num_frames)]


def write_video(
    path: Path,
    pictures: Iterable[np.ndarray],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: int = 10,
    milliseconds: Sequence[int] | None = None,
    matrix: Sequence[int] | None = None,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encodes pictures [h, w, 3 or 4] uint8.

    Args:
        milliseconds: the pictures' times, for a variable rate.
        matrix: [a, b, 0, c, d, 0] to be shown at x' = a x + c y, y' = b x + d y (y down).
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: av.VideoStream | None = None
        for index, picture in enumerate(pictures):
            if stream is None:
                added = container.add_stream(codec, rate=fps, options=options or {})
                assert isinstance(added, av.VideoStream)
                stream = added
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = pix_fmt
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
                if matrix is not None:
                    stream.set_display_matrix([*np.array(matrix) * 65536, 0, 0, 2**30])
                if milliseconds is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
            layout = "rgba" if picture.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=layout)
            if milliseconds is not None:
                frame.pts, frame.time_base = milliseconds[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode(None))
    return path


def write_images(folder: Path, pictures: Iterable[np.ndarray], pattern: str = "frame_{}.png") -> Path:
    folder.mkdir(exist_ok=True)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / pattern.format(index))
    return folder


def center_of(picture: np.ndarray) -> tuple[float, float]:
    """Centre (x, y) of the reddish and opaque pixels, in continuous coordinates."""
    values = picture.astype(int)
    red = (values[..., 0] > 120) & (values[..., 1] < 110) & (values[..., 3] > 127)
    ys, xs = np.nonzero(red)
    return float(xs.mean()) + 0.5, float(ys.mean()) + 0.5


def room(num_frames: int, size: tuple[int, int] = (320, 240), pan: float = 0.0) -> list[np.ndarray]:
    """[h, w, 3] uint8: a shaded ball that rolls before a wall with a pattern, which no key can remove.

    `pan` moves the camera by so many pixels a frame.
    """
    rng = np.random.default_rng(0)
    tall, wide = size[1], size[0] + 200
    coarse = rng.uniform(120, 190, (tall // 8, wide // 8, 3)).astype(np.uint8)
    wall = np.asarray(Image.fromarray(coarse).resize((wide, tall), Image.Resampling.BICUBIC)).astype(float)
    wall = wall * np.linspace(1.1, 0.7, wide)[None, :, None]
    pictures = []
    for k in range(num_frames):
        offset = round(pan * k)
        background = np.clip(wall[:, offset : offset + size[0]], 0, 255)
        x, y, radius = size[0] * 0.35 + 8 * k, size[1] / 2, size[1] / 4
        ball = disk(x, y, radius, (170, 25, 20), size).astype(float)
        ys, xs = np.mgrid[: size[1], : size[0]] + 0.5
        light = np.clip(1.2 - np.hypot(xs - x + radius / 3, ys - y + radius / 3) / radius, 0.15, 1.2)
        ball[..., :3] = np.clip(ball[..., :3] * light[..., None], 0, 255)
        pictures.append(over(ball.astype(np.uint8), background))
    return pictures


def room_masks(num_frames: int, size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """[F, h, w] float32: where the ball of `room` is."""
    w, h = size
    masks = [disk(w * 0.35 + 8 * k, h / 2, h / 4, size=size)[..., 3] / 255 for k in range(num_frames)]
    return np.stack(masks).astype(np.float32)


def only_picture(source: Source) -> np.ndarray:
    """The first picture of a source, at its full size."""
    ((_, picture),) = source.read([0], 1.0)
    return picture
