"""A video, animation, picture or folder becomes RGBA frames of one subject in the reference camera."""

from ar4d.clip.canonical import choose_canonical
from ar4d.clip.clip import Clip, ClipSettings, Crop, cutout_preview, generation_order
from ar4d.clip.corrections import Corrections, KeyBox, Mark
from ar4d.clip.loading import load_clip
from ar4d.clip.view_folder import read_views

__all__ = [
    "Clip",
    "ClipSettings",
    "Corrections",
    "Crop",
    "KeyBox",
    "Mark",
    "choose_canonical",
    "cutout_preview",
    "generation_order",
    "load_clip",
    "read_views",
]
