"""Copies what a run has recorded to a run that takes over its frames."""

from __future__ import annotations

from ar4d.events import FrameFinished, to_json
from ar4d.files import write_text
from ar4d.runs import Run


def copy_history(old: Run, new: Run, first_frame: int) -> None:
    """Copies the events of the first `first_frame` generated frames, so that their curves are not lost."""
    taken = old.order[:first_frame]
    kept = [e for e in old.events() if isinstance(e, FrameFinished) and e.frame_index in taken]
    if kept:
        write_text(new.folder / "events.jsonl", "".join(f"{to_json(event)}\n" for event in kept))
