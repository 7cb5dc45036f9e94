"""How good an asset is: measured against its own clip, and against views that no frame shows."""

from ar4d.evaluation.availability import NotAvailable
from ar4d.evaluation.registry import METRICS, Frames, Metric, format_scores, ready, register
from ar4d.evaluation.report import (
    Report,
    ViewRenderer,
    asset_renderer,
    compare,
    evaluate,
    evaluate_views,
    reference_metrics,
)
from ar4d.evaluation.scores import Scores, mean

__all__ = [
    "METRICS",
    "Frames",
    "Metric",
    "NotAvailable",
    "Report",
    "Scores",
    "ViewRenderer",
    "asset_renderer",
    "compare",
    "evaluate",
    "evaluate_views",
    "format_scores",
    "mean",
    "ready",
    "reference_metrics",
    "register",
]
