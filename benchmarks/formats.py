"""Sizes and times of every export format, beside PlayCanvas' splat-transform.

    python -m benchmarks.formats --out benchmarks/results/formats.md

Needs Node.js with npm for the second half. Times are wall-clock seconds for one frame of the example (splats)
or for the whole clip (the others); a time of splat-transform includes its start.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro

from ar4d.asset import load_asset
from ar4d.formats import FORMATS, export

EXAMPLE = Path("assets/example_run/refined.safetensors")
CONVERTED = {  # by splat-transform, and the ending that it knows
    "ply": ".ply",
    "compressed-ply": ".compressed.ply",
    "spz": ".spz",
    "sog": ".sog",
    "splat-glb": ".glb",
}
VARIANTS: dict[str, list[dict]] = {
    "spz": [{}, {"version": 4}],
    "glb": [{}, {"colors": "vertex-8bit"}, {"quantize": True}, {"colors": "texture", "quantize": True}],
}


@dataclass(frozen=True)
class Arguments:
    """Write the table of export formats."""

    out: Path = Path("benchmarks/results/formats.md")
    """The table, as Markdown."""


def main(argv: list[str] | None = None) -> None:
    """Writes and prints the table."""
    arguments = tyro.cli(Arguments, args=sys.argv[1:] if argv is None else argv)
    asset = load_asset(EXAMPLE)
    export(asset, "glb", Path(tempfile.mkdtemp()) / "a.glb")  # compiles the kernels
    lines = [
        f"`python -m benchmarks.formats`: {len(asset.at(0.0)):,} Gaussians, {asset.num_frames} frames.",
        "",
        "| format | options | holds | kB | s | splat-transform, kB | s |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, format in FORMATS.items():
            for values in VARIANTS.get(name, [{}]):
                values = {**values, "time": 0.0} if format.per_frame else values
                options = format.make_options(values)
                out = Path(folder) / format.default_name(options)
                seconds = _timed(lambda n=name, o=out, p=options: export(asset, n, o, p))
                shown = ", ".join(f"{key} {value}" for key, value in values.items() if key != "time")
                holds = "one frame" if format.per_frame else "the clip"
                theirs = _converted(Path(folder), name) if not shown else "| | |"
                lines.append(f"| {name} | {shown} | {holds} | {_kilobytes(out)} | {seconds:.2f} {theirs}")
                print(lines[-1], flush=True)
    arguments.out.write_text("\n".join(["# Export formats", "", *lines, ""]))


def _converted(folder: Path, name: str) -> str:
    """Two cells: what splat-transform makes of our PLY in the same format."""
    from tests.support.foreign import NODE, splat_transform

    if name not in CONVERTED or NODE is None:
        return "| | |"
    source, out = folder / "source.ply", folder / f"theirs{CONVERTED[name]}"
    export(load_asset(EXAMPLE), "ply", source, FORMATS["ply"].make_options({"time": 0.0}))
    options = ["--gpu", "cpu"] if name == "sog" else []
    options += ["--spz-version", "3"] if name == "spz" else []
    seconds = _timed(lambda: splat_transform(*options, str(source), str(out)))
    return f"| {_kilobytes(out)} | {seconds:.2f} |"


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _kilobytes(path: Path) -> str:
    return f"{path.stat().st_size / 1000:,.0f}"


if __name__ == "__main__":
    main()
