"""Meshes: a surface around the Gaussians that follows them through the clip, as GLB or USD."""

from __future__ import annotations

from ar4d.formats.mesh.export import GlbOptions, MeshOptions, export_glb, export_usd_mesh

__all__ = ["GlbOptions", "MeshOptions", "export_glb", "export_usd_mesh"]
