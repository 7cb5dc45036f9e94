"""`ar4d bench`: what is measured, resumed and reported, on two tiny objects. No network lifts anything."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from statistics import fmean, stdev

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ar4d.bench import run as running
from ar4d.bench.results import Pair, read_features, read_pairs
from ar4d.bench.tables import spread_of_seeds, tables, worst_first
from ar4d.bench.variants import ABLATIONS, settings_of, with_experts
from ar4d.cli import main
from ar4d.errors import UserError
from ar4d.evaluation import lpips
from ar4d.evaluation.frechet import frechet_distance
from ar4d.presets import CPU, SV4D2_CPU
from tests.support.bench_folder import moving_gaussians, write_object

BASELINES = ("truth", "white", "input-frame", "nearest-view")
EVERYTHING = {(variant, name) for variant in BASELINES for name in ("ant", "bee")}


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    for variable in ("AR4D_I3D", "AR4D_I3D_400", "AR4D_CLIP", lpips.VARIABLE, lpips.VGG_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AR4D_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    for seed, name in enumerate(("ant", "bee")):
        write_object(folder / name, moving_gaussians(3, seed))
    return folder


def bench(*arguments: object) -> int:
    return main(["bench", *map(str, arguments)])


@pytest.fixture(scope="module")
def measured(views, tmp_path_factory):
    """Results of all baselines, made in two runs."""
    out = tmp_path_factory.mktemp("bench") / "out"
    assert bench("run", views, "--out", out, "--variants", "white", "--objects", "bee") == 0
    assert bench("run", views, "--out", out, "--variants", *BASELINES) == 0
    return out


def test_every_pair_is_measured_once(measured, views, capsys, monkeypatch):
    results = read_pairs(measured)
    assert {(pair.variant, pair.name) for pair in results} == EVERYTHING
    assert len(json.loads((measured / "bench.json").read_text())["commands"]) == 2

    def again(plan, pair):
        raise AssertionError(f"{pair} was measured already")

    monkeypatch.setattr(running, "measure", again)
    assert bench("run", views, "--out", measured, "--variants", *BASELINES) == 0
    assert capsys.readouterr().out.splitlines() == [str(measured)]


def test_a_killed_pair_is_measured_again_and_alone(measured, views, tmp_path, capsys):
    import shutil

    out = tmp_path / "copy"
    shutil.copytree(measured, out)
    Pair("white", "ant", 0).path(out).unlink()  # its pictures are there, its numbers are not
    before = read_pairs(out)
    assert bench("run", views, "--out", out, "--variants", *BASELINES) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["white", "ant"]]
    after = read_pairs(out)
    assert {pair: after[pair] for pair in before} == before


def test_what_the_baselines_score(measured):
    results = {(pair.variant, pair.name): result for pair, result in read_pairs(measured).items()}
    truth = results["truth", "ant"]
    assert truth["protocols"]["sv4d2"]["psnr"] == 100
    assert truth["curves"]["az+090"] == [100, 100, 100]
    nearest, copied = (results[v, "ant"]["protocols"]["consistent4d"]["psnr"] for v in BASELINES[:1:-1])
    assert nearest > copied  # a neighbour at most 15° away is nearer than the front
    assert results["white", "bee"]["views"]["az+000"]["iou"] == 0
    worst = worst_first(read_pairs(measured))
    assert worst[-1][0].variant == "truth"
    assert [value for _, value in worst] == sorted(value for _, value in worst)


def test_several_processes_give_the_same_numbers(measured, views, tmp_path):
    assert bench("run", views, "--out", tmp_path, "--variants", "white", "input-frame", "--jobs", 2) == 0
    alone, together = read_pairs(measured), read_pairs(tmp_path)
    assert len(together) == 4
    for pair, result in together.items():
        assert {**result, "seconds": 0} == {**alone[pair], "seconds": 0}


class _Page(HTMLParser):
    """Collects what a page links to and shows."""

    def __init__(self):
        super().__init__()
        self.anchors, self.links, self.sources, self.open = set(), [], [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        if values.get("src"):
            self.sources.append(values["src"])
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_beside_it(measured, tmp_path, capsys):
    assert bench("report", measured, "--to", tmp_path) == 0
    text = (tmp_path / "report.html").read_text()
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "report.html")
    page = _Page()
    page.feed(text)
    assert not page.open  # every element is closed
    assert all(link.startswith("#") and link[1:] in page.anchors for link in page.links)
    assert len(page.sources) == len(EVERYTHING)
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", text)
    data = base64.b64decode(page.sources[0].removeprefix("data:image/webp;base64,"))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.n_frames == 3  # type: ignore[attr-defined]
        assert picture.size == (4 * 112, 2 * 112)  # every second of eight views; truth above, result below
    assert text.count("<polyline") == 2 * len(EVERYTHING)


def test_the_tables_give_mean_and_spread(measured, tmp_path):
    assert bench("report", measured, "--to", tmp_path) == 0
    lines = (tmp_path / "report.md").read_text().splitlines()
    begin = lines.index("## Protocol consistent4d")
    head, row = ([c.strip() for c in lines[k].split("|")[1:-1]] for k in (begin + 2, begin + 5))
    cells = dict(zip(head, row, strict=True))
    assert (cells["variant"], cells["pairs"]) == ("nearest-view", "2")
    pairs = [r for pair, r in read_pairs(measured).items() if pair.variant == "nearest-view"]
    values = [r["protocols"]["consistent4d"]["psnr"] for r in pairs]
    assert cells["PSNR"] == f"{fmean(values):.2f} ± {stdev(values):.2f}"
    assert cells["LPIPS (VGG)"] == "–"
    after = "\n".join(lines[begin:])
    assert "VGG-16, v0.1" in after
    own = "\n".join(lines[begin : lines.index("## Protocol sv4d2")])
    assert "LPIPS (VGG) was not measured" in own
    assert "\nLPIPS was not measured" not in own  # another protocol's
    assert "Machine: " in after
    assert "torch " in after


def test_the_unseen_views_have_a_table_of_their_own(measured, tmp_path):
    assert bench("report", measured, "--to", tmp_path) == 0
    lines = (tmp_path / "report.md").read_text().splitlines()
    begin = lines.index("## Unseen views")
    head = [cell.strip() for cell in lines[begin + 2].split("|")[1:-1]]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[begin + 4 : begin + 8]]
    cells = next(dict(zip(head, row, strict=True)) for row in rows if row[0] == "nearest-view")
    pairs = [r for pair, r in read_pairs(measured).items() if pair.variant == "nearest-view"]
    unseen = [[v for name, v in r["views"].items() if name != r["reference"]] for r in pairs]
    ious = [fmean(view["iou"] for view in views) for views in unseen]
    assert all(views for views in unseen)
    assert cells["IoU"] == f"{fmean(ious):.3f} ± {stdev(ious):.3f}"
    assert cells["LPIPS"] == "–"  # no weights here
    page = (tmp_path / "report.html").read_text()
    assert "<code>" in page
    assert "`" not in page.split("<h2>How it was measured")[0]


def test_the_spread_of_seeds_is_that_of_their_means():
    values = {Pair("full", name, seed): 10.0 * k + seed for k, name in enumerate("abc") for seed in (1, 3)}
    assert spread_of_seeds(values) == pytest.approx(stdev([11, 13]))
    assert spread_of_seeds({pair: v for pair, v in values.items() if pair.seed == 1}) is None
    some = {**values, Pair("full", "d", 1): 900.0}  # not yet measured with the other seed
    assert spread_of_seeds(some) == pytest.approx(stdev([11, 13]))


def test_means_are_over_the_objects_that_all_variants_have(measured):
    results = read_pairs(measured)
    fewer = {pair: r for pair, r in results.items() if pair != Pair("white", "bee", 0)}
    table = next(t for t in tables(measured, fewer) if t.title == "Protocol sv4d2")
    assert {row[0]: row[1] for row in table.rows} == dict.fromkeys(BASELINES, "1")
    assert table.notes[0] == "Over the 1 objects that all variants have; not all have bee."
    apart = {
        pair: r for pair, r in fewer.items() if pair.name == ("ant" if pair.variant == "white" else "bee")
    }
    table = next(t for t in tables(measured, apart) if t.title == "Protocol sv4d2")
    assert table.notes[0] == "The variants share no object: their rows do not compare."
    assert tables(measured, results)[0].notes[0].startswith("AR4D, Sec. 5")


def test_variants_of_every_engine():
    assert settings_of("full", "cpu", 3, 64) == replace(CPU, seed=3, size=64)
    assert settings_of("preset:sv4d2-cpu", "cpu") == SV4D2_CPU
    assert settings_of("expert:silhouette", "cpu") == with_experts(CPU, "silhouette", "silhouette")
    for name, change in ABLATIONS.items():
        assert settings_of(name, "cpu") == change(CPU) != CPU


def test_a_whole_lift_with_seeds(views, tmp_path, monkeypatch):
    """Two seeds of a lift that a stand-in makes: the asset that the truth was rendered from."""
    seeds = []

    def lift(clip, settings):
        seeds.append(settings.seed)
        assert clip.num_frames == 3
        return moving_gaussians(3, 0)

    monkeypatch.setattr(running, "lift", lift)
    options = ("--variants", "full", "white", "--objects", "ant", "--seeds", 4, 5, "--size", 48)
    assert bench("run", views, "--out", tmp_path, *options) == 0
    assert seeds == [4, 5]
    assert bench("report", tmp_path) == 0
    cases = (tmp_path / "report.html").read_text().split("Worst cases first")[1].split("</ol>")[0]
    assert re.findall(r"ant, (\w+), seed (\d)", cases) == [("full", "4"), ("full", "5")]  # no baselines
    results = read_pairs(tmp_path)
    assert sorted(pair.seed for pair in results) == [4, 4, 5]  # white has no randomness
    assert results[Pair("full", "ant", 5)]["protocols"]["sv4d2"]["psnr"] > 45
    assert results[Pair("full", "ant", 5)]["shape"]["depth_agreement"] > 0


class Detector(nn.Module):
    """Takes what `i3d_torchscript.pt` takes and gives the mean colours of the first and the last frame."""

    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        return torch.cat([x[:, :, 0].mean((2, 3)), x[:, :, -1].mean((2, 3))], dim=1)


def test_fvd_is_over_all_objects(views, tmp_path, monkeypatch):
    torch.jit.script(Detector()).save(str(tmp_path / "i3d.pt"))
    monkeypatch.setenv("AR4D_I3D", str(tmp_path / "i3d.pt"))
    options = ("--variants", "truth", "input-frame", "--protocols", "sv4d2")
    assert bench("run", views, "--out", tmp_path / "out", *options) == 0
    features = [read_features(tmp_path / "out", Pair("input-frame", name, 0)) for name in ("ant", "bee")]
    found, truth = (torch.cat([f[f"sv4d2/fvd_f/{side}"] for f in features]) for side in ("found", "truth"))
    assert found.shape == (2 * 8, 6)
    table = tables(tmp_path / "out", read_pairs(tmp_path / "out"))[0]
    rows = {row[0]: dict(zip(table.head, row, strict=True)) for row in table.rows}
    assert rows["truth"]["FVD-F"] == rows["truth"]["FV4D"] == "0"
    assert rows["input-frame"]["FVD-F"] == f"{frechet_distance(found, truth):.0f}"
    path = Pair("truth", "ant", 0).path(tmp_path / "out").with_suffix(".safetensors")
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="is damaged"):
        tables(tmp_path / "out", read_pairs(tmp_path / "out"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--objects", "cat"), 'no object "cat"; choose from: ant, bee'),
        (("--variants", "best"), 'no variant "best"; choose from: truth, white'),
        (("--variants", "no-refinement", "--preset", "sv4d2-cpu"), "one of the engine ar4d"),
        (("--preset", "best"), 'no preset "best"'),
        (("--protocols", "best"), 'no protocol "best"'),
        (("--frames", "9", "--variants", "white"), "3 frames: ask for 1 to 3, not 9"),
        (("--jobs", "0"), "give 1 or more, not 0"),
    ],
)
def test_wrong_options_are_named(views, tmp_path, arguments, sentence, capsys):
    assert bench("run", views, "--out", tmp_path, *arguments) == 2
    assert sentence in capsys.readouterr().err


def test_results_of_other_settings_are_not_mixed(measured, views, capsys):
    assert bench("run", views, "--out", measured, "--variants", "white", "--frames", 2) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_nothing_to_report_and_damage_are_one_sentence(tmp_path, measured, capsys):
    assert bench("report", tmp_path) == 2
    assert "name the folder that `ar4d bench run` wrote" in capsys.readouterr().err
    (tmp_path / "bench.json").write_text((measured / "bench.json").read_text())
    assert bench("report", tmp_path) == 2
    assert "holds no finished pair yet" in capsys.readouterr().err
    path = Pair("white", "ant", 0).path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(UserError, match=r"seed-0\.json cannot be read .*; delete it"):
        read_pairs(tmp_path)
    assert bench("draw") == 2
    assert "choose one of: bench make, bench run, bench report, bench check" in capsys.readouterr().err
