"""A run's curves as inline SVG, which follows the page's light or dark theme."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app.runs.progress import Progress

WIDTH, HEIGHT = 240.0, 84.0
MARGIN = 8.0  # left and right, so that the first and the last dot are not clipped


def curves(progress: Progress) -> str:
    """PSNR and loss per frame, or over the steps while a stage works on the whole clip."""
    if progress.stage is not None and len(progress.curve) > 1:
        title = progress.title(progress.stage)
        last = len(progress.curve) - 1
        xs = [i / last for i in range(last + 1)]
        charts = [
            _chart(f"PSNR, {title}", " dB", xs, [psnr for _, psnr in progress.curve], dots=False),
            _chart(f"Loss, {title}", "", xs, [loss for loss, _ in progress.curve], dots=False),
        ]
    else:
        last = max(progress.num_frames - 1, 1)
        charts = [
            _chart(title, unit, [k / last for k in sorted(values)], [values[k] for k in sorted(values)])
            for title, unit, values in (
                ("PSNR per frame", " dB", progress.psnr),
                ("Loss per frame", "", progress.loss),
            )
        ]
    return f'<div class="curves">{"".join(charts)}</div>'


def _chart(title: str, unit: str, xs: Sequence[float], ys: Sequence[float], dots: bool = True) -> str:
    """One curve with its last value and its range.

    Args:
        xs: positions in [0, 1].
    """
    low, high = (min(ys), max(ys)) if ys else (0.0, 1.0)
    room = (high - low) * 0.12 or max(abs(high) * 0.05, 1e-6)
    scale = HEIGHT / (high - low + 2 * room)
    points = [
        (MARGIN + x * (WIDTH - 2 * MARGIN), HEIGHT - (y - low + room) * scale)
        for x, y in zip(xs, ys, strict=True)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in points) if dots else ""
    rules = "".join(f"M0 {y:g}H{WIDTH:g}" for y in (0.5, HEIGHT / 2, HEIGHT - 0.5))
    latest = f"{_number(ys[-1])}{unit}" if ys else "–"
    lowest, highest = (_number(low), _number(high)) if ys else ("", "")
    return (
        f"<figure><figcaption>{escape(title)}<b>{latest}</b></figcaption>"
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(title)}, latest {latest}"><path d="{rules}"/><polyline points="{line}"/>'
        f"{marks}</svg>"
        f"<small><span>low {lowest}</span><span>high {highest}</span></small></figure>"
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"
