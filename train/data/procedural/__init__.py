"""Procedural objects, which need no download: their parts in any pose, and point clouds on them."""
