"""A ledger of finished frames: every file that was once whole has to stay what it was."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import torch

from ar4d.errors import UserError
from ar4d.gaussians import Gaussians
from ar4d.runs import Run


@dataclass(frozen=True)
class Verdict:
    """What became of the frames."""

    runs: int
    frames: int
    """Frames that were seen finished at any time."""
    lost: tuple[str, ...]
    """Those that are gone, changed or unreadable, one sentence each."""
    different: tuple[str, ...]
    """Those that differ from the same frame of an undisturbed run."""


class Ledger:
    """Watches a server's folder. It is read while the server works, so only whole files count."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._frames: dict[Path, str] = {}
        self._lock = threading.Lock()

    def look(self) -> None:
        """Notes the frames that are new."""
        found = [*self._root.glob("*/*/stage1.safetensors"), *self._root.glob("*/*/frames/*.safetensors")]
        with self._lock:
            for path in found:
                if path not in self._frames and not path.name.startswith("."):
                    self._frames[path] = _digest(path)

    def __len__(self) -> int:
        return len(self._frames)

    def check(self, references: dict[str, Path]) -> Verdict:
        """Reads every frame that was ever seen.

        Args:
            references: undisturbed runs, by the name of their clip.
        """
        self.look()
        lost, different, runs = [], [], set()
        for path, digest in sorted(self._frames.items()):
            run = path.parent if path.name == "stage1.safetensors" else path.parent.parent
            runs.add(run)
            name = str(path.relative_to(self._root))
            if not path.exists():
                lost.append(f"{name} is gone.")
            elif _digest(path) != digest:
                lost.append(f"{name} was changed.")
            elif problem := _unreadable(path):
                lost.append(f"{name} cannot be used: {problem}.")
            elif (reference := _reference(run, references)) is not None:
                same = reference / path.relative_to(run)
                if not same.exists() or _digest(same) != digest:
                    different.append(f"{name} differs from {same.name} of the undisturbed run.")
        return Verdict(len(runs), len(self._frames), tuple(lost), tuple(different))


def _reference(run: Path, references: dict[str, Path]) -> Path | None:
    return references.get(Path(Run.open(run).record.recipe.source).name)


def _unreadable(path: Path) -> str:
    try:
        frame = Gaussians.load(path)
    except (UserError, OSError, ValueError, KeyError) as error:
        return str(error).rstrip(".")
    return "" if bool(torch.isfinite(frame.means).all()) else "it holds numbers that are not finite"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
