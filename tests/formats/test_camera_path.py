"""Camera paths: through their keys, smooth between them, and refused in one sentence."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from ar4d.cameras import FOV_Y_DEG, around, orbit
from ar4d.cli import main
from ar4d.errors import UserError
from ar4d.formats import CameraKey, CameraPath, VideoOptions
from ar4d.formats.camera_path import camera_of
from ar4d.formats.video import schedule
from tests.support.finished import finished_run
from tests.support.moving import SpinningBall

KEYS = (
    CameraKey(0, 0, 1.5),
    CameraKey(120, 30, 1.0, (0.1, 0.2, 0)),
    CameraKey(90, -10, 2.0),
    CameraKey(200, 0, 1.5, fov_y_deg=30),
)


def test_a_path_passes_through_its_keys():
    sampled = CameraPath(KEYS).sample(31)
    for index, key in enumerate(KEYS):
        got = sampled[10 * index]
        np.testing.assert_allclose(
            (got.azimuth_deg, got.elevation_deg, got.radius, *got.target, got.fov_y_deg),
            (key.azimuth_deg, key.elevation_deg, key.radius, *key.target, key.fov_y_deg),
            atol=1e-9,
        )


def test_a_path_never_leaves_the_range_of_neighbouring_keys():
    sampled = CameraPath(KEYS).sample(301)
    for index in range(3):
        low, high = sorted((KEYS[index].elevation_deg, KEYS[index + 1].elevation_deg))
        part = [key.elevation_deg for key in sampled[100 * index : 100 * index + 101]]
        assert low - 1e-9 <= min(part)
        assert max(part) <= high + 1e-9


def test_a_closed_path_loops_without_a_jump_or_a_kink():
    count = 400
    path = CameraPath((CameraKey(0), CameraKey(120, 20), CameraKey(240, -20)), closed=True)
    azimuths = np.array([key.azimuth_deg for key in path.sample(count)])
    around_the_seam = np.concatenate([azimuths, azimuths[:3] + 360])
    steps = np.diff(around_the_seam)
    assert (steps > 0).all()
    assert np.abs(np.diff(steps)).max() < 0.02
    elevations = np.array([key.elevation_deg for key in path.sample(count)])
    assert np.abs(np.diff(np.concatenate([elevations, elevations[:2]]))).max() < 0.46


def test_a_camera_looks_at_its_target():
    key = CameraKey(37, 21, 1.3, (0.2, -0.1, 0.3), 40)
    camera = camera_of(key, 200, 100)
    viewmat = camera.viewmats[0].double().numpy()
    np.testing.assert_allclose(viewmat @ [0.2, -0.1, 0.3, 1], [0, 0, 1.3, 1], atol=1e-6)
    a, e = math.radians(37), math.radians(21)
    centre = np.array(key.target) + 1.3 * np.array(
        [math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a)]
    )
    np.testing.assert_allclose(viewmat @ [*centre, 1], [0, 0, 0, 1], atol=1e-6)
    focal = 50 / math.tan(math.radians(20))
    np.testing.assert_allclose(camera.Ks[0], [[focal, 0, 100], [0, focal, 50], [0, 0, 1]], rtol=1e-5)
    same = orbit(37, 21, size=64, radius=1.3)
    torch.testing.assert_close(around((0, 0, 0), 37, 21, 1.3, width=64, height=64).viewmats, same.viewmats)


def test_the_keys_may_say_which_moment_they_show():
    frozen = CameraPath((CameraKey(0, time=0.5), CameraKey(180, time=0.5)))
    plan = schedule(SpinningBall(), VideoOptions(path=frozen, seconds=1))
    assert plan.times == [0.5] * 30
    assert plan.cameras[-1].azimuth_deg == pytest.approx(180)
    playing = CameraPath((CameraKey(0), CameraKey(180)))
    assert max(schedule(SpinningBall(), VideoOptions(path=playing, seconds=1)).times) > 0.9


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"keys": []}, "needs at least two key frames, and this one has none"),
        ({"keys": [{}]}, "needs at least two key frames, and this one has 1"),
        ({"keys": [{}, {"elevation_deg": 120}]}, "Key frame 2 .* elevation 120; choose one from -90 to 90"),
        ({"keys": [{}, {"radius": 0}]}, "radius 0"),
        ({"keys": [{"time": 0.5}, {}]}, "give one to all or to none"),
        ({"keys": [{}, {"azimuth_deg": "far"}]}, r"keys\.1\.azimuth_deg"),
        ({"keys": [{"time": 2}, {"time": 0}]}, "time 2"),
        ([], "cannot be read"),
    ],
)
def test_a_path_that_cannot_be_followed_is_one_sentence(values, sentence):
    with pytest.raises(UserError, match=sentence):
        CameraPath.from_json(values)


def test_a_path_survives_json():
    path = CameraPath(KEYS, closed=True)
    assert CameraPath.from_json(json.loads(json.dumps(path.to_json()))) == path
    assert CameraKey().fov_y_deg == FOV_Y_DEG


def test_the_command_line_takes_a_path(tmp_path, capsys):
    import av

    run = finished_run(tmp_path / "run", SpinningBall()).folder
    file = tmp_path / "path.json"
    file.write_text(json.dumps({"keys": [{"azimuth_deg": 0}, {"azimuth_deg": 90, "radius": 1}]}))
    out = tmp_path / "a.mp4"
    arguments = ["export", str(run), "--format", "mp4", "--fps", "30", "--seconds", "0.5", "--size", "32"]
    assert main([*arguments, "--path", str(file), "--out", str(out)]) == 0
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 30
        assert sum(1 for _ in container.decode(stream)) == 15
    file.write_text('{"keys": []}')
    assert main([*arguments, "--path", str(file), "--out", str(tmp_path / "b.mp4")]) == 2
    assert "at least two key frames" in capsys.readouterr().err
    assert main([*arguments, "--path", str(tmp_path / "none.json"), "--out", str(tmp_path / "b.mp4")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "b.mp4").exists()
