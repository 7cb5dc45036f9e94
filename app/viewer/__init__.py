"""The viewer: a run's 4D asset in viser, with its own timeline in every browser."""

from app.viewer.run_viewer import RunViewer

__all__ = ["RunViewer"]
