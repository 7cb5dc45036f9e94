"""Colours of HDR and wide-gamut video, converted to the sRGB that everything after it expects.

HDR (ITU-R BT.2100: HLG and PQ) becomes SDR by the direct mapping of ITU-R BT.2408: its reference white
of 203 cd/m² is SDR's white, everything below keeps its colour, and brighter highlights become white.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc

HDR_TRANSFERS = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)  # PQ, HLG

_REFERENCE_WHITE = 203.0  # cd/m², BT.2408
_HLG_PEAK = 1000.0  # cd/m², the nominal display of BT.2100
_HLG_GAMMA = 1.2  # system gamma of that display
_LUMA_709 = np.array([0.2126, 0.7152, 0.0722], np.float32)
_LEVELS = 65536

# Linear light in BT.709 from linear light in other primaries (white D65), from their chromaticities.
_TO_BT709 = {
    ColorPrimaries.BT2020: np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
    ),
    ColorPrimaries.SMPTE432: np.array(  # Display P3
        [[1.2249, -0.2249, 0.0], [-0.0420, 1.0420, 0.0], [-0.0196, -0.0786, 1.0983]], np.float32
    ),
}


def needs_conversion(transfer: int, primaries: int) -> bool:
    """Whether a video with these colour tags (ITU-T H.273) has to be converted to be sRGB."""
    return transfer in HDR_TRANSFERS or primaries in _TO_BT709


def to_srgb(values: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Convert R'G'B' of an HDR or wide-gamut video to sRGB.

    Args:
        values: [h, w, 3] uint16, full range.
        transfer: the transfer characteristics' number in H.273; 16 is PQ, 18 HLG, all others SDR.
        primaries: the colour primaries' number in H.273.

    Returns:
        [h, w, 3] uint8.
    """
    light = _linear_table(transfer)[values]  # 1 is reference white
    matrix = _TO_BT709.get(ColorPrimaries(primaries)) if primaries in _TO_BT709 else None
    if matrix is not None:
        light = light @ matrix.T
    light = into_gamut(np.clip(light @ _LUMA_709, 0, 1), light)
    return _encoding_table()[np.round(light * (_LEVELS - 1)).astype(np.uint16)]


def into_gamut(luma: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Reduce the chroma of colours [h, w, 3] until they lie in [0, 1]; their luma [h, w] stays.

    What is as bright as white becomes white: there is no room for chroma.
    """
    luma = luma[..., None]
    offsets = colors - luma
    room = np.where(offsets > 0, 1 - luma, luma)
    share = np.minimum(1, (room / np.maximum(np.abs(offsets), 1e-6)).min(axis=-1, keepdims=True))
    return luma + share * offsets


@lru_cache(maxsize=4)
def _linear_table(transfer: int) -> np.ndarray:
    """Linear light [65536] float32 of each code value."""
    code = np.linspace(0, 1, _LEVELS)
    if transfer == ColorTrc.SMPTE2084:
        light = _pq_eotf(code) / _REFERENCE_WHITE
    elif transfer == ColorTrc.ARIB_STD_B67:
        # The system gamma acts on each channel, as in an SDR camera's chain. On luminance alone, as in the
        # OOTF of an HDR display, it would leave the colours paler than those of the SDR version.
        light = _HLG_PEAK * _hlg_inverse_oetf(code) ** _HLG_GAMMA / _REFERENCE_WHITE
    else:
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _encoding_table() -> np.ndarray:
    """The sRGB value [65536] uint8 of linear light from 0 to 1 (IEC 61966-2-1)."""
    light = np.linspace(0, 1, _LEVELS)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * code).astype(np.uint8)


def _pq_eotf(code: np.ndarray) -> np.ndarray:
    """BT.2100, table 4: cd/m² on the display."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = code ** (1 / m2)
    return 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_inverse_oetf(code: np.ndarray) -> np.ndarray:
    """BT.2100, table 5: scene light in [0, 1]."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
