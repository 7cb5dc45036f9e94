"""How good an asset is: measured against its own clip, and against views that no frame shows."""

from ar4d.evaluation.report import (
    Report,
    Scores,
    Show,
    cells,
    compare,
    evaluate,
    find_lpips,
    mean,
    reference_metrics,
    score,
    shown,
)

__all__ = [
    "Report",
    "Scores",
    "Show",
    "cells",
    "compare",
    "evaluate",
    "find_lpips",
    "mean",
    "reference_metrics",
    "score",
    "shown",
]
