"""Quantised key frames, decoded by a second implementation in float64."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ar4d.gaussians import Gaussians
from ar4d.player.recording import (
    LOG_SCALES_STEP,
    MEANS_STEP,
    QUATS_UNIT,
    ROTATIONS_STEP,
    Recording,
    encode,
)
from tests.support.moving import SpinningBall


def decoded(recording: Recording) -> list[dict[str, np.ndarray]]:
    """The key frames of a recording, Gaussian by Gaussian as a browser decodes them."""
    meta, raw = recording.meta, zlib.decompress(recording.data)
    frames, count, offset = meta["keyFrames"], meta["count"], 0

    def take(num: int, components: int) -> np.ndarray:
        nonlocal offset
        size = num * count * components
        low, high = (np.frombuffer(raw, np.uint8, size, offset + part * size).astype(int) for part in (0, 1))
        offset += 2 * size
        codes = (low + 256 * high).reshape(components, num, count)
        return np.where(codes % 2 == 1, -(codes + 1) // 2, codes // 2)

    parents = np.arange(count) - take(1, 1)[0, 0]

    def with_parents(differences: np.ndarray) -> np.ndarray:
        changes = differences.copy()
        for i in range(1, count):
            changes[..., i] += changes[..., parents[i]]
        return changes

    means, scales, opacities, colors = (
        np.moveaxis(with_parents(take(frames, components)).cumsum(1), 0, -1) for components in (3, 3, 1, 3)
    )
    first, vectors = take(1, 4)[:, 0].T / QUATS_UNIT, np.moveaxis(with_parents(take(frames - 1, 3)), 0, -1)
    assert offset == len(raw)
    rotation, result = Rotation.from_quat(np.roll(first, -1, axis=1)), []
    for k in range(frames):
        if k:
            rotation = Rotation.from_rotvec(vectors[k - 1] * meta["rotationsStep"]) * rotation
        result.append(
            {
                "means": means[k] * meta["meansStep"],
                "scales": np.exp(scales[k] * meta["logScalesStep"]),
                "opacities": opacities[k, :, 0] / 255,
                "colors": colors[k] / 255,
                "rotations": rotation.as_matrix(),
            }
        )
    return result


def matched(truth: Gaussians, got: dict[str, np.ndarray]) -> Gaussians:
    """The true Gaussians in the order of the recording, which is another one."""
    nearest = torch.cdist(torch.from_numpy(got["means"]), truth.means.double()).argmin(1)
    assert len(nearest.unique()) == len(truth)
    return truth.map(lambda tensor: tensor[nearest])


def test_every_key_frame_is_within_half_a_step():
    asset = SpinningBall(count=400)
    key_frames = [asset.at(k / 9) for k in range(10)]
    for truth, got in zip(key_frames, decoded(encode(key_frames)), strict=True):
        truth = matched(truth, got)
        assert np.abs(got["means"] - truth.means.numpy()).max() <= MEANS_STEP / 2 + 1e-7
        ratio = np.log(got["scales"] / truth.scales.double().numpy())
        assert np.abs(ratio).max() <= LOG_SCALES_STEP / 2 + 1e-6
        assert np.abs(got["opacities"] - truth.opacities.numpy()).max() <= 0.5 / 255 + 1e-6
        assert np.abs(got["colors"] - truth.colors.numpy()).max() <= 0.5 / 255 + 1e-6
        wanted = Rotation.from_quat(np.roll(truth.quats.double().numpy(), -1, axis=1))
        angle = (Rotation.from_matrix(got["rotations"]) * wanted.inv()).magnitude()
        assert angle.max() <= math.sqrt(3) * ROTATIONS_STEP / 2 + 1e-3


def test_errors_do_not_add_up_over_many_key_frames():
    asset = SpinningBall(count=50)
    key_frames = [asset.at(k / 199) for k in range(200)]
    last = decoded(encode(key_frames))[-1]
    truth = matched(key_frames[-1], last)
    assert np.abs(last["means"] - truth.means.numpy()).max() <= MEANS_STEP / 2 + 1e-7
    wanted = Rotation.from_quat(np.roll(truth.quats.double().numpy(), -1, axis=1))
    angle = (Rotation.from_matrix(last["rotations"]) * wanted.inv()).magnitude()
    assert angle.max() <= math.sqrt(3) * ROTATIONS_STEP / 2 + 1e-3


def test_leaves_out_what_is_never_visible():
    frames = [SpinningBall(count=20).at(t) for t in (0.0, 1.0)]
    frames = [Gaussians(g.means, g.quats, g.scales, g.opacities.clone(), g.colors) for g in frames]
    for frame in frames:
        frame.opacities[3] = 1e-4
    frames[0].opacities[5] = 1e-4  # but it appears later
    assert encode(frames).meta["count"] == 19


def test_a_single_key_frame_of_a_single_gaussian():
    one = SpinningBall(count=600).at(0.2).map(lambda tensor: tensor[:1])
    (got,) = decoded(encode([one]))
    np.testing.assert_allclose(got["means"], one.means, atol=MEANS_STEP)


def test_a_very_large_scene_gets_coarser_steps():
    g = SpinningBall(count=50).at(0.0)
    wide = Gaussians(g.means * 1000, g.quats, g.scales, g.opacities, g.colors)
    recording = encode([wide, wide])
    step = recording.meta["meansStep"]
    assert step == pytest.approx(float(wide.means.abs().max()) / 16000)
    got = decoded(recording)[1]
    assert np.abs(got["means"] - matched(wide, got).means.numpy()).max() <= step / 2 + 1e-4
