"""What a finished run reached at the clip's own view, before and after the refinement."""

from __future__ import annotations

from html import escape

from app.page.html import mean, notice
from app.runs.progress import Progress

WORSE = 0.5  # dB by which a refinement may fall behind without a word


def both_stages(progress: Progress) -> str:
    """Both stages' mean PSNR side by side, the better one first, as HTML; empty for an unrefined run."""
    if not progress.generated or progress.stage is not None or progress.generated == progress.psnr:
        return ""
    generated, refined = mean(progress.generated.values()), mean(progress.psnr.values())
    pairs = sorted(
        [(generated, "generated, frame by frame"), (refined, "refined, one field for all")], reverse=True
    )
    cells = "".join(
        f'<div class="{"better" if k == 0 else ""}"><b>{value:.2f} dB</b><span>{escape(name)}</span></div>'
        for k, (value, name) in enumerate(pairs)
    )
    said = ""
    if refined < generated - WORSE:
        said = notice(
            f"At the clip's own view the refined asset is {generated - refined:.1f} dB worse than what "
            "the stage before it had: compare both in the viewer before you take it home.",
            "warning",
        )
    hint = '<p class="hint">PSNR at the clip\'s frames only; between them nothing can be measured.</p>'
    return f'<div class="numbers both">{cells}</div>{hint}{said}'
