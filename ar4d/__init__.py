"""A video goes in, an animated set of 3D Gaussians comes out (the AR4D method)."""
