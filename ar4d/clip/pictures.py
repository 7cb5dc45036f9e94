"""Still images, folders of them, and animated images (GIF, WebP, APNG, AVIF)."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pi_heif
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ar4d.clip.colors import needs_conversion, to_srgb
from ar4d.errors import UserError

MAX_SIDE = 16384  # pixels
STILL_FPS = 10.0  # of images, which have no rate of their own

Image.init()  # registers the formats that this build of Pillow knows
pi_heif.register_heif_opener()
_KNOWN = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "PPM", "TGA", "HEIF")
_FORMATS = [name for name in _KNOWN if name in Image.OPEN]
_ANIMATED_FORMATS = ("GIF", "WEBP", "AVIF")
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".ppm", ".tga"} | {
    ".heic",
    ".heif",
}
_BROKEN = (OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error)  # Pillow's, for bad data


_PROBES = np.stack(np.meshgrid([32, 128, 224], [32, 128, 224], [32, 128, 224]), -1)
_PROBES = _PROBES.reshape(1, 27, 3).astype(np.uint8)  # colours that distinguish a profile from sRGB
_SAME_COLOR = 3  # of 255


class Stills:
    """Images of one size, one file a frame, at equal steps in time."""

    def __init__(self, paths: Sequence[Path], name: str, fps: float) -> None:
        self.name = name
        self.width, self.height = _common_size(paths)
        self.times = np.arange(len(paths)) / fps
        self.length = len(paths) / fps
        self.warnings: list[str] = []
        self._paths = paths

    def place(self, index: int) -> str:
        return self._paths[index].name

    def read(self, indices: Sequence[int], scale: float) -> Iterator[tuple[int, np.ndarray]]:
        size = scaled_size(self.width, self.height, scale)
        for index in indices:
            path = self._paths[index]
            with _open(path) as image:
                upright, converted = in_srgb(_upright(image, path))
                if converted and not any("sRGB" in warning for warning in self.warnings):
                    self.warnings.append(f"{path.name} has wide-gamut colours: they were converted to sRGB.")
                yield index, shrink(to_rgba(upright, path), size)


class Animation:
    """An animated GIF, WebP or AVIF: frames that build on one another, each with its own duration.

    Animated PNG is decoded as a video: Pillow averages frames that are laid over each other with soft
    edges, where the specification asks for the over operator.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        self.name = path.name
        self.warnings: list[str] = []
        self._path = path
        with _open(path) as image:
            self.width, self.height = image.size
            # An APNG may start with a picture for programs that cannot play it.
            self._first = 1 if getattr(image, "default_image", False) else 0
            durations = self._durations(image)
        if len(durations) == 1:
            self.warnings.append(
                f"{self.name} holds a single picture, so the result does not move: encoders merge frames "
                "that are equal."
            )
        if fps is not None:
            durations = [1 / fps] * len(durations)
        self.times = np.concatenate([[0.0], np.cumsum(durations)[:-1]])
        self.length = float(sum(durations))

    def _durations(self, image: Image.Image) -> list[float]:
        """Seconds that each frame stays, by decoding them all: a GIF does not state them in advance."""
        durations: list[float] = []
        problem = ""
        try:
            while True:
                image.seek(self._first + len(durations))
                image.load()
                milliseconds = float(image.info.get("duration", 0))
                durations.append(milliseconds / 1000 if milliseconds > 10 else 0.1)  # as browsers do
        except EOFError:
            pass  # the regular end
        except _BROKEN as error:
            problem = str(error)
        if not durations:
            raise UserError(f"{self._path} is damaged: its first frame cannot be read ({problem}).")
        if problem:
            self.warnings.append(f"{self.name} is damaged: only its first {len(durations)} frames are used.")
        return durations

    def place(self, index: int) -> str:
        return f"{self.times[index]:.2f} s"

    def read(self, indices: Sequence[int], scale: float) -> Iterator[tuple[int, np.ndarray]]:
        size = scaled_size(self.width, self.height, scale)
        with _open(self._path) as image:
            for index in indices:
                image.seek(self._first + index)
                yield index, shrink(to_rgba(image, self._path), size)


def is_picture(path: Path) -> bool:
    """Whether the file's first bytes are those of an image (animated or not)."""
    try:
        with Image.open(path, formats=_FORMATS):
            return True
    except UnidentifiedImageError:
        return False
    except (Image.DecompressionBombError, *_BROKEN):
        return True  # an image that opening again will tell apart


def is_animated_png(path: Path) -> bool:
    """Whether the file is a PNG with several frames."""
    with _open(path) as image:
        return image.format == "PNG" and bool(getattr(image, "is_animated", False))


def open_file(path: Path, fps: float | None) -> Stills | Animation:
    """Open a still or animated image."""
    with _open(path) as image:
        kind = image.format
        # Whether a GIF has more than one frame is not known without reading on.
        count = 2 if kind == "GIF" else int(getattr(image, "n_frames", 1))
    if kind in _ANIMATED_FORMATS and count > 1:
        return Animation(path, fps)
    still = Stills([path], path.name, fps or STILL_FPS)
    if kind in ("TIFF", "HEIF") and count > 1:
        still.warnings.append(
            f"{path.name} holds {count} pictures and only the first is used: save them as single files in a "
            "folder to use them all."
        )
    return still


def open_folder(folder: Path, fps: float | None) -> Stills:
    paths = [
        p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")
    ]
    if not paths:
        raise UserError(f"The folder {folder} holds no images (PNG, JPEG, WebP, TIFF or BMP).")
    return Stills(sorted(paths, key=_natural), folder.name, fps or STILL_FPS)


def _natural(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    """Sort frame_2 before frame_10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in parts if p], path.name


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not an image that can be read: use PNG, JPEG or WebP.") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} has too many pixels: scale it down to at most 100 megapixels.") from error
    except _BROKEN as error:
        raise UserError(f"{path} cannot be read: {error}.") from error
    check_size(path, *image.size)
    return image


def check_size(path: Path, width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE:
        raise UserError(
            f"{path} is {width}×{height} pixels large: scale it down to at most {MAX_SIDE} on a side."
        )


def _common_size(paths: Sequence[Path]) -> tuple[int, int]:
    """The upright size of all images, from their headers alone."""
    sizes = []
    for path in paths:
        with _open(path) as image:
            turned = _has_exif(image) and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # its orientation
            sizes.append(image.size[::-1] if turned else image.size)
    ((usual, count),) = Counter(sizes).most_common(1)
    odd = next((i for i, size in enumerate(sizes) if size != usual), None)
    if odd is not None:
        like = paths[sizes.index(usual)].name
        raise UserError(
            f"The images in {paths[0].parent} differ in size: {like} is {usual[0]}×{usual[1]} (as "
            f"{count} of {len(paths)} are), but {paths[odd].name} is {sizes[odd][0]}×{sizes[odd][1]}; make "
            "them all the same size, or remove those that do not belong to the clip."
        )
    return usual


def _has_exif(image: Image.Image) -> bool:
    """Whether to look for an orientation. To look for it in a PNG that tells of none is to decode it."""
    return "exif" in image.info or image.format == "TIFF"


def _upright(image: Image.Image, path: Path) -> Image.Image:
    if not _has_exif(image):
        return image
    try:
        return ImageOps.exif_transpose(image)
    except _BROKEN as error:
        raise UserError(f"{path} is damaged: {error}.") from error


def in_srgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """The picture in sRGB, and whether its colours had to be converted.

    The colour space is that of an embedded ICC profile (phones' photos are in Display P3) or, in HEIF, of
    the coding-independent code points. A profile that cannot be used is ignored, as browsers do.
    """
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        transform = _transform_to_srgb(bytes(profile), image.mode)
        return (image, False) if transform is None else (_transformed(image, transform), True)
    points = image.info.get("nclx_profile") or {}
    transfer, primaries = (points.get(f"{k}", 2) for k in ("transfer_characteristics", "color_primaries"))
    if not profile and image.mode in ("RGB", "RGBA") and needs_conversion(transfer, primaries):
        values = np.asarray(image.convert("RGBA"))
        colors = to_srgb(values[..., :3].astype(np.uint16) * 257, transfer, primaries)
        return Image.fromarray(np.dstack([colors, values[..., 3]])), True
    return image, False


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # only a transform in place returns nothing
    return converted


@lru_cache(maxsize=8)
def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None for sRGB itself and for profiles that cannot be used."""
    out = "RGB" if mode == "CMYK" else mode
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, out)
    except (ImageCms.PyCMSError, OSError):
        return None
    if mode == "CMYK":
        return transform
    probes = Image.fromarray(_PROBES).convert(mode)
    moved = np.asarray(_transformed(probes, transform).convert("RGB")).astype(int)
    return transform if np.abs(moved - _PROBES).max() > _SAME_COLOR else None


def to_rgba(image: Image.Image, path: Path) -> Image.Image:
    """8-bit RGBA with straight alpha, whatever the image's mode.

    Raises:
        UserError: the pixels cannot be decoded, or are not finite or out of range (float images).
    """
    try:
        if image.mode.startswith("I;16") or image.mode in ("I", "F"):
            return Image.fromarray(_grey_to_uint8(np.asarray(image), path)).convert("RGBA")
        return image.convert("RGBA")
    except _BROKEN as error:
        raise UserError(f"{path} is damaged: {error}.") from error


def _grey_to_uint8(values: np.ndarray, path: Path) -> np.ndarray:
    """Grey of 16 bits (0 to 65535) or floats (0 to 1) in 8 bits."""
    white = 1.0 if values.dtype.kind == "f" else 65535.0
    if not np.isfinite(values).all():
        raise UserError(f"{path} has pixels that are not finite numbers (NaN): export it again as a PNG.")
    if values.min() < 0 or values.max() > white:
        raise UserError(f"{path} has pixels outside 0 to {white:g}: export it again as an 8-bit PNG.")
    return np.round(values * (255 / white)).astype(np.uint8)


def shrink(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """The RGBA image at `size` (width, height) as [h, w, 4] uint8, averaged with premultiplied alpha."""
    return np.asarray(image.resize(size, Image.Resampling.BOX))  # Pillow premultiplies RGBA by itself


def scaled_size(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))
