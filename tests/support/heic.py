"""HEIC files as phones write them: HEVC tiles in a grid, an alpha plane as an auxiliary picture, a rotation.

The boxes are those of ISO/IEC 14496-12 (containers), 23008-12 (HEIF) and 14496-15 (HEVC configuration).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TILE = 128  # pixels; HEVC encoders refuse much smaller pictures


@dataclass
class _Item:
    kind: bytes  # hvc1 or grid
    data: bytes
    properties: list[tuple[int, bool]]  # number in ipco from 1 on, and whether a reader must know it
    hidden: bool = False
    tiles: list[int] = field(default_factory=list)  # item numbers a grid is made of
    alpha_of: int | None = None


def write_heic(path: Path, picture: np.ndarray, quarter_turns: int = 0) -> Path:
    """Write a picture in tiles.

    Args:
        picture: [h, w, 3 or 4] uint8 as stored; both sides are multiples of `TILE`.
        quarter_turns: how often the reader has to turn it, anticlockwise, by 90°.
    """
    height, width = picture.shape[:2]
    properties: list[bytes] = []
    items: list[_Item] = []
    _add_picture(items, properties, picture[..., :3], quarter_turns)
    if picture.shape[2] == 4:
        primary = len(items)
        grey = np.repeat(picture[..., 3:], 3, axis=2)
        _add_picture(items, properties, grey, quarter_turns)
        items[-1].alpha_of, items[-1].hidden = primary, True
        properties.append(_full(b"auxC", 0, 0, b"urn:mpeg:hevc:2015:auxid:1\0"))
        items[-1].properties.append((len(properties), True))
    else:
        primary = len(items)
    start = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    size = len(_meta(items, properties, primary, 0))
    head = _meta(items, properties, primary, len(start) + size + 8)
    path.write_bytes(start + head + _box(b"mdat", *[item.data for item in items]))
    assert (height % TILE, width % TILE) == (0, 0)
    return path


def _add_picture(items: list[_Item], properties: list[bytes], picture: np.ndarray, turns: int) -> None:
    """Append the tiles and the grid of one picture."""
    height, width = picture.shape[:2]
    rows, columns = height // TILE, width // TILE
    first = len(items) + 1
    tile_properties: list[tuple[int, bool]] = []
    for row in range(rows):
        for column in range(columns):
            tile = picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            configuration, slices = _encode(np.ascontiguousarray(tile))
            if not tile_properties:
                size = _full(b"ispe", 0, 0, struct.pack(">II", TILE, TILE))
                properties += [_box(b"hvcC", configuration), size]
                tile_properties = [(len(properties) - 1, True), (len(properties), False)]
            items.append(_Item(b"hvc1", slices, list(tile_properties), hidden=True))
    properties.append(_full(b"ispe", 0, 0, struct.pack(">II", width, height)))
    grid_properties = [(len(properties), False)]
    if turns:
        properties.append(_box(b"irot", bytes([turns % 4])))
        grid_properties.append((len(properties), True))
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    tiles = list(range(first, first + rows * columns))
    items.append(_Item(b"grid", grid, grid_properties, tiles=tiles))


def _encode(tile: np.ndarray) -> tuple[bytes, bytes]:
    """The decoder configuration, and the picture's slices with their lengths."""
    codec = av.CodecContext.create("libx265", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width = codec.height = TILE
    codec.pix_fmt, codec.time_base = "yuv420p", Fraction(1, 25)
    codec.options = {
        "x265-params": "log-level=none:keyint=1:range=full:colormatrix=bt709:info=0",
        "crf": "10",
    }
    frame = av.VideoFrame.from_ndarray(tile, "rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709", dst_color_range="JPEG"
    )
    stream = b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
    units = [unit for unit in stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
    kinds = [unit[0] >> 1 & 63 for unit in units]
    sets = [next(u for u, k in zip(units, kinds, strict=True) if k == kind) for kind in (32, 33, 34)]
    profile = sets[1].replace(b"\0\0\3", b"\0\0")[3:15]  # profile, tier and level of the sequence's set
    configuration = b"\1" + profile + bytes.fromhex("f000fcfdf8f800000f03")
    for kind, unit in zip((32, 33, 34), sets, strict=True):
        configuration += struct.pack(">BHH", 0x80 | kind, 1, len(unit)) + unit
    slices = [u for u, k in zip(units, kinds, strict=True) if k < 32]
    return configuration, b"".join(struct.pack(">I", len(u)) + u for u in slices)


def _meta(items: list[_Item], properties: list[bytes], primary: int, offset: int) -> bytes:
    infos, places, uses, references = [], b"", b"", []
    for number, item in enumerate(items, start=1):
        name = struct.pack(">HH4s", number, 0, item.kind) + b"\0"
        infos.append(_full(b"infe", 2, int(item.hidden), name))
        places += struct.pack(">HHHII", number, 0, 1, offset, len(item.data))
        offset += len(item.data)
        uses += struct.pack(">HB", number, len(item.properties))
        uses += bytes(0x80 * essential | index for index, essential in item.properties)
        if item.tiles:
            targets = struct.pack(f">HH{len(item.tiles)}H", number, len(item.tiles), *item.tiles)
            references.append(_box(b"dimg", targets))
        if item.alpha_of is not None:
            references.append(_box(b"auxl", struct.pack(">HHH", number, 1, item.alpha_of)))
    count = len(items)
    return _full(
        b"meta",
        0,
        0,
        _full(b"hdlr", 0, 0, b"\0\0\0\0pict", bytes(12), b"\0"),
        _full(b"pitm", 0, 0, struct.pack(">H", primary)),
        _full(b"iloc", 0, 0, b"\x44\0", struct.pack(">H", count), places),
        _full(b"iinf", 0, 0, struct.pack(">H", count), *infos),
        _full(b"iref", 0, 0, *references),
        _box(
            b"iprp",
            _box(b"ipco", *properties),
            _full(b"ipma", 0, 0, struct.pack(">I", count), uses),
        ),
    )


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)
