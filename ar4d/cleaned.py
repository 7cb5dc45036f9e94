"""What a run's folder holds of a clean-up by hand: its edits, and the asset without the deleted splats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from ar4d.asset import CLEANED_FILE, Asset4D, load_asset
from ar4d.cleanup import Cleanup, clean
from ar4d.files import atomic, write_text

CLEANUP_FILE = "cleanup.json"


class CleanedByHand(ABC):
    """The part of a run that keeps both results: the asset as it was made, and as it was cleaned up."""

    folder: Path

    @property
    @abstractmethod
    def asset_path(self) -> Path:
        """File of the asset as it was made."""

    @abstractmethod
    def asset(self) -> Asset4D:
        """The asset as it was made."""

    @property
    def cleanup(self) -> Cleanup:
        """The clean-up of the result; one without edits if there was none.

        Raises:
            UserError: cleanup.json is damaged.
        """
        path = self.folder / CLEANUP_FILE
        return Cleanup.load(path) if path.exists() else Cleanup()

    def set_cleanup(self, cleanup: Cleanup) -> None:
        """Cleans the result up: writes the cleaned asset beside the original, which stays as it is.

        Args:
            cleanup: every edit, in place of those of an earlier clean-up; without edits, it is undone.

        Raises:
            UserError: the run is not finished, or nothing would be left.
        """
        cleaned = self.folder / CLEANED_FILE
        if not cleanup.edits:
            cleaned.unlink(missing_ok=True)
            (self.folder / CLEANUP_FILE).unlink(missing_ok=True)
            return
        asset = clean(self.asset(), cleanup)
        with atomic(cleaned) as path:
            asset.save(path)
        write_text(self.folder / CLEANUP_FILE, cleanup.to_json())

    def result(self, original: bool = False) -> Asset4D:
        """The finished asset as it was cleaned up by hand, or as it was made.

        Args:
            original: leaves the clean-up out.

        Raises:
            UserError: the run is not finished.
        """
        return (
            self.asset() if original or self.result_path == self.asset_path else load_asset(self.result_path)
        )

    @property
    def result_path(self) -> Path:
        """File of the finished asset as it was cleaned up, or else as it was made."""
        cleaned = self.folder / CLEANED_FILE
        return cleaned if cleaned.exists() else self.asset_path
