"""Splat files become Gaussians again: sequences made elsewhere, and this project's own exports."""

from __future__ import annotations

from ar4d.formats.readers.sequence import Sequence, read_sequence

__all__ = ["Sequence", "read_sequence"]
