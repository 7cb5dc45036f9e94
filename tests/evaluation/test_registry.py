"""A metric is one registry entry."""

import pytest
import torch

from ar4d.evaluation import METRICS, Metric, NotAvailable, Scores, format_scores, register
from ar4d.evaluation.registry import Frames, measure, ready


@pytest.fixture
def bias():
    """A metric from outside: by how much the frames are brighter than the truth."""
    entry = Metric("bias", "bias", "{:+.2f}", "lower", lambda weights: lambda a, b: (a.rgb - b.rgb).mean())
    register(entry)
    yield entry
    del METRICS["bias"]


def frames(value):
    return Frames(torch.full((2, 16, 16, 3), value), torch.ones(2, 16, 16))


def test_a_metric_from_outside_is_measured_and_printed(bias):
    measures, _ = ready({})
    scores = measure(measures, frames(0.75), frames(0.5))
    assert scores.bias == pytest.approx(0.25)
    assert format_scores(scores)["bias"] == "+0.25"


def test_what_cannot_be_measured_says_why_and_is_no_number(monkeypatch):
    monkeypatch.delenv("AR4D_LPIPS", raising=False)
    measures, reasons = ready({})
    assert "lpips" not in measures
    assert any("LPIPS was not measured" in reason for reason in reasons)
    scores = measure(measures, frames(0.5), frames(0.5))
    assert scores.lpips is None
    assert format_scores(scores)["LPIPS"] == "–"


def test_a_metric_may_be_unavailable(bias):
    register(Metric("bias", "bias", "{}", "lower", lambda weights: NotAvailable("bias needs a file.")))
    measures, reasons = ready({})
    assert "bias needs a file." in reasons
    assert measure(measures, frames(0.5), frames(0.5)).bias is None


def test_a_misspelt_metric_is_an_error():
    with pytest.raises(AttributeError, match="no metric called pnsr among psnr"):
        _ = Scores(psnr=1.0).pnsr
