"""Pseudo-4D clips by affine paths."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from train.data.affine import RANGES, affine_path, affine_views
from train.data.batch_rng import BatchRng


def rng(count: int, seed: int = 0) -> BatchRng:
    return BatchRng(count, torch.device("cpu"), torch.Generator().manual_seed(seed))


def test_paths_begin_at_the_identity_and_go_on_smoothly():
    path = affine_path(9, rng(50))
    torch.testing.assert_close(path[:, 0], torch.eye(3).expand(50, 3, 3))
    steps = (path[:, 1:] - path[:, :-1]).abs().amax((2, 3))
    assert steps.max() < 0.25
    assert (path[:, -1] - torch.eye(3)).abs().amax((1, 2)).min() > 0.01
    assert path[:, :, 0, 2].abs().max() < 1.3 * RANGES[0]


def test_views_are_affine_images_of_the_clip_and_move_alike():
    """Against scipy's resampling, which takes pixel coordinates (row, column), in float64."""
    random = np.random.default_rng(0)
    smooth = torch.from_numpy(random.random((1, 2, 4, 8, 8))).float()
    clips = torch.nn.functional.interpolate(smooth[0], size=(32, 32), mode="bicubic").clamp(0, 1)[None]
    views = affine_views(clips, 3, rng(1, 4))
    assert torch.equal(views[:, 0], clips)
    back = torch.linalg.inv(affine_path(3, rng(1, 4)).double())[0, 2].numpy()
    # from pixel (column, row) to coordinates in [-1, 1] and back
    to_unit = np.array([[2 / 32, 0, 1 / 32 - 1], [0, 2 / 32, 1 / 32 - 1], [0, 0, 1]])
    in_pixels = np.linalg.inv(to_unit) @ back @ to_unit
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    matrix = swap @ in_pixels @ swap
    for frame in range(2):
        expected = affine_transform(
            clips[0, frame, 3].double().numpy(), matrix, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(views[0, 2, frame, 3].numpy(), expected, atol=2e-3)


@pytest.mark.parametrize(("mirrored", "filled"), [(False, False), (True, True)])
def test_the_border_is_transparent_or_mirrored(mirrored, filled):
    views = affine_views(torch.ones(6, 1, 4, 16, 16), 2, rng(6, 1), mirrored)
    assert bool((views[:, 1, 0, 3] > 0.99).all()) == filled
