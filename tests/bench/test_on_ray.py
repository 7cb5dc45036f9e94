"""`ar4d bench run --ray` on a cluster with two workers on this machine: the tables of a run without it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="the package ray is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")
pytestmark = pytest.mark.filterwarnings("ignore")

from ar4d.bench.results import Pair, read_pairs  # noqa: E402
from ar4d.bench.tables import tables  # noqa: E402
from ar4d.cli import main  # noqa: E402
from tests.support.bench_folder import moving_gaussians, write_object  # noqa: E402

VARIANTS = ("truth", "input-frame", "nearest-view")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def views(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    for seed, name in enumerate(("ant", "bee")):
        write_object(folder / name, moving_gaussians(2, seed))
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a head without cores and two nodes with one each."""
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    started = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        started.add_node(num_cpus=1)
    try:
        yield started.address
    finally:
        started.shutdown()


def bench(*arguments: object) -> int:
    return main(["bench", "run", *map(str, arguments)])


def test_two_workers_give_the_same_tables(views, cluster, tmp_path, capsys):
    alone, there = tmp_path / "alone", tmp_path / "there"
    assert bench(views, "--out", alone, "--variants", *VARIANTS) == 0
    assert bench(views, "--out", there, "--variants", VARIANTS[0], "--objects", "bee", "--ray", cluster) == 0
    capsys.readouterr()
    assert bench(views, "--out", there, "--variants", *VARIANTS, "--ray", cluster) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(VARIANTS) * 2 - 1 + 1  # what was finished is not measured again; the folder
    results = [read_pairs(out) for out in (alone, there)]
    assert len(results[0]) == len(VARIANTS) * 2
    found = [
        [table for table in tables(out, r) if table.title != "Time"]
        for out, r in zip((alone, there), results, strict=True)
    ]
    assert found[0] == found[1]
    for pair in results[0]:
        assert {**results[0][pair], "seconds": 0} == {**results[1][pair], "seconds": 0}
        pictures = [pair.path(out).with_suffix(".webp").read_bytes() for out in (alone, there)]
        assert pictures[0] == pictures[1]


def test_what_is_wrong_on_a_node_is_one_sentence(views, cluster, tmp_path, capsys):
    folder = shutil.copytree(views, tmp_path / "views")
    shutil.rmtree(folder / "bee" / "views" / "az+090")
    arguments = ("--out", tmp_path / "out", "--variants", "white", "--ray", cluster)
    assert bench(folder, *arguments) == 2
    said = capsys.readouterr().err
    assert f"There are no frames in {folder / 'bee' / 'views' / 'az+090'}" in said
    assert "Traceback" not in said
    assert not Pair("white", "bee", 0).path(tmp_path / "out").exists()


def test_an_address_that_does_not_answer_is_one_sentence(views, tmp_path, capsys):
    assert bench(views, "--out", tmp_path, "--variants", "white", "--ray", "127.0.0.1:9") == 2
    assert "No Ray cluster answers at 127.0.0.1:9" in capsys.readouterr().err


def test_without_ray_the_sentence_names_the_package(views, tmp_path):
    code = "import sys; sys.modules['ray'] = None; from ar4d.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ("bench", "run", views, "--out", tmp_path, "--variants", "white", "--ray", "auto")
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--ray needs the package ray" in done.stderr
