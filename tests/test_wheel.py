"""The wheel as a user installs it: in a folder of its own, with the repository out of sight."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.footage import moving_disk, over, write_video

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build folder is left in the repository."""
    copy, out = tmp_path_factory.mktemp("source") / "ar4d", tmp_path_factory.mktemp("wheel")
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, copy]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the wheel, without what it depends on, is installed."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel]
    subprocess.run(command, check=True, capture_output=True)
    return target


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{installed / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(installed), "PATH": path}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_owns_one_name_and_carries_the_weights(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"ar4d"}
    assert "ar4d/experts/embedded/weights/embedded.safetensors" in names
    assert "ar4d/experts/star/weights/star.safetensors" in names
    assert "ar4d/experts/grid/weights/grid.safetensors" in names
    assert "ar4d/py.typed" in names
    assert {"ar4d/bench/objects.toml", "ar4d/bench/checksums.json"} <= set(names)
    assert "ar4d = ar4d.cli:main" in points


def test_the_command_lifts_a_clip_with_the_embedded_expert(installed: Path, tmp_path: Path):
    clip = write_video(tmp_path / "disk.mp4", [over(picture) for picture in moving_disk(3)])
    few = ["--size=64", "--pseudo-size=32", "--initialize.iterations=5", "--initialize.gaussians=500"]
    few += ["--generate.iterations=5", "--generate.steps-per-degree=0.02"]
    few += ["--refine.iterations=5", "--refine.warm-start=2", "--num-frames=2", "--preset=cpu"]
    done = run(installed, tmp_path, "ar4d", "lift", clip.name, "--out", "run", *few)
    assert done.returncode == 0, done.stderr
    assert "expert for image to gaussians: embedded" in done.stderr
    assert (tmp_path / "run/refined.safetensors").is_file()


def test_the_command_finds_the_page(installed: Path, tmp_path: Path):
    done = run(installed, tmp_path, "ar4d", "app", "--help")
    assert done.returncode == 0, done.stderr
    assert "Lift videos in the browser" in done.stdout
    probe = "import ar4d.cli.app as page; print(page.HOMES[1] / 'app')"
    assert str(installed) in run(installed, tmp_path, sys.executable, "-c", probe).stdout
