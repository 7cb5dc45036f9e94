"""The registry of export formats: one `Format` entry per format, in `FORMATS`.

The command line, the page, the server and the tests read it. A package of somebody else adds a format in
one of two ways: by a call of `register`, or by an entry point in the group `ar4d.formats` that names a
`Format`. `all_formats` is the registry with those entry points.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ar4d import plugins
from ar4d.asset import Asset4D
from ar4d.errors import UserError
from ar4d.formats import forms, paths
from ar4d.formats.mesh import GlbOptions, MeshOptions, export_glb, export_usd_mesh
from ar4d.formats.picture import PictureOptions, export_picture
from ar4d.formats.player import PlayerOptions, export_player
from ar4d.formats.progress import reported_to
from ar4d.formats.sizes import Content, Estimate, per_gaussian, per_pixel, per_vertex
from ar4d.formats.splats import FrameOptions, SplatOptions, SpzOptions, export_splats
from ar4d.formats.splats.glb import encode_splat_glb
from ar4d.formats.splats.ply import encode_compressed_ply, encode_ply
from ar4d.formats.splats.sog import encode_sog
from ar4d.formats.splats.spz import encode_spz
from ar4d.formats.usd import UsdOptions, export_usd
from ar4d.formats.video import ClearVideoOptions, VideoOptions, export_video
from ar4d.reporting import OnProgress


@dataclass(frozen=True)
class Format:
    """An export format: what it is called, which options it takes, and what writes it."""

    name: str
    """What `--format` takes."""

    label: str
    """What a list of formats shows."""

    suffix: str
    """The ending of its files, with the dot: ".compressed.ply"."""

    options: type[Any]
    """A frozen dataclass whose fields all have defaults and docstrings."""

    write: Callable[[Asset4D, Path, Any], list[Path]]
    """Writes an asset to a path with the options; returns every file written, the main one first."""

    per_frame: bool = False
    """Whether it writes a folder with one file per frame, unless its option `time` is given."""

    opens: str = ""
    """What opens its files, for people: "Blender, Unity, Windows"."""

    main: tuple[str, ...] = ()
    """The options that a form shows at first; it shows the others on request."""

    suggested: Mapping[str, Any] = field(default_factory=dict)
    """Values from which a form starts in place of the defaults."""

    estimate: Estimate | None = None
    """About how many bytes an export has; None if that cannot be said before."""

    module: str = ""
    """A module that writing needs and that a plain installation of ar4d lacks."""

    extra: str = ""
    """The extra of ar4d that installs `module`."""

    def __post_init__(self) -> None:
        if not self.suffix.startswith("."):
            raise ValueError(f'The suffix of the format "{self.name}" must start with a dot: {self.suffix}')
        if not is_dataclass(self.options):
            raise TypeError(f'The options of the format "{self.name}" must be a dataclass.')
        if self.per_frame and "time" not in self.option_names:
            raise TypeError(f'The format "{self.name}" writes one file per frame: its options need `time`.')

    @property
    def option_names(self) -> frozenset[str]:
        return frozenset(f.name for f in fields(self.options))

    @property
    def available(self) -> bool:
        """Whether what it needs is installed."""
        return not self.module or importlib.util.find_spec(self.module) is not None

    def writes_folder(self, options: Any) -> bool:
        """Whether `options` ask for a folder with one file per frame."""
        return self.per_frame and options.time is None

    def default_name(self, options: Any) -> str:
        """The name of the file or the folder that is written where no other is given."""
        return self.name if self.writes_folder(options) else f"asset{self.suffix}"

    def make_options(self, values: Mapping[str, Any]) -> Any:
        """The options with `values` in place of some defaults.

        Raises:
            UserError: the format has no option of that name, or a value does not fit.
        """
        return forms.parse(self.options, values, self.name)


FORMATS: dict[str, Format] = {}


def register(format: Format) -> Format:
    """Adds a format to `FORMATS`; returns it.

    Raises:
        ValueError: there is a format of that name already.
    """
    if format.name in FORMATS:
        raise ValueError(f'There is a format "{format.name}" already.')
    FORMATS[format.name] = format
    paths.FILE_ENDINGS.add(format.suffix)
    return format


def all_formats() -> dict[str, Format]:
    """`FORMATS`, completed by those of installed packages (group `ar4d.formats`)."""
    for format in installed().objects:
        if format.name not in FORMATS:
            register(format)
    return FORMATS


def installed() -> plugins.Plugins:
    """What installed packages bring, and what they fail to bring.

    Not loaded at import: a package that is imported before this one is only half there by then.
    """
    return plugins.load("ar4d.formats", Format)


def find_format(name: str) -> Format:
    """The format of a name.

    Raises:
        UserError: there is no such format.
    """
    if name not in all_formats():
        raise UserError(plugins.unknown(f'format "{name}"', FORMATS, installed().failures))
    return FORMATS[name]


def export(
    asset: Asset4D,
    name: str,
    out: Path | str,
    options: Any = None,
    *,
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """Writes `asset` in one of `FORMATS`; each file appears whole or not at all.

    Args:
        name: of the format.
        out: a file with the format's ending; for a format that writes one file per frame a folder,
            unless its option `time` asks for a single file.
        options: of the format's own type; its defaults if not given.
        on_progress: called with what is being done, how much of it is done, and of how much. An exception
            that it raises stops the export, which then leaves no file.

    Returns:
        Every file that was written, the main one first.

    Raises:
        UserError: no such format, a missing package, a wrong ending, a folder that cannot be written
            to, a full disk, an option out of range, or Gaussians that are not finite.
    """
    format = find_format(name)
    options = format.options() if options is None else options
    if not isinstance(options, format.options):
        raise TypeError(f"{name} takes {format.options.__name__}, not {type(options).__name__}")
    if not format.available:
        remedy = f"ar4d[{format.extra}]" if format.extra else format.module
        raise UserError(
            f"The format {name} needs the package {format.module}; install it: pip install {remedy}"
        )
    with reported_to(on_progress):
        return format.write(asset, Path(out), options)


def _register_splats(
    name: str,
    label: str,
    suffix: str,
    encode: Callable[[Any, Any], bytes],
    options: type[FrameOptions],
    opens: str,
    bytes_each: float,
) -> None:
    """A splat format. Where its files do not say which way is up, a form starts from SuperSplat's way."""
    turnable = issubclass(options, SplatOptions)
    register(
        Format(
            name, label, suffix, options, partial(export_splats, encode=encode, suffix=suffix),
            per_frame=True, opens=opens, main=("viewer", "num_frames", "time") if turnable else (),
            suggested={"viewer": "supersplat"} if turnable else {}, estimate=per_gaussian(bytes_each),
        )
    )  # fmt: skip


def _register_all_splats() -> None:
    ply, packed = lambda stored, _: encode_ply(stored), lambda stored, _: encode_compressed_ply(stored)
    spz, sog = lambda stored, o: encode_spz(stored, o.version), lambda stored, _: encode_sog(stored)
    glb = lambda stored, _: encode_splat_glb(stored)  # noqa: E731
    _register_splats(
        "ply", "PLY: one file per frame", ".ply", ply, SplatOptions,
        "SuperSplat, Blender with an add-on, Unity and Unreal with plug-ins", 56,
    )  # fmt: skip
    _register_splats(
        "compressed-ply", "Compressed PLY: one file per frame", ".compressed.ply", packed, SplatOptions,
        "SuperSplat, PlayCanvas", 16.3,
    )  # fmt: skip
    _register_splats(
        "spz",
        "SPZ: one small file per frame",
        ".spz",
        spz,
        SpzOptions,
        "Spark, Niantic's and Adobe's tools",
        14,
    )
    _register_splats(
        "sog", "SOG: one small file per frame", ".sog", sog, SplatOptions, "SuperSplat, PlayCanvas", 15.4
    )
    _register_splats(
        "splat-glb", "Splat GLB: one glTF file per frame, for engines", ".splat.glb", glb, FrameOptions,
        "engines that know KHR_gaussian_splatting", 60,
    )  # fmt: skip


def _register_videos() -> None:
    main = ("orbit", "seconds", "fps", "size", "azimuth_deg", "direction", "background")
    film, loop = {"seconds": 6.0}, {"seconds": 4.0, "fps": 20.0, "size": 256}
    clear = ClearVideoOptions
    for name, label, options, opens, suggested, bytes_each in (
        ("mp4", "MP4: a turn, or your own camera", VideoOptions, "everything that plays video", film, 0.02),
        (
            "webm",
            "WebM: a video with a clear background",
            clear,
            "browsers, OBS, DaVinci Resolve",
            film,
            0.05,
        ),
        (
            "mov",
            "MOV: ProRes 4444 with alpha, for editing",
            clear,
            "Final Cut, Premiere, Resolve",
            film,
            0.65,
        ),
        ("gif", "GIF: a short loop", VideoOptions, "everything that shows pictures", loop, 0.13),
    ):
        register(
            Format(
                name, label, f".{name}", options, partial(export_video, suffix=f".{name}"), opens=opens,
                main=main, suggested=suggested, estimate=per_pixel(bytes_each),
            )
        )  # fmt: skip
    register(
        Format(
            "png", "PNG: a picture of one view", ".png", PictureOptions, export_picture,
            opens="everything that shows pictures", main=("size", "width", "background", "mode"),
            estimate=lambda _, o: 0.3 * o.size * (o.width or o.size),
        )
    )  # fmt: skip


def _player_size(content: Content, options: Any) -> float:
    """viser's client and our own files, and what a Gaussian takes in each key frame."""
    return 1e6 + per_gaussian(7.2)(content, options)


def _register_own() -> None:
    register(
        Format(
            "html", "Player: one web page, plays offline", ".html", PlayerOptions, export_player,
            opens="any browser", main=("title",), estimate=_player_size, module="viser", extra="app",
        )
    )  # fmt: skip
    _register_videos()
    _register_all_splats()
    usd: dict[str, Any] = {"module": "pxr", "extra": "usd"}
    register(
        Format(
            "usd", "OpenUSD: moving splats in one file", ".usdc", UsdOptions, export_usd,
            opens="usdview and Omniverse with UsdVol splats", estimate=per_gaussian(44.5), **usd,
        )
    )  # fmt: skip
    register(
        Format(
            "glb", "GLB: an animated mesh, for Blender and engines", ".glb", GlbOptions, export_glb,
            opens="Blender, Unity, Unreal, Godot, Windows",
            main=("resolution", "colors", "texture_size", "num_frames"),
            estimate=per_vertex(12, 128),
        )
    )  # fmt: skip
    register(
        Format(
            "usd-mesh", "OpenUSD: an animated mesh", ".mesh.usdc", MeshOptions, export_usd_mesh,
            opens="Blender, Houdini, Omniverse", main=("resolution", "num_frames"),
            estimate=per_vertex(12, 128), **usd,
        )
    )  # fmt: skip


_register_own()
