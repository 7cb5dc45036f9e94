"""The input video beside a result."""

from __future__ import annotations

import io

from PIL import Image

from ar4d.clip import Clip

INPUT_SIDE = 256  # pixels


def thumbnails(clip: Clip) -> list[bytes]:
    """The clip's frames as small PNGs, so that a viewer need not hold the clip."""
    files = []
    for frame in clip.frames:
        image, file = Image.fromarray(frame), io.BytesIO()
        image.thumbnail((INPUT_SIDE, INPUT_SIDE))
        image.save(file, "PNG", compress_level=3)
        files.append(file.getvalue())
    return files
