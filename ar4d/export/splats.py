"""Splat files of single frames: 3DGS PLY, PlayCanvas' compressed PLY, Niantic's SPZ.

The files hold what the optimisers of 3D Gaussian splatting hold, not what a renderer uses: logits of
opacities, logarithms of scales, and colour as the constant term of spherical harmonics,
f_dc = (rgb - 1/2) / C0. Every frame has the same Gaussians in the same order, already deformed; that
order is a Z-curve through the first frame, which keeps neighbours side by side for the packed formats.

The encoders are plain NumPy on purpose: gsplat's exporter sorts each frame anew and drops faint
Gaussians, so that Gaussian i is another one in every file; gsply compiles for seconds at its first
call and runs Numba's parallel loops, which end the process when two threads export on a machine
without OpenMP.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from ar4d.asset import Asset4D
from ar4d.export import paths, timeline
from ar4d.export.viewers import Up, ViewerName, up_for
from ar4d.gaussians import Gaussians, multiply_quaternions

SH_C0 = 0.28209479177387814
CHUNK_SIZE = 256  # Gaussians that share their bounds in a compressed PLY
SPZ_VERSION = 3
SPZ_FRACTIONAL_BITS = 14  # positions in steps of 6e-5, up to ±512

NOTE = """\
{count} splat files from ar4d, one a frame, {fps:g} frames a second ({seconds:.3g} s in all).
Every file holds the same {num_gaussians} Gaussians in the same order, already deformed.
Axes: right-handed, {up} is up, the clip was seen from +z; the object lies within [-1, 1].
Values as 3D Gaussian splatting stores them: logit opacity, log scales, rot_0..3 = w x y z,
rgb = 0.28209479 * f_dc + 0.5, no view-dependent colour.
"""


@dataclass(frozen=True)
class SplatOptions:
    """What goes into splat files."""

    num_frames: int | None = None
    """Frames, evenly spaced in time; the clip's own number if not given."""

    time: float | None = None
    """Writes one file, for this time in [0, 1], instead of a folder with one file a frame."""

    viewer: Annotated[ViewerName | None, tyro.conf.arg(name="for")] = None
    """The program that shall show the files upright. SuperSplat and PlayCanvas' viewer turn every splat
    file over when they load it; three.js, Spark, viser and Adobe's tools show it as it is."""

    up: Up | None = None
    """Which way is up in the files, for a program that is not in that list; y if not given."""


@dataclass(frozen=True)
class StoredGaussians:
    """Gaussians as the file formats count them."""

    means: np.ndarray  # [N, 3]
    f_dc: np.ndarray  # [N, 3] constant spherical-harmonics term
    logits: np.ndarray  # [N] of opacities
    log_scales: np.ndarray  # [N, 3]
    quats: np.ndarray  # [N, 4] wxyz, unit


def export_splats(
    asset: Asset4D,
    out: Path,
    options: SplatOptions,
    *,
    encode: Callable[[StoredGaussians], bytes],
    suffix: str,
) -> list[Path]:
    """Writes the file `out` (where `options.time` is given) or one file per frame into the folder `out`.

    A folder also gets a README.txt with the conventions. The list holds every file that was written.
    """
    up = up_for(options.viewer, options.up)
    if options.time is not None:
        path = paths.single_file(out, f".{suffix.rpartition('.')[2]}")
        gaussians = timeline.evaluate(asset, options.time)
        return [paths.write(path, encode(stored_gaussians(gaussians.select(z_order(gaussians)), up)))]
    times = timeline.evenly_spaced(asset, options.num_frames)
    names = paths.sequence(out, len(times), suffix)
    order = z_order(timeline.evaluate(asset, times[0]))
    for t, path in zip(times, names, strict=True):
        gaussians = timeline.evaluate(asset, t).select(order)
        paths.write(path, encode(stored_gaussians(gaussians, up)))
    seconds = timeline.duration(asset)
    note = NOTE.format(
        count=len(times), fps=max(len(times) - 1, 1) / seconds, seconds=seconds, up=up,
        num_gaussians=len(order),
    )  # fmt: skip
    return [*names, paths.write(out / "README.txt", note.encode())]


def stored_gaussians(gaussians: Gaussians, up: Up = "y") -> StoredGaussians:
    """Converts activated values to stored ones; `up="-y"` turns everything by 180° about z."""
    g = gaussians.to("cpu").map(torch.Tensor.float)
    means, quats = g.means, torch.nn.functional.normalize(g.quats, dim=-1)
    if up == "-y":
        half_turn = torch.tensor([0.0, 0.0, 0.0, 1.0])
        means = means * torch.tensor([-1.0, -1.0, 1.0])
        quats = multiply_quaternions(half_turn.expand_as(quats), quats)
    return StoredGaussians(
        means=means.numpy(),
        f_dc=((g.colors - 0.5) / SH_C0).numpy(),
        logits=g.opacities.clamp(1e-6, 1 - 1e-6).logit().numpy(),
        log_scales=g.scales.clamp_min(1e-8).log().numpy(),
        quats=quats.numpy(),
    )


def encode_ply(stored: StoredGaussians) -> bytes:
    """A binary PLY with the properties of 3DGS, without normals and without higher harmonics."""
    columns = np.column_stack([stored.means, stored.f_dc, stored.logits, stored.log_scales, stored.quats])
    names = ["x", "y", "z", *_numbered("f_dc", 3), "opacity", *_numbered("scale", 3), *_numbered("rot", 4)]
    header = _ply_header([("vertex", len(columns), [f"float {name}" for name in names])])
    return header + columns.astype("<f4").tobytes()


def encode_compressed_ply(stored: StoredGaussians) -> bytes:
    """PlayCanvas' packed PLY: 16 bytes a Gaussian, relative to the bounds of its chunk of 256.

    Positions and scales take 11 + 10 + 11 bits, colour and opacity 8 each, the rotation 2 + 3 × 10
    (the largest component is left out). Layout as SuperSplat reads it.
    """
    opacities = 1 / (1 + np.exp(-stored.logits))
    position_bounds, positions = _relative_to_chunks(stored.means)
    scale_bounds, scales = _relative_to_chunks(stored.log_scales.clip(-20, 20))
    color_bounds, colors = _relative_to_chunks(stored.f_dc * SH_C0 + 0.5)
    packed = np.column_stack([
        _pack(positions, (11, 10, 11)),
        _pack_rotations(stored.quats),
        _pack(scales, (11, 10, 11)),
        _pack(np.column_stack([colors, opacities]), (8, 8, 8, 8)),
    ])  # fmt: skip
    bounds = np.concatenate([position_bounds, scale_bounds, color_bounds], axis=1)
    groups = (("", "xyz"), ("scale_", "xyz"), ("", "rgb"))
    bound_names = [f"{end}_{kind}{axis}" for kind, axes in groups for end in ("min", "max") for axis in axes]
    packed_names = [f"packed_{name}" for name in ("position", "rotation", "scale", "color")]
    header = _ply_header([
        ("chunk", len(bounds), [f"float {name}" for name in bound_names]),
        ("vertex", len(packed), [f"uint {name}" for name in packed_names]),
    ])  # fmt: skip
    return header + bounds.astype("<f4").tobytes() + packed.astype("<u4").tobytes()


def encode_spz(stored: StoredGaussians) -> bytes:
    """SPZ version 3: gzip over a header and one section per attribute; 20 bytes a Gaussian before gzip.

    Its axes (right, up, back) are this project's own. Version 3 stores rotations to 0.26°, version
    2, which the oldest readers need, errs by up to 12°.
    """
    fixed = np.round(stored.means * 2.0**SPZ_FRACTIONAL_BITS).clip(-(2**23), 2**23 - 1).astype("<i4")
    opacities = 1 / (1 + np.exp(-stored.logits))
    sections = [
        fixed[..., None].view(np.uint8)[..., :3],  # 24 bits, little-endian
        _bytes(opacities * 255),
        _bytes(stored.f_dc * (0.15 * 255) + 127.5),
        _bytes((stored.log_scales + 10) * 16),
        _spz_rotations(stored.quats).astype("<u4"),
    ]
    header = struct.pack("<4sIIBBBB", b"NGSP", SPZ_VERSION, len(fixed), 0, SPZ_FRACTIONAL_BITS, 0, 0)
    return gzip.compress(header + b"".join(section.tobytes() for section in sections), mtime=0)


def z_order(gaussians: Gaussians) -> torch.Tensor:
    """[N] indices along a Z-order curve through a 1024³ grid around the means."""
    means = gaussians.means
    low, high = means.amin(0), means.amax(0)
    cells = ((means - low) / (high - low).clamp_min(1e-12) * 1023).long()  # [N, 3]
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        cells = (cells | (cells << shift)) & mask  # in the end two zeros follow every bit
    return torch.argsort(cells[:, 0] | (cells[:, 1] << 1) | (cells[:, 2] << 2), stable=True)


def _relative_to_chunks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of each chunk, [M, 6] (minima, then maxima), and `values` [N, 3] between them as 0..1."""
    starts = np.arange(0, len(values), CHUNK_SIZE)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    chunk = np.arange(len(values)) // CHUNK_SIZE
    relative = (values - low[chunk]) / np.maximum(high - low, 1e-12)[chunk]
    return np.concatenate([low, high], axis=1), relative


def _pack(values: np.ndarray, bits: tuple[int, ...]) -> np.ndarray:
    """[N] uint32 of the columns of `values` in 0..1, the first column in the highest bits."""
    packed = np.zeros(len(values), np.uint32)
    for column, width in zip(values.T, bits, strict=True):
        level = np.floor(column.clip(0, 1) * (2**width - 1) + 0.5).astype(np.uint32)
        packed = (packed << np.uint32(width)) | level
    return packed


def _smallest_three(quats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index [N] of each largest component, and the other three [N, 3] with the largest made positive."""
    largest = np.abs(quats).argmax(1)
    signed = quats * np.where(np.take_along_axis(quats, largest[:, None], 1) < 0, -1, 1)
    others = signed[np.arange(4) != largest[:, None]].reshape(-1, 3)
    return largest.astype(np.uint32), others


def _pack_rotations(quats: np.ndarray) -> np.ndarray:
    largest, others = _smallest_three(quats)
    return (largest << np.uint32(30)) | _pack(others * np.sqrt(0.5) + 0.5, (10, 10, 10))


def _spz_rotations(quats: np.ndarray) -> np.ndarray:
    """SPZ counts components as xyzw and stores a sign and nine bits of magnitude for each of three."""
    largest, others = _smallest_three(np.roll(quats, -1, axis=1))
    magnitude = np.round(np.abs(others) * np.sqrt(2) * 511).clip(0, 511).astype(np.uint32)
    fields = magnitude | ((others < 0).astype(np.uint32) << np.uint32(9))
    return (largest << np.uint32(30)) | (fields[:, 0] << 20) | (fields[:, 1] << 10) | fields[:, 2]


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.round(values).clip(0, 255).astype(np.uint8)


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}_{index}" for index in range(count)]


def _ply_header(elements: list[tuple[str, int, list[str]]]) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0"]
    for name, count, properties in elements:
        lines += [f"element {name} {count}", *(f"property {p}" for p in properties)]
    return "\n".join([*lines, "end_header\n"]).encode()
