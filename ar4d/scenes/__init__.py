"""Animated, textured meshes: read from files, made procedurally, placed before the orbit and drawn."""
