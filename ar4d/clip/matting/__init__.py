"""The subject of a clip cut out of its background: by its own alpha, by a plain colour, by a network."""

from ar4d.clip.matting.matte import Background, Matte, Selection, choose_matte, subject_opacity

__all__ = ["Background", "Matte", "Selection", "choose_matte", "subject_opacity"]
