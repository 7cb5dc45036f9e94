"""Images become a file that plays: MP4 (H.264), GIF, or a folder of numbered PNG files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image

from ar4d.errors import UserError
from ar4d.files import atomic
from ar4d.formats import paths

MAX_GIF_FPS = 50.0  # browsers play shorter delays than 2/100 s at a tenth of the speed
GIF_TICK = Fraction(1, 100)
H264_OPTIONS = {"crf": "16", "preset": "slow"}


def write_frames(frames: Iterable[np.ndarray], out: Path, fps: float) -> list[Path]:
    """Writes images to `out`: a video if it ends in .mp4 or .gif, else a folder of `0000.png` and on.

    Args:
        frames: at least one [H, W, 3 or 4] uint8 image, all alike; taken one at a time.
        fps: frames a second; means nothing for a folder.

    Returns:
        Every file that was written.

    Raises:
        UserError: a size or a rate that the format cannot carry, or a place that cannot be written to.
    """
    suffix = out.suffix.lower()
    if suffix not in (".mp4", ".gif"):
        return _write_pngs(frames, out)
    paths.single_file(out, suffix)
    remaining = iter(frames)
    first = next(remaining)
    encode = _encode_mp4 if suffix == ".mp4" else _encode_gif
    with atomic(out) as temporary:
        encode(chain([first], remaining), first.shape, temporary, fps)
    return [out]


def _write_pngs(frames: Iterable[np.ndarray], out: Path) -> list[Path]:
    images = [_png(image) for image in frames]  # small beside the pixels: kept until all are there
    names = paths.sequence(out, len(images), ".png")
    return [paths.write(path, image) for path, image in zip(names, images, strict=True)]


def _png(image: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def _encode_mp4(frames: Iterable[np.ndarray], shape: tuple[int, ...], path: Path, fps: float) -> None:
    """H.264 as every player shows it: 4:2:0, BT.709 and tagged so, the index in front."""
    height, width, channels = shape
    if channels == 4:
        raise UserError(
            "An MP4 has no transparency; choose GIF, a folder of PNG files, or a white background."
        )
    if width % 2 or height % 2:
        raise UserError(f"An MP4 needs an even width and height, not {width} × {height}; change the size.")
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(10_000), options=H264_OPTIONS
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_primaries = ColorPrimaries.BT709
        stream.codec_context.color_trc = ColorTrc.BT709
        stream.codec_context.color_range = ColorRange.MPEG
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            container.mux(stream.encode(_to_bt709(frame)))
        container.mux(stream.encode(None))


def _to_bt709(frame: av.VideoFrame) -> av.VideoFrame:
    return frame.reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG,
    )  # fmt: skip


def _encode_gif(frames: Iterable[np.ndarray], shape: tuple[int, ...], path: Path, fps: float) -> None:
    if fps > MAX_GIF_FPS:
        raise UserError(
            f"A GIF plays at most {MAX_GIF_FPS:g} frames a second, not {fps:g}; lower fps or choose MP4."
        )
    height, width, channels = shape
    with av.open(str(path), "w", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", rate=GIF_TICK.denominator)
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        stream.codec_context.time_base = GIF_TICK
        for index, frame in enumerate(
            _with_one_palette(frames, width, height, "rgba" if channels == 4 else "rgb24")
        ):
            frame.pts, frame.time_base = round(index / fps / GIF_TICK), GIF_TICK
            for packet in stream.encode(frame):
                packet.duration = round((index + 1) / fps / GIF_TICK) - frame.pts
                container.mux(packet)
        container.mux(stream.encode(None))


def _with_one_palette(
    frames: Iterable[np.ndarray], width: int, height: int, pixels: str
) -> Iterator[av.VideoFrame]:
    """The frames in 256 colours chosen from all of them together, so that colours do not flicker."""
    graph = Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat(pixels), time_base=GIF_TICK)
    split, sink = graph.add("split"), graph.add("buffersink")
    palette, mapped = (
        graph.add("palettegen"),
        graph.add("paletteuse", "dither=sierra2_4a:alpha_threshold=128"),
    )
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(mapped, 1, 0)
    palette.link_to(mapped, 0, 1)
    mapped.link_to(sink)
    graph.configure()
    num_frames = 0
    for image in frames:
        frame = av.VideoFrame.from_ndarray(image, pixels)
        frame.pts, frame.time_base = num_frames, GIF_TICK
        graph.vpush(frame)
        num_frames += 1
    graph.vpush(None)
    for _ in range(num_frames):
        yield graph.vpull()
