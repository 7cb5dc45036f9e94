"""The numbers of a benchmark as tables: means and spreads by variant and protocol, worst cases first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ar4d.bench.results import Pair, read_features
from ar4d.evaluation import protocols, sets
from ar4d.evaluation.by_protocol import formatted, title_of
from ar4d.evaluation.scores import Scores

SPREADS = (
    "Mean ± standard deviation over objects and seeds; in brackets, with several seeds, that of the "
    "seeds' means over objects."
)
UNSEEN = ("psnr", "ssim", "lpips", "iou", "roughness", "fog", "seam", "flicker", "motion")
"""Metrics of the views that the clip does not show; most need no weights."""
UNSEEN_NOTE = (
    "All cameras but the clip's own. PSNR, SSIM, IoU and motion (PSNR of differences between frames): larger "
    "is better; LPIPS (AlexNet) and seam: smaller; roughness and flicker: 1 is the truth's; fog is the share "
    "of what is covered that can be seen through."
)
Results = Mapping[Pair, Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    """A head and rows of text; the first column names the row."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table in Markdown, with its title and notes."""
        lines = [self.head, ("---", *["---:"] * (len(self.head) - 1)), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join([f"## {self.title}", table, *self.notes])


def tables(out: Path, results: Results) -> list[Table]:
    """A table per protocol, one of unseen views, one of shapes if any was measured, and one of times.

    Means are taken over the objects that all variants have: means over different objects do not compare.
    """
    results, remark = on_shared_objects(results)
    names = dict.fromkeys(name for result in results.values() for name in result["protocols"])
    found = [_protocol_table(out, results, protocols.find(name), remark) for name in names]
    head = ("variant", "pairs", *map(title_of, UNSEEN))
    found.append(Table("Unseen views", head, tuple(_rows(results, UNSEEN, unseen_means)), (UNSEEN_NOTE,)))
    shapes = dict.fromkeys(k for r in results.values() for k, v in r["shape"].items() if v is not None)
    if shapes:
        rows = _rows(results, tuple(shapes), lambda result: result["shape"])
        found.append(Table("Shape", ("variant", "pairs", *map(title_of, shapes)), tuple(rows)))
    seconds = _rows(results, ("seconds",), lambda result: {"seconds": round(result["seconds"], 3)})
    found.append(Table("Time", ("variant", "pairs", "seconds"), tuple(seconds)))
    return found


def on_shared_objects(results: Results) -> tuple[Results, tuple[str, ...]]:
    """The results of the objects that all variants have, and a sentence about those left out.

    Where the variants share no object, all results, and a warning.
    """
    variants = {pair.variant for pair in results}
    names = {v: {pair.name for pair in results if pair.variant == v} for v in variants}
    shared, every = set.intersection(*names.values()), set.union(*names.values())
    if shared == every:
        return results, ()
    if not shared:
        return results, ("The variants share no object: their rows do not compare.",)
    left_out = ", ".join(sorted(every - shared))
    remark = f"Over the {len(shared)} objects that all variants have; not all have {left_out}."
    return {pair: result for pair, result in results.items() if pair.name in shared}, (remark,)


def worst_first(results: Results) -> list[tuple[Pair, float]]:
    """The pairs by their mean PSNR at unseen views, the worst first."""
    ranked = [(pair, unseen_psnr(result)) for pair, result in results.items()]
    return sorted(((pair, value) for pair, value in ranked if value is not None), key=lambda entry: entry[1])


def unseen_psnr(result: Mapping[str, Any]) -> float | None:
    """The mean PSNR of the views that the clip does not show; None where there are none."""
    return unseen_means(result)["psnr"]


def unseen_means(result: Mapping[str, Any]) -> dict[str, float | None]:
    """Means over the views that the clip does not show; None for a metric that was not measured."""
    views = [view for name, view in result["views"].items() if name != result["reference"]]
    known = {metric: [v[metric] for v in views if v.get(metric) is not None] for metric in UNSEEN}
    return {metric: fmean(values) if values else None for metric, values in known.items()}


def spread(values: Sequence[float]) -> float:
    """The standard deviation over objects and seeds (n - 1); 0 for a single value."""
    return stdev(values) if len(values) > 1 else 0.0


def _protocol_table(
    out: Path, results: Results, protocol: protocols.Protocol, remark: tuple[str, ...]
) -> Table:
    metrics = (*protocol.pairs, *protocol.against_reference)
    ready = sets.ready_sets(protocol.sets)
    rows = []
    for row in _rows(results, metrics, lambda result: result["protocols"].get(protocol.name, {})):
        pairs = [pair for pair in results if pair.variant == row[0]]
        distances = _distances(out, pairs, protocol, ready)
        rows.append((*row, *(formatted(name, distances.get(name)) for name in protocol.sets)))
    head = ("variant", "pairs", *map(title_of, (*metrics, *protocol.sets)))
    reasons = {note for result in results.values() for note in result["notes"].get(protocol.name, ())}
    notes = (protocol.source, protocol.details, SPREADS)
    return Table(f"Protocol {protocol.name}", head, tuple(rows), (*remark, *notes, *sorted(reasons)))


def _distances(
    out: Path, pairs: Iterable[Pair], protocol: protocols.Protocol, ready: sets.ReadySets
) -> Scores:
    """Set metrics over all pairs of a variant; they have no spread, because a set is one value."""
    entries = []
    for pair in pairs:
        features = read_features(out, pair)
        sides = {
            side: {
                metric: features[f"{protocol.name}/{metric}/{side}"]
                for metric in protocol.sets
                if f"{protocol.name}/{metric}/{side}" in features
            }
            for side in ("found", "truth")
        }
        entries.append(protocols.Result(Scores(), sides["found"], sides["truth"]))
    return protocols.set_distances(protocol, entries, ready)


def spread_of_seeds(values: Mapping[Pair, float]) -> float | None:
    """The standard deviation over seeds of the mean over objects; None where there is one seed.

    Only objects count that have all seeds: means over different objects do not compare.
    """
    seeds = {pair.seed for pair in values}
    whole = [n for n in {p.name for p in values} if {p.seed for p in values if p.name == n} == seeds]
    if len(seeds) < 2 or not whole:
        return None
    return spread([fmean(v for p, v in values.items() if p.seed == s and p.name in whole) for s in seeds])


def _rows(results: Results, metrics: Sequence[str], part: Any) -> Iterable[tuple[str, ...]]:
    """A row per variant: its name, its number of pairs, and mean, spread and seeds' spread of each metric."""
    for variant in dict.fromkeys(pair.variant for pair in results):
        of_variant = {pair: part(result) for pair, result in results.items() if pair.variant == variant}
        known = [{p: r[name] for p, r in of_variant.items() if r.get(name) is not None} for name in metrics]
        cells = (_cell(name, values) for name, values in zip(metrics, known, strict=True))
        yield (variant, str(len(of_variant)), *cells)


def _cell(name: str, values: Mapping[Pair, float]) -> str:
    if not values:
        return "–"
    mean, seeds = formatted(name, fmean(values.values())), spread_of_seeds(values)
    if len(values) < 2:
        return mean
    whole = f"{mean} ± {formatted(name, spread(list(values.values()))).lstrip('+')}"
    return whole if seeds is None else f"{whole} ({formatted(name, seeds).lstrip('+')})"
