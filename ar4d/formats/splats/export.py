"""Splat files of single frames: one file, or a folder with one file per frame.

Every frame has the same Gaussians in the same order, already deformed; that order is a Z-curve through the
first frame, which keeps neighbours side by side for the packed formats.

The encoders are plain NumPy on purpose: gsplat's exporter sorts each frame anew and drops faint
Gaussians, so that Gaussian i is another one in every file; gsply compiles for seconds at its first
call and runs Numba's parallel loops, which end the process when two threads export on a machine
without OpenMP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ar4d.asset import Asset4D
from ar4d.errors import UserError
from ar4d.formats import paths, readme, timeline
from ar4d.formats.progress import track
from ar4d.formats.splats.spz import SpzVersion
from ar4d.formats.splats.stored import StoredGaussians, stored_gaussians, z_order
from ar4d.formats.viewers import Up, ViewerName, up_for


@dataclass(frozen=True)
class FrameOptions:
    """Which frames become splat files."""

    num_frames: int | None = None
    """Frames, evenly spaced in time; the clip's own number if not given."""

    time: float | None = None
    """Writes one file, for this time in [0, 1], instead of a folder with one file per frame."""


@dataclass(frozen=True)
class SplatOptions(FrameOptions):
    """What goes into splat files whose format does not say which way is up."""

    viewer: Annotated[ViewerName | None, tyro.conf.arg(name="for")] = None
    """The program in which the files stand upright. SuperSplat and PlayCanvas' viewer turn every splat
    file over when they load it; three.js, Spark, viser and Adobe's tools show it as it is."""

    up: Up | None = None
    """Which way is up in the files, for a program that is not in that list; y if not given."""


@dataclass(frozen=True)
class SpzOptions(SplatOptions):
    """What goes into SPZ files."""

    version: SpzVersion = 3
    """Version 3 is what most programs read, Spark 2.2 among them; PlayCanvas' engine reads only version 4."""


def export_splats(
    asset: Asset4D,
    out: Path,
    options: FrameOptions,
    *,
    encode: Callable[[StoredGaussians, Any], bytes],
    suffix: str,
) -> list[Path]:
    """Writes the file `out` (where `options.time` is given) or one file per frame into the folder `out`.

    Args:
        encode: makes the bytes of one file from its Gaussians and `options`.

    Returns:
        Every file that was written, a README.txt with the conventions last.
    """
    up = up_for(options.viewer, options.up) if isinstance(options, SplatOptions) else "y"
    if isinstance(options, SpzOptions) and options.version not in (3, 4):
        raise UserError(f"SPZ files have version 3 or 4, not {options.version}; choose one of them.")
    if options.time is not None:
        times = [options.time]
        names = [paths.single_file(out, f".{suffix.rpartition('.')[2]}")]
    else:
        times = timeline.evenly_spaced(asset, options.num_frames)
        names = paths.sequence(out, len(times), suffix)
    order = z_order(timeline.evaluate(asset, times[0]))
    with paths.all_or_none(names):
        for t, path in track(zip(times, names, strict=True), len(times), "Writing frames"):
            gaussians = timeline.evaluate(asset, t).select(order)
            paths.write(path, encode(stored_gaussians(gaussians, up), options))
    text = readme.splats(asset, times, len(order), suffix, up)
    return [*names, readme.write(out, text)]
