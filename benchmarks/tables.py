"""Markdown tables of the results of benchmarks/bench4d.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from ar4d.evaluation import Scores, format_scores, mean

_COLUMNS = {
    "reference": ("PSNR", "SSIM", "LPIPS"),
    "test": ("PSNR", "SSIM", "LPIPS", "IoU"),
    "sides": ("roughness", "fog", "specks", "fraying", "motion"),
    "edges": ("seam",),
}
_TITLES = {"reference": "ref", "test": "test", "sides": "side", "edges": "edge"}
_LEGEND = """\
ref: the clip's own camera. test: azimuths -75, 15, 105 and 195, which no frame of the clip shows.
side: 90, 180, 270 and -75. edge: 90 and 270. PSNR (dB), SSIM and IoU: larger is better; LPIPS, fog and
seam: smaller is better; roughness, specks and fraying: 1 is the truth's; motion: PSNR of the differences
between frames, dB. Seconds: lifting alone."""


def markdown(results: dict, order: Sequence[str]) -> str:
    """All tables, with the settings, machine and commands of the measurement.

    Args:
        results: the contents of bench4d.json.
        order: of the variants.
    """
    finished = {variant: results["finished"][variant] for variant in order if variant in results["finished"]}
    settings, frames = results["settings"], results["frames"]
    recipe = f"Preset {settings['preset']}, {settings['size']} pixels, {frames} frames"
    counts = ", ".join(f"{variant} {len(pairs)}" for variant, pairs in finished.items())
    parts = [
        "# Objects with ground truth",
        f"{recipe}. Means over objects (number of objects: {counts}).",
        _table("variant", ((variant, list(pairs.values())) for variant, pairs in finished.items())),
        _LEGEND,
    ]
    if "full" in finished:
        rows = ((name, [result]) for name, result in sorted(finished["full"].items()))
        parts += ["## The full method, object by object", _table("object", rows)]
    notes = sorted(
        {note for pairs in finished.values() for r in pairs.values() for note in r["report"]["notes"]}
    )
    commands = "\n".join(f"    {command}" for command in results["commands"])
    return "\n\n".join([*parts, *notes, f"Machine: {results['machine']}. Commands:", commands]) + "\n"


def _table(first: str, rows: Iterable[tuple[str, list[dict]]]) -> str:
    head = [
        first,
        *(f"{_TITLES[group]} {name}" for group, names in _COLUMNS.items() for name in names),
        "seconds",
    ]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, results in rows:
        seconds = fmean(result["seconds"] for result in results)
        lines.append([name, *_row(results), f"{seconds:.0f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(results: list[dict]) -> list[str]:
    row = []
    for group, names in _COLUMNS.items():
        found = [result["report"].get(group) or result.get(group) for result in results]
        scores = mean([Scores(scores) for scores in found if scores])
        named = format_scores(scores) if scores else {}
        row += [named.get(name, "–") for name in names]
    return row
