"""The report of a benchmark: one HTML page that needs nothing beside it, and Markdown for documents."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ar4d.bench.results import Pair, read_header, read_pairs
from ar4d.bench.tables import Results, Table, tables, unseen_psnr, worst_first
from ar4d.bench.variants import BASELINES
from ar4d.errors import UserError
from ar4d.files import write_text

WORST = 12
"""Worst cases that the page shows at its top."""
_WIDTH, _HEIGHT = 300, 110
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #2468b0; --second: #c05a1c; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
p.note { opacity: .75; max-width: 60rem; margin: .3rem 0; }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; max-width: 100%; } figure img { max-width: 100%; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr));
  gap: 0 1.5rem; align-items: start; }
figcaption { font-size: .85rem; } details { margin: .4rem 0; border-top: 1px solid var(--line); }
summary { cursor: pointer; padding: .4rem 0; } pre { overflow-x: auto; background: #8882; padding: .6rem; }
svg text { font-size: 10px; fill: currentColor; }
.own { stroke: var(--accent); } .rest { stroke: var(--second); }
"""


def write_report(out: Path, to: Path | None = None) -> tuple[Path, Path]:
    """Writes `report.html` and `report.md` of what is measured so far.

    Args:
        out: the folder of `ar4d bench run`.
        to: folder for the report; None: `out`.

    Raises:
        UserError: the folder holds no benchmark or no finished pair, or a file is damaged.
    """
    header, results = read_header(out), read_pairs(out)
    if not results:
        raise UserError(f"{out} holds no finished pair yet; let `ar4d bench run` finish one.")
    found = tables(out, results)
    page, text = (to or out) / "report.html", (to or out) / "report.md"
    write_text(page, as_html(out, header, results, found))
    write_text(text, as_markdown(header, results, found))
    return page, text


def as_markdown(header: Mapping[str, Any], results: Results, found: Sequence[Table]) -> str:
    """The tables, the machine, the versions and the commands."""
    parts = ["# Benchmark", _recipe(header, results), *(table.markdown() for table in found)]
    commands = "\n".join(f"    {command}" for command in header["commands"])
    return "\n\n".join([*parts, f"{_machine(header)} Commands:", commands]) + "\n"


def as_html(out: Path, header: Mapping[str, Any], results: Results, found: Sequence[Table]) -> str:
    """The whole page: tables, worst cases, objects, settings."""
    lifted = {pair: result for pair, result in results.items() if pair.variant not in BASELINES}
    worst = [
        f"<li>{_link(pair)}: {value:.2f} dB at unseen views</li>"
        for pair, value in worst_first(lifted or results)[:WORST]
    ]
    objects = dict.fromkeys(pair.name for pair in results)
    settings = html.escape(json.dumps(header["facts"], indent=1, ensure_ascii=False))
    commands = html.escape("\n".join(header["commands"]))
    body = [
        "<h1>Benchmark</h1>",
        _note(_recipe(header, results)),
        *(_table(table) for table in found),
        f"<h2>Worst cases first</h2><ol>{''.join(worst)}</ol>",
        *(_object(out, name, results) for name in objects),
        f"<h2>How it was measured</h2>{_note(_machine(header))}",
        f"<pre>{commands}</pre><details><summary>Settings</summary><pre>{settings}</pre></details>",
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    start = (
        f'<!doctype html><html lang="en"><head>{head}<title>Benchmark</title><style>{_STYLE}</style></head>'
    )
    return f"{start}<body>{''.join(body)}</body></html>\n"


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.head)
    rows = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows
    )
    notes = "".join(map(_note, table.notes))
    title = f"<h2>{html.escape(table.title)}</h2>"
    return f'{title}<div class="wide"><table><tr>{head}</tr>{rows}</table></div>{notes}'


def _object(out: Path, name: str, results: Results) -> str:
    """An object's section: for each variant and seed the moving picture, and PSNR over the frames."""
    parts = []
    for pair, result in results.items():
        if pair.name == name:
            psnr = unseen_psnr(result)
            quality = "" if psnr is None else f": {psnr:.2f} dB at unseen views, {result['seconds']:.0f} s"
            title = f"{html.escape(pair.variant)}, seed {pair.seed}{quality}"
            content = _picture(pair.path(out).with_suffix(".webp"), title) + _curves(result)
            parts.append(f'<details id="{_anchor(pair)}" open><summary>{title}</summary>{content}</details>')
    title = f'<h2 id="{html.escape(name)}">{html.escape(name)}</h2>'
    return f'<section>{title}<div class="pairs">{"".join(parts)}</div></section>'


def _picture(path: Path, title: str) -> str:
    if not path.exists():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    caption = "truth above, result below; the clip's own view first"
    return (
        f'<figure><img alt="{title}" src="data:image/webp;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _curves(result: Mapping[str, Any]) -> str:
    """PSNR over the frames: at the clip's own view, and the mean of the others."""
    own = result["curves"].get(result["reference"])
    others = [curve for name, curve in result["curves"].items() if name != result["reference"]]
    mean = [fmean(values) for values in zip(*others, strict=True)] if others else None
    lines = [(kind, curve) for kind, curve in (("own", own), ("rest", mean)) if curve and len(curve) > 1]
    if not lines:
        return ""
    low = min(min(curve) for _, curve in lines)
    high = max(max(max(curve) for _, curve in lines), low + 1e-3)
    drawn = "".join(_line(kind, curve, low, high) for kind, curve in lines)
    labels = f'<text x="2" y="10">{high:.1f} dB</text><text x="2" y="{_HEIGHT - 3}">{low:.1f} dB</text>'
    return (
        f'<figure><svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="PSNR over the frames">'
        f"{labels}{drawn}</svg><figcaption>PSNR over the frames: own view (blue), others (orange)"
        "</figcaption></figure>"
    )


def _line(kind: str, curve: Sequence[float], low: float, high: float) -> str:
    step, left, top = (_WIDTH - 60) / (len(curve) - 1), 55, 5
    points = " ".join(
        f"{left + k * step:.1f},{top + (high - value) / (high - low) * (_HEIGHT - 10):.1f}"
        for k, value in enumerate(curve)
    )
    return f'<polyline class="{kind}" fill="none" stroke-width="1.5" points="{points}"/>'


def _link(pair: Pair) -> str:
    text = f"{pair.name}, {pair.variant}, seed {pair.seed}"
    return f'<a href="#{_anchor(pair)}">{html.escape(text)}</a>'


def _anchor(pair: Pair) -> str:
    return html.escape(f"{pair.name}-{pair.variant}-{pair.seed}".replace(":", "-"))


def _note(text: str) -> str:
    """A paragraph, in which `words` between backticks are code."""
    marked = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return f'<p class="note">{marked}</p>'


def _recipe(header: Mapping[str, Any], results: Results) -> str:
    facts, objects = header["facts"], {pair.name for pair in results}
    seeds = {pair.seed for pair in results}
    return (
        f"Preset: {facts['preset']}. Frames: {facts['frames']}. Size: {facts['size']}. "
        f"Objects: {len(objects)}. Seeds: {len(seeds)}. Pairs: {len(results)}."
    )


def _machine(header: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in header["versions"].items())
    return f"Machine: {header['machine']}. Python {header['python']}, {versions}."
