#!/usr/bin/env bash
# FFmpeg's scaler writes wrong colours into packed 16-bit RGB.
#
# Versions     PyAV 18.1.0 with its bundled FFmpeg 8 (libswscale 9.5), numpy 2.4.6, on x86-64
# Input        one 10-bit YUV 4:2:0 frame of a single colour (Y 500, U 400, V 600, limited range, BT.709), converted
#              without a change of size
# Expectation  `rgb48le` and `gbrp16le` are two layouts of the same 16-bit RGB, so a conversion to either gives the
#              same colour, (0.650, 0.473, 0.265), with every choice of scaling algorithm
# Behaviour    with the algorithm "area" and full chroma interpolation, `rgb48le` comes out with another green and
#              another blue, (0.650, 0.047, 0.490), without an error; `gbrp16le` is right, and so is `rgb48le` with
#              "bicubic"
# Effect       HDR clips that are read as rgb48 with the flags recommended for quality change their hue
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

SIZE = 64
FULL = Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND


def frame() -> av.VideoFrame:
    made = av.VideoFrame(SIZE, SIZE, "yuv420p10le")
    for plane, value in zip(made.planes, (500, 400, 600)):
        plane.update(np.full((plane.height, plane.line_size // 2), value, np.uint16).tobytes())
    return made


def color(layout: str, algorithm: Interpolation) -> np.ndarray:
    done = VideoReformatter().reformat(
        frame(), SIZE, SIZE, layout, src_colorspace=Colorspace.ITU709, interpolation=algorithm | FULL
    )
    return done.to_ndarray()[SIZE // 2, SIZE // 2].astype(float) / 65535


y, u, v = (500 - 64) / 876, (400 - 512) / 896, (600 - 512) / 896
right = np.array([y + 1.5748 * v, y - 0.1873 * u - 0.4681 * v, y + 1.8556 * u])
print(f"PyAV {av.__version__}, libswscale {'.'.join(map(str, av.library_versions['libswscale']))}")
print("by the definition of BT.709:", right.round(3))
distances = {}
for name in ("BICUBIC", "AREA"):
    for layout in ("gbrp16le", "rgb48le"):
        found = color(layout, Interpolation[name])
        distances[name, layout] = np.abs(found - right).max()
        print(f"{name:8} {layout:9}", found.round(3))
wrong = {key for key, distance in distances.items() if distance > 0.1}
assert wrong == {("AREA", "rgb48le")}, f"this has changed: wrong are {sorted(wrong)}"
assert all(distance < 0.01 for key, distance in distances.items() if key not in wrong)
PYTHON
