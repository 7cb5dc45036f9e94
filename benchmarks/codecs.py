"""What is kept of a clip in each container and codec: a clip of each is written, loaded and compared.

    python -m benchmarks.codecs --out docs/codecs.md

The clip is a disk that moves before white (or before nothing, where there is alpha). It is written once as
it is, with the colour tags of BT.709, and once with a display matrix of 90° and pixels of 4:3.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import tyro
from PIL import Image

from ar4d.clip import ClipSettings, load_clip
from ar4d.clip.sources import open_source
from ar4d.errors import UserError

FRAMES, RADIUS = 8, 30
COLOR = (190, 70, 40)
RATE = 25
BT709 = 1


@dataclass(frozen=True)
class Kind:
    """A container with a codec."""

    suffix: str
    codec: str
    pix_fmt: str
    options: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] = (192, 144)

    @property
    def has_alpha(self) -> bool:
        return av.VideoFormat(self.pix_fmt, 16, 16).name in (
            "yuva420p",
            "yuva444p10le",
            "argb",
            "rgba",
            "bgra",
        )


QUIET = {"x265-params": "log-level=none"}
KINDS = (
    Kind("mp4", "libx264", "yuv420p"),
    Kind("mov", "libx264", "yuv422p10le"),
    Kind("mkv", "libx264", "yuv444p"),
    Kind("ts", "libx264", "yuv420p"),
    Kind("avi", "libx264", "yuv420p"),
    Kind("flv", "libx264", "yuv420p"),
    Kind("mp4", "libx265", "yuv420p", QUIET),
    Kind("mov", "libx265", "yuv444p10le", QUIET),
    Kind("mp4", "libsvtav1", "yuv420p", {"svtav1-params": "lp=1"}),
    Kind("webm", "libvpx-vp9", "yuv420p"),
    Kind("webm", "libvpx-vp9", "yuva420p"),
    Kind("webm", "libvpx", "yuv420p", {"b": "2M"}),
    Kind("webm", "libvpx", "yuva420p", {"b": "2M", "auto-alt-ref": "0"}),
    Kind("mov", "prores_ks", "yuv422p10le"),
    Kind("mov", "prores_ks", "yuva444p10le"),
    Kind("mov", "qtrle", "argb"),
    Kind("mov", "png", "rgba"),
    Kind("mov", "mjpeg", "yuvj420p", {"b": "8M"}),
    Kind("mkv", "ffv1", "yuv420p"),
    Kind("mkv", "ffv1", "bgra"),
    Kind("nut", "ffv1", "yuv444p"),
    Kind("avi", "mpeg4", "yuv420p", {"b": "4M"}),
    Kind("avi", "mjpeg", "yuvj420p", {"b": "8M"}),
    Kind("mpg", "mpeg2video", "yuv420p", {"b": "6M"}),
    Kind("mxf", "mpeg2video", "yuv420p", {"b": "6M"}),
    Kind("dv", "dvvideo", "yuv420p", size=(720, 576)),
    Kind("wmv", "wmv2", "yuv420p", {"b": "4M"}),
)
HEADS = ("container", "codec", "pixels", "times", "alpha", "rotation, pixel shape", "colour", "cut out by")
IMAGES = ("gif", "webp", "avif", "apng", "folder of png", "folder of jpg", "folder of tif")


@dataclass(frozen=True)
class Options:
    out: Path | None = None
    """File to write the table to; without it, the table is printed."""


def picture(index: int, size: tuple[int, int]) -> np.ndarray:
    """[h, w, 4] uint8: the disk at its place in a frame, straight alpha."""
    ys, xs = np.mgrid[: size[1], : size[0]] + 0.5
    distance = np.hypot(xs - size[0] / 2 - 3 * (index - FRAMES / 2), ys - size[1] / 2)
    alpha = np.clip(RADIUS - distance + 0.5, 0, 1)
    result = np.zeros((size[1], size[0], 4), np.uint8)
    result[..., :3][alpha > 0] = COLOR
    result[..., 3] = np.round(255 * alpha)
    return result


def on_white(rgba: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8."""
    alpha = rgba[..., 3:] / 255
    return np.round(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def write_video(path: Path, kind: Kind, turned: bool) -> None:
    """Write the clip; with `turned`, with a rotation and pixels that are not square."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(kind.codec, rate=RATE, options=dict(kind.options))
        assert isinstance(stream, av.VideoStream)
        (stream.width, stream.height), stream.pix_fmt = kind.size, kind.pix_fmt
        stream.codec_context.colorspace = stream.codec_context.color_primaries = BT709
        stream.codec_context.color_trc = BT709
        if turned:
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
            one = 65536
            stream.set_display_matrix([0, one, 0, -one, 0, 0, 0, 0, 2**30])
        for index in range(FRAMES):
            rgba = picture(index, kind.size)
            pixels, layout = (rgba, "rgba") if kind.has_alpha else (on_white(rgba), "rgb24")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=layout)
            if frame.format.name != kind.pix_fmt:
                frame = frame.reformat(format=kind.pix_fmt, dst_colorspace=BT709)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_images(path: Path, name: str) -> None:
    """Write the clip as an animated image or a folder."""
    rgba = [picture(index, (192, 144)) for index in range(FRAMES)]
    if name.startswith("folder"):
        path.mkdir()
        for index, pixels in enumerate(rgba):
            opaque = path.suffix == ".jpg"
            image = Image.fromarray(on_white(pixels) if opaque else pixels)
            image.save(path / f"{index}{path.suffix}", quality=95)
        return
    images = [Image.fromarray(pixels) for pixels in rgba]
    special = {"gif": {"disposal": 2}, "webp": {"lossless": True}, "avif": {"quality": 90}}.get(name, {})
    kind = "PNG" if name == "apng" else name.upper()
    images[0].save(
        path, format=kind, save_all=True, append_images=images[1:], duration=1000 // RATE, **special
    )


def row(
    label: Sequence[str],
    path: Path,
    size: tuple[int, int],
    has_alpha: bool,
    turned: str = "not stored",
    tagged: bool = True,
) -> list[str]:
    """Load the clip and compare it with what was written."""
    source = open_source(path, None)
    times = np.arange(FRAMES) / RATE
    if path.is_dir():
        rate = "10 fps unless `--fps` says otherwise"
    elif len(source.times) != FRAMES:
        rate = f"{len(source.times)} of {FRAMES} frames"
    else:
        error = 1000 * np.abs(source.times - times).max()
        rate = "exact" if error < 0.05 else f"within {error:.1f} ms"
    found = [pixels for _, pixels in source.read(range(len(source.times)), 1.0)]
    middle = found[FRAMES // 2][size[1] // 2, size[0] // 2, :3].astype(int)
    colors = f"within {np.abs(middle - COLOR).max()}/255" if tagged else "tags not stored: read as BT.601"
    alpha = "–"
    if has_alpha:
        errors = [np.abs(p[..., 3].astype(int) - picture(k, size)[..., 3]) for k, p in enumerate(found)]
        alpha = "exact" if np.max(errors) == 0 else f"kept, mean error {np.mean(errors):.2f}/255"
    clip = load_clip(path, ClipSettings(), 128)
    stretch = source.width / size[0]  # by pixels that are not square
    area = (clip.frames[0, ..., 3] > 127).sum() * (clip.crop.side / 128) ** 2 / (np.pi * RADIUS**2 * stretch)
    return [*label, rate, alpha, turned, colors, f"{clip.matting}, area {100 * area:.1f} %"]


def turned_columns(path: Path, kind: Kind) -> str:
    """What is kept of the rotation and of the pixels' shape, of those that the container stores."""
    try:
        write_video(path, kind, turned=True)
    except (av.error.FFmpegError, ValueError):
        return "not stored"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        aspect = stream.sample_aspect_ratio or Fraction(1)
        rotated = next(container.decode(stream)).rotation != 0
    source = open_source(path, None)
    expected = round(kind.size[0] * aspect), kind.size[1]
    if (source.width, source.height) != (expected[::-1] if rotated else expected):
        return f"LOST: {source.width}×{source.height}"
    stored = [name for name, there in (("rotation", rotated), ("pixel shape", aspect != 1)) if there]
    return " and ".join(stored) or "not stored"


def table() -> str:
    """The table as Markdown."""
    rows = [
        ["container", "codec", "pixels", "times", "alpha", "rotation, pixel shape", "colour", "cut out by"]
    ]
    rows.append(["---"] * len(rows[0]))
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(KINDS):
            path = Path(folder) / f"{number}.{kind.suffix}"
            label = (kind.suffix, kind.codec, kind.pix_fmt)
            rows.append(_safely(label, lambda k=kind, p=path, n=label: _video_row(k, p, n)))
        for name in IMAGES:
            path = Path(folder) / f"images.{name.split()[-1]}"
            write_images(path, name)
            has_alpha = not name.endswith("jpg")
            label = (name, "–", "RGBA" if has_alpha else "RGB")
            rows.append(row(label, path, (192, 144), has_alpha))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def _video_row(kind: Kind, path: Path, label: Sequence[str]) -> list[str]:
    write_video(path, kind, turned=False)
    turned = turned_columns(path.with_stem(f"{path.stem}-turned"), kind)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        tagged = frame.format.is_rgb or frame.colorspace == BT709
    return row(label, path, kind.size, kind.has_alpha, turned, tagged)


def _safely(label: Sequence[str], make: Callable[[], list[str]]) -> list[str]:
    """A row, or what went wrong in its place: one codec must not cost the others' rows."""
    try:
        return make()
    except (av.error.FFmpegError, ValueError, UserError) as error:
        return [*label, f"failed: {error}", "", "", "", ""]


TEXT = """# Containers and codecs

What is kept of a clip in each container and codec, measured with PyAV {version} by
`python -m benchmarks.codecs --out docs/codecs.md`. "Not stored" means that the container or the encoder
has no place for it.

- **times**: largest error of a frame's time stamp.
- **alpha**: error of the alpha channel, where the pixels have one.
- **colour**: largest error of a channel in the subject's middle, written with the tags of BT.709.
- **cut out by**: how `--background auto` found the subject, and its area in shares of the true one.

{table}

HEIC and HEIF photos are read as well, with their alpha and orientation. HLG, PQ and Display P3 are converted
to sRGB, and interlaced video is deinterlaced. Dolby Vision is read by its base layer; profile 5 has none and
is refused. Playlists and network addresses are refused.
"""


def main(options: Options) -> None:
    """Write or print the table."""
    text = TEXT.format(version=av.__version__, table=table())
    if options.out is None:
        print(text)
    else:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Options))
