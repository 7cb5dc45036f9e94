"""The figures that README quotes are those of the committed reports."""

import json
from pathlib import Path
from statistics import fmean

import pytest

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "benchmarks" / "results" / "bench4d.json"
BODY_REPORT = ROOT / "benchmarks" / "results" / "bench4d-200-steps.json"
TABLE = ROOT / "benchmarks" / "results" / "bench4d.md"
OBJECTS = ROOT / "benchmarks" / "results" / "objects.json"
ABLATION = ROOT / "benchmarks" / "results" / "ablation.md"
BODY = ROOT / "docs" / "research" / "motion-and-body.md"


def cells(line: str) -> list[str]:
    return [cell.strip(" *`") for cell in line.split("|")[1:-1]]


def row(path: Path, beginning: str) -> list[str]:
    """The cells of the first table row whose text starts so."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and line.replace("*", "").startswith(f"| {beginning}"):
            return cells(line)
    raise AssertionError(f"{path.name} has no table row that starts with {beginning!r}")


@pytest.fixture(scope="module")
def report() -> dict:
    return json.loads(REPORT.read_text(encoding="utf-8"))


def mean_of(report: dict, variant: str, metric: str, group: str = "test") -> float:
    return fmean(pair["report"][group][metric] for pair in report["finished"][variant].values())


@pytest.mark.parametrize(
    ("beginning", "variant"),
    [
        ("the input frame, copied", "input-frame"),
        ("expert `silhouette`", "silhouette"),
        ("expert `embedded`", "full"),
    ],
)
def test_readme_quotes_the_report(report, beginning, variant):
    assert len(report["finished"][variant]) == 8  # as README says
    assert report["frames"] == 8
    quoted = row(ROOT / "README.md", beginning)
    psnr, lpips, iou = (mean_of(report, variant, metric) for metric in ("psnr", "lpips", "iou"))
    assert quoted[1:] == [f"{psnr:.1f} dB", f"{lpips:.3f}", f"{iou:.3f}"]


def test_the_committed_table_is_that_of_the_committed_numbers(report):
    head = row(TABLE, "variant")
    for variant in report["finished"]:
        named = dict(zip(head, row(TABLE, f"{variant} |"), strict=True))
        for group, title in (("reference", "ref"), ("test", "test")):
            assert named[f"{title} PSNR"] == f"{mean_of(report, variant, 'psnr', group):.2f}"
            assert named[f"{title} LPIPS"] == f"{mean_of(report, variant, 'lpips', group):.3f}"
        assert named["test IoU"] == f"{mean_of(report, variant, 'iou'):.3f}"


@pytest.mark.parametrize(
    ("variant", "quoted"),
    [("full", "19.13 dB, 0.656, 0.138"), ("no-pseudo-views", "18.60 dB, IoU 0.629, LPIPS 0.153")],
)
def test_the_documentation_quotes_the_ablation(report, variant, quoted):
    psnr, iou, lpips = (mean_of(report, variant, metric) for metric in ("psnr", "iou", "lpips"))
    words = quoted.replace("IoU ", "").replace("LPIPS ", "")
    assert words == f"{psnr:.2f} dB, {iou:.3f}, {lpips:.3f}"
    assert quoted in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").replace("\n", " ")


def test_the_documentation_quotes_the_report_of_all_objects():
    kept = json.loads(OBJECTS.read_text(encoding="utf-8"))
    assert len(kept["objects"]) == 28
    psnr, lpips, iou = (kept["variants"]["full"][metric]["mean"] for metric in ("psnr", "lpips", "iou"))
    wanted = [f"{psnr:.2f}", f"{lpips:.3f}", f"{iou:.3f}"]
    assert row(ROOT / "docs" / "benchmarks.md", "28 objects")[1:4] == wanted
    table = row(OBJECTS.with_suffix(".md"), "mean")
    assert table[2:5] == wanted


@pytest.mark.parametrize("variant", ["full", "no-hold", "untidied", "fixed-colors", "no-births"])
def test_the_parts_of_the_body_are_quoted(variant):
    report = json.loads(BODY_REPORT.read_text(encoding="utf-8"))
    quoted = row(BODY, f"`{variant}`")
    reference = mean_of(report, variant, "psnr", "reference")
    psnr, lpips, iou = (mean_of(report, variant, metric) for metric in ("psnr", "lpips", "iou"))
    assert quoted[1:5] == [f"{reference:.2f}", f"{psnr:.2f}", f"{lpips:.3f}", f"{iou:.3f}"]


@pytest.mark.parametrize(
    "variant", ["full", "no-finetuning", "no-autoregression", "no-pseudo-views", "no-refinement"]
)
def test_docs_quote_the_ablation(variant):
    docs = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    report = ABLATION.read_text(encoding="utf-8")
    quoted = table(docs[docs.index("### AR4D's switches") :], f"`{variant}`")
    measured = table(report[report.index("## Unseen views") :], variant)
    assert len(quoted) == 7
    for metric, value in quoted.items():
        if metric != "unseen views, 21 objects":
            assert value == measured[metric].partition(" ±")[0], metric
    assert measured["pairs"] == "21"


def table(text: str, first: str) -> dict[str, str]:
    """The row of the text's first table that begins with a cell, by the names of the columns."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    names = [cell.strip() for cell in lines[0].split("|")[1:-1]]
    for line in lines[2:]:
        values = [cell.strip() for cell in line.split("|")[1:-1]]
        if values[0] == first:
            return dict(zip(names, values, strict=True))
    raise AssertionError(f"no row begins with {first}")
