"""Images become a file that plays: MP4, WebM, MOV or GIF, or a folder of numbered PNG files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
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


@dataclass(frozen=True)
class Codec:
    """How a container's video is encoded."""

    name: str
    """The encoder's name in FFmpeg."""
    pix_fmt: str
    clear_pix_fmt: str | None
    """For pictures with alpha; None if the format has no transparency."""
    options: Mapping[str, str]
    container: Mapping[str, str] = field(default_factory=dict)

    @property
    def halves_chroma(self) -> bool:
        """Whether two pixels share a colour, so that sizes must be even."""
        return "420" in self.pix_fmt


CODECS = {
    ".mp4": Codec(
        "libx264", "yuv420p", None, {"crf": "16", "preset": "slow"}, {"movflags": "+faststart"}
    ),
    ".webm": Codec(
        "libvpx-vp9", "yuv420p", "yuva420p",
        {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "auto-alt-ref": "0"},
    ),
    ".mov": Codec(
        "prores_ks", "yuv444p10le", "yuva444p10le", {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"}
    ),
}  # fmt: skip
"""H.264 as every player shows it, the index in front; VP9; ProRes 4444, which video editors read."""


def write_frames(frames: Iterable[np.ndarray], out: Path, fps: float) -> list[Path]:
    """Writes images to `out`: a video (.mp4, .webm, .mov, .gif), or a folder of `0000.png` and on.

    Args:
        frames: at least one [H, W, 3 or 4] uint8 image, all alike; taken one at a time.
        fps: frames a second; means nothing for a folder.

    Returns:
        Every file that was written.

    Raises:
        UserError: a size or a rate that the format cannot carry, or a place that cannot be written to.
    """
    suffix = out.suffix.lower()
    if suffix not in (".gif", *CODECS):
        return _write_pngs(frames, out)
    paths.single_file(out, suffix)
    remaining = iter(frames)
    first = next(remaining)
    encode = _encode_gif if suffix == ".gif" else partial(_encode_video, codec=CODECS[suffix], suffix=suffix)
    with atomic(out) as temporary:
        encode(chain([first], remaining), first.shape, temporary, fps)
    return [out]


def _write_pngs(frames: Iterable[np.ndarray], out: Path) -> list[Path]:
    images = [encode_png(image) for image in frames]  # small beside the pixels: kept until all are there
    names = paths.sequence(out, len(images), ".png")
    return [paths.write(path, image) for path, image in zip(names, images, strict=True)]


def encode_png(image: np.ndarray) -> bytes:
    """The bytes of a PNG file of an [H, W, 3 or 4] uint8 image."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def _encode_video(
    frames: Iterable[np.ndarray], shape: tuple[int, ...], path: Path, fps: float, *, codec: Codec, suffix: str
) -> None:
    """BT.709, and tagged so."""
    height, width, channels = shape
    name = suffix[1:].upper() if suffix != ".webm" else "WebM"
    if channels == 4 and codec.clear_pix_fmt is None:
        raise UserError(
            f"An {name} has no transparency; choose WebM, MOV, GIF, a folder of PNG files, or a coloured "
            "background."
        )
    if codec.halves_chroma and (width % 2 or height % 2):
        raise UserError(
            f"{'An' if name == 'MP4' else 'A'} {name} needs an even width and height, "
            f"not {width} × {height}; change the size."
        )
    pix_fmt = codec.pix_fmt if channels == 3 or codec.clear_pix_fmt is None else codec.clear_pix_fmt
    with av.open(str(path), "w", options=dict(codec.container)) as container:
        stream = container.add_stream(
            codec.name, rate=Fraction(fps).limit_denominator(10_000), options=dict(codec.options)
        )
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_primaries = ColorPrimaries.BT709
        stream.codec_context.color_trc = ColorTrc.BT709
        stream.codec_context.color_range = ColorRange.MPEG
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, "rgb24" if channels == 3 else "rgba")
            container.mux(stream.encode(_to_bt709(frame, pix_fmt)))
        container.mux(stream.encode(None))


def _to_bt709(frame: av.VideoFrame, pix_fmt: str) -> av.VideoFrame:
    return frame.reformat(
        format=pix_fmt, dst_colorspace=Colorspace.ITU709,
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
