"""A video goes in, an animated set of 3D Gaussians comes out (the AR4D method)."""

import os

# Before torch is imported: its OpenMP workers would otherwise spin between two parallel regions and
# take the cores from our own kernels (and from every other process).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
