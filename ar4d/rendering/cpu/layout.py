"""Sizes, thresholds and columns that the kernels share."""

from __future__ import annotations

import numpy as np

TILE = 32  # px
CHUNK = 1024  # Gaussians that a thread takes at once

# Where the parts of a splat begin, in `splats` [C, N, 10] and in the gradients of each.
MEAN, SHAPE, OPACITY, COLOR, DEPTH = 0, 2, 5, 6, 9
SPLAT_SIZE = 10

NEAR = np.float32(0.01)  # world units in front of the camera
BLUR = np.float32(0.3)  # px², added to both variances of a splat
ALPHA_MIN = np.float32(1 / 255)  # less is not drawn
ALPHA_MAX = np.float32(0.999)
T_MIN = np.float32(1e-4)  # a pixel's transmittance stays above it

ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
