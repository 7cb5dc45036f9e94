"""Whether results are as good as committed figures: means over unseen views, with their spread over seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from ar4d.bench.results import Pair, read_header, read_pairs
from ar4d.bench.tables import Results, unseen_means
from ar4d.bench.variants import BASELINES
from ar4d.errors import UserError
from ar4d.evaluation.registry import all_metrics
from ar4d.files import write_text

GUARDED = ("psnr", "iou", "lpips")
_FACTS = ("preset", "frames", "size")

Figures = dict[str, Any]


def figures(out: Path) -> Figures:
    """The guarded figures of all variants that were lifted.

    A variant's figure is the mean over objects and seeds; its spread is the difference between the best and
    the worst seed, each a mean over the objects. A metric without weights has none.

    Raises:
        UserError: the folder holds no benchmark, a file is damaged, or a pair is not finished.
    """
    header, results = read_header(out), read_pairs(out)
    lifted = {pair: result for pair, result in results.items() if pair.variant not in BASELINES}
    if not lifted:
        raise UserError(f"{out} holds no lifted object to compare; let `ar4d bench run` finish.")
    objects, seeds = sorted({p.name for p in lifted}), sorted({p.seed for p in lifted})
    variants = sorted({p.variant for p in lifted})
    wanted = [Pair(v, name, seed) for v in variants for name in objects for seed in seeds]
    missing = [pair for pair in wanted if pair not in lifted]
    if missing:
        pair = missing[0]
        raise UserError(
            f"{out} is not finished: {pair.name} in {pair.variant} with seed {pair.seed} is missing, "
            f"one of {len(missing)}; run its command again."
        )
    return {
        "facts": {name: header["facts"][name] for name in _FACTS},
        "objects": objects,
        "seeds": seeds,
        "variants": {v: _of_variant({p: r for p, r in lifted.items() if p.variant == v}) for v in variants},
    }


def write_figures(found: Figures, path: Path) -> None:
    write_text(path, json.dumps(found, indent=1) + "\n")


def read_figures(path: Path) -> Figures:
    """
    Raises:
        UserError: the file is missing, damaged or something else.
    """
    try:
        committed = json.loads(path.read_text(encoding="utf-8"))
        variants = {
            variant: {m: {k: float(values[k]) for k in ("mean", "spread")} for m, values in metrics.items()}
            for variant, metrics in committed["variants"].items()
        }
        return {name: committed[name] for name in ("facts", "objects", "seeds")} | {"variants": variants}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} holds no figures ({error!r}); write them with `ar4d bench check --write`."
        ) from error


def worse(found: Figures, committed: Figures) -> list[str]:
    """A sentence for each figure that is worse than the committed one by more than the latter's spread.

    Raises:
        UserError: the figures are of other objects, frames or sizes, or share no variant.
    """
    for name in ("facts", "objects"):
        if found[name] != committed[name]:
            raise UserError(
                f"The figures do not compare, their {name} differ: {found[name]} and {committed[name]}."
            )
    shared = [variant for variant in committed["variants"] if variant in found["variants"]]
    if not shared:
        raise UserError("The figures do not compare: they share no variant.")
    return [
        sentence
        for variant in shared
        for metric in committed["variants"][variant]
        if (sentence := _verdict(variant, metric, found["variants"][variant], committed["variants"][variant]))
    ]


def not_compared(found: Figures, committed: Figures) -> list[str]:
    """The guarded metrics that one of both lacks, as LPIPS without weights."""
    return [
        metric
        for metric in GUARDED
        if not all(
            metric in variant for figures in (found, committed) for variant in figures["variants"].values()
        )
    ]


def _of_variant(results: Results) -> dict[str, dict[str, float]]:
    found = {}
    for metric in GUARDED:
        by_seed: dict[int, list[float | None]] = {}
        for pair, result in results.items():
            by_seed.setdefault(pair.seed, []).append(unseen_means(result)[metric])
        if not any(None in values for values in by_seed.values()):
            means = [fmean(v for v in values if v is not None) for values in by_seed.values()]
            found[metric] = {"mean": fmean(means), "spread": max(means) - min(means)}
    return found


def _verdict(variant: str, metric: str, found: Mapping[str, Any], committed: Mapping[str, Any]) -> str | None:
    if metric not in found:
        return None
    known = all_metrics()[metric]
    was, spread, now = committed[metric]["mean"], committed[metric]["spread"], found[metric]["mean"]
    loss = was - now if known.better == "higher" else now - was
    if loss <= spread:
        return None
    shown = f"{known.format.format(now)}, was {known.format.format(was)}"
    return (
        f"{known.title} of {variant} at unseen views is worse by more than its spread {spread:.3g}: {shown}."
    )
