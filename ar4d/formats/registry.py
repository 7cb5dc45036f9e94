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
from ar4d.formats import paths
from ar4d.formats.mesh import GlbOptions, MeshOptions, export_glb, export_usd_mesh
from ar4d.formats.player import PlayerOptions, export_player
from ar4d.formats.splats import FrameOptions, SplatOptions, SpzOptions, export_splats
from ar4d.formats.splats.glb import encode_splat_glb
from ar4d.formats.splats.ply import encode_compressed_ply, encode_ply
from ar4d.formats.splats.sog import encode_sog
from ar4d.formats.splats.spz import encode_spz
from ar4d.formats.usd import UsdOptions, export_usd
from ar4d.formats.video import VideoOptions, export_video


@dataclass(frozen=True)
class Choice:
    """One line of a list from which people choose what to export."""

    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Values for fields of the format's options; the others keep their defaults."""


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

    choices: tuple[Choice, ...] = ()
    """Several lines for a list of formats, where one does not serve everyone."""

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

    @property
    def menu(self) -> tuple[Choice, ...]:
        """Its lines in a list of formats."""
        return self.choices or (Choice(self.label),)

    def writes_folder(self, options: Any) -> bool:
        """Whether `options` ask for a folder with one file per frame."""
        return self.per_frame and options.time is None

    def default_name(self, options: Any) -> str:
        """The name of the file or the folder that is written where no other is given."""
        return self.name if self.writes_folder(options) else f"asset{self.suffix}"

    def make_options(self, values: Mapping[str, Any]) -> Any:
        """The options with `values` in place of some defaults.

        Raises:
            UserError: the format has no option of that name.
        """
        unknown = sorted(set(values) - self.option_names)
        if unknown:
            raise UserError(
                f'{self.name} has no option "{unknown[0]}"; its options are: '
                f"{', '.join(sorted(self.option_names))}."
            )
        return self.options(**values)


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


def menu() -> dict[str, tuple[Format, Choice]]:
    """The choices of all formats that can be written here, by a key that stays the same.

    The first choice of a format has the format's name as its key.
    """
    return {
        format.name + (f"#{index + 1}" if index else ""): (format, choice)
        for format in all_formats().values()
        if format.available
        for index, choice in enumerate(format.menu)
    }


def export(asset: Asset4D, name: str, out: Path | str, options: Any = None) -> list[Path]:
    """Writes `asset` in one of `FORMATS`; each file appears whole or not at all.

    Args:
        name: of the format.
        out: a file with the format's ending; for a format that writes one file per frame a folder,
            unless its option `time` asks for a single file.
        options: of the format's own type; its defaults if not given.

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
    return format.write(asset, Path(out), options)


def _register_splats(
    name: str, label: str, suffix: str, encode: Callable[[Any, Any], bytes], options: type[FrameOptions]
) -> None:
    """A splat format; where the files do not say which way is up, people choose by the viewer."""
    choices = (
        Choice(f"{label}, for SuperSplat", {"viewer": "supersplat"}),
        Choice(f"{label}, for three.js and Spark", {"viewer": "three"}),
    )
    write = partial(export_splats, encode=encode, suffix=suffix)
    turnable = issubclass(options, SplatOptions)
    register(Format(name, label, suffix, options, write, per_frame=True, choices=choices if turnable else ()))


def _register_own() -> None:
    register(Format("html", "Player: one web page, plays offline", ".html", PlayerOptions, export_player))
    for name in ("mp4", "gif"):
        label, suffix = f"{name.upper()}: a turn around the object", f".{name}"
        register(Format(name, label, suffix, VideoOptions, partial(export_video, suffix=suffix)))
    ply, packed = lambda stored, _: encode_ply(stored), lambda stored, _: encode_compressed_ply(stored)
    _register_splats("ply", "PLY: one file per frame", ".ply", ply, SplatOptions)
    _register_splats(
        "compressed-ply", "Compressed PLY: one file per frame", ".compressed.ply", packed, SplatOptions
    )
    spz, sog = lambda stored, o: encode_spz(stored, o.version), lambda stored, _: encode_sog(stored)
    _register_splats("spz", "SPZ: one small file per frame", ".spz", spz, SpzOptions)
    _register_splats("sog", "SOG: one small file per frame", ".sog", sog, SplatOptions)
    glb = lambda stored, _: encode_splat_glb(stored)  # noqa: E731
    _register_splats(
        "splat-glb", "Splat GLB: one glTF file per frame, for engines", ".splat.glb", glb, FrameOptions
    )
    usd: dict[str, Any] = {"module": "pxr", "extra": "usd"}
    register(Format("usd", "OpenUSD: moving splats in one file", ".usdc", UsdOptions, export_usd, **usd))
    register(
        Format(
            "glb", "GLB: an animated mesh, for Blender and engines", ".glb", GlbOptions, export_glb,
            choices=(
                Choice("GLB: an animated mesh, for Blender and engines"),
                Choice("GLB: an animated mesh with a texture", {"colors": "texture"}),
            ),
        )
    )  # fmt: skip
    register(
        Format("usd-mesh", "OpenUSD: an animated mesh", ".mesh.usdc", MeshOptions, export_usd_mesh, **usd)
    )


_register_own()
