"""Where the reference camera's square lies in the source picture: one crop for the whole clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ar4d.errors import UserError
from ar4d.images import premultiply, to_uint8, unpremultiply

FILL = 0.8  # of the square's side that the longest side of the subject's box takes


@dataclass(frozen=True)
class Crop:
    """A square in the source picture. Its corner is (x, y); it may reach outside the picture."""

    x: float
    y: float
    side: float
    source_width: int  # pixels of the upright picture; all lengths here are in these pixels
    source_height: int


def union_crop(masks: np.ndarray, threshold: float, width: int, height: int) -> Crop:
    """The square around everything that the subject ever covers, which takes 80 % of its side.

    Args:
        masks: [F, h, w] in [0, 1], of pictures at any scale; at least one pixel lies above `threshold`.
        width: of the source picture in pixels.
        height: of the source picture in pixels.
    """
    highest = masks.max(axis=0)  # [h, w]
    top, bottom = _extent(highest.max(axis=1) > threshold, height)
    left, right = _extent(highest.max(axis=0) > threshold, width)
    side = max(right - left, bottom - top) / FILL
    return Crop((left + right - side) / 2, (top + bottom - side) / 2, side, width, height)


def _extent(covered: np.ndarray, length: int) -> tuple[float, float]:
    """First and last border of the covered cells of a line of `length` pixels."""
    cells = np.flatnonzero(covered)
    scale = length / len(covered)
    return float(cells[0] * scale), float((cells[-1] + 1) * scale)


def whole_crop(width: int, height: int, name: str) -> Crop:
    """The whole picture, for a clip that is framed already.

    Raises:
        UserError: the picture is not square.
    """
    if width != height:
        raise UserError(
            f"{name} is {width}×{height} pixels large, and a clip whose framing is kept must be square: crop "
            "it, or let it be framed (framing union)."
        )
    return Crop(0.0, 0.0, float(width), width, height)


def enclosing_crop(width: int, height: int) -> Crop:
    """The smallest square around the whole picture; what it has beyond the picture is transparent."""
    side = max(width, height)
    return Crop((width - side) / 2, (height - side) / 2, float(side), width, height)


@dataclass(frozen=True)
class Window:
    """The part, in whole pixels, that a crop shows of a picture of the source at any scale."""

    left: int
    top: int
    right: int
    bottom: int
    width: int  # of the whole picture in pixels
    height: int

    def of(self, picture: np.ndarray) -> np.ndarray:
        """The part of a picture [height, width, ...] that the window shows."""
        return picture[self.top : self.bottom, self.left : self.right]

    def of_coarse(self, mask: np.ndarray) -> np.ndarray:
        """The same part of a mask [h, w] float32 of the whole picture at another scale, interpolated."""
        height, width = mask.shape
        sx, sy = width / self.width, height / self.height
        box = (self.left * sx, self.top * sy, self.right * sx, self.bottom * sy)
        size = (self.right - self.left, self.bottom - self.top)
        return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR, box=box))


def window_of(crop: Crop, width: int, height: int) -> Window:
    """What `crop` shows of a picture of the source that is `width`×`height` pixels large."""
    sx, sy = width / crop.source_width, height / crop.source_height
    return Window(
        left=int(np.clip(np.floor(crop.x * sx), 0, width - 1)),
        top=int(np.clip(np.floor(crop.y * sy), 0, height - 1)),
        right=int(np.clip(np.ceil((crop.x + crop.side) * sx), 1, width)),
        bottom=int(np.clip(np.ceil((crop.y + crop.side) * sy), 1, height)),
        width=width,
        height=height,
    )


def resample(colors: np.ndarray, alpha: np.ndarray, window: Window, crop: Crop, size: int) -> np.ndarray:
    """The crop at its final size; what lies outside the picture is transparent.

    Colours are premultiplied before they are averaged and divided by alpha afterwards, so that no
    colour of a transparent pixel shows up at the subject's outline.

    Args:
        colors: [h, w, 3] float32 in [0, 1], straight, of `window`.
        alpha: [h, w] float32 in [0, 1].
        size: S, side of the result in pixels.

    Returns:
        [S, S, 4] uint8, straight alpha, colour 0 where alpha is 0.
    """
    sx, sy = window.width / crop.source_width, window.height / crop.source_height
    left, top = crop.x * sx - window.left, crop.y * sy - window.top
    right, bottom = left + crop.side * sx, top + crop.side * sy
    height, width = alpha.shape
    before_x, before_y = max(0, int(np.ceil(-left))), max(0, int(np.ceil(-top)))
    after_x, after_y = max(0, int(np.ceil(right - width))), max(0, int(np.ceil(bottom - height)))
    box = (left + before_x, top + before_y, right + before_x, bottom + before_y)

    def resized(channel: np.ndarray) -> np.ndarray:
        padded = np.pad(channel, ((before_y, after_y), (before_x, after_x)))
        image = Image.fromarray(padded.astype(np.float32))
        return np.asarray(image.resize((size, size), Image.Resampling.HAMMING, box=box))

    premultiplied = premultiply(np.dstack([colors, alpha]))
    averaged = np.stack([resized(premultiplied[..., channel]) for channel in range(4)], axis=-1)
    frame = to_uint8(unpremultiply(averaged))
    frame[frame[..., 3] == 0] = 0
    return frame
