import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ar4d.errors import UserError
from ar4d.gaussians import (
    Gaussians,
    concatenate,
    interpolate,
    multiply_quaternions,
    quaternions,
    rotation_matrices,
)


def random_gaussians(count: int, seed: int = 0) -> Gaussians:
    g = torch.Generator().manual_seed(seed)
    return Gaussians(
        means=torch.randn(count, 3, generator=g) * 0.3,
        quats=torch.nn.functional.normalize(torch.randn(count, 4, generator=g), dim=-1),
        scales=torch.rand(count, 3, generator=g) * 0.05 + 0.01,
        opacities=torch.rand(count, generator=g),
        colors=torch.rand(count, 3, generator=g),
    )


def test_rotations_agree_with_scipy():
    quats = torch.randn(200, 4, dtype=torch.float64)
    expected = Rotation.from_quat(quats.numpy()[:, [1, 2, 3, 0]])
    np.testing.assert_allclose(rotation_matrices(quats), expected.as_matrix(), atol=1e-12)


def test_quaternions_invert_rotation_matrices_also_at_half_turns():
    half_turns = torch.eye(4, dtype=torch.float64)[1:]
    quats = torch.cat([torch.randn(200, 4, dtype=torch.float64), half_turns])
    matrices = rotation_matrices(quats)
    torch.testing.assert_close(rotation_matrices(quaternions(matrices)), matrices, atol=1e-12, rtol=0)


def test_quaternion_product_is_the_product_of_rotations():
    a, b = torch.randn(2, 50, 4, dtype=torch.float64)
    product = rotation_matrices(multiply_quaternions(a, b))
    torch.testing.assert_close(product, rotation_matrices(a) @ rotation_matrices(b))


def test_interpolation_meets_both_ends_and_takes_the_short_way():
    a, b = random_gaussians(20, 1), random_gaussians(20, 2)
    torch.testing.assert_close(interpolate(a, b, 0.0).means, a.means)
    torch.testing.assert_close(interpolate(a, b, 1.0).scales, b.scales)
    turned = Gaussians(a.means, -a.quats, a.scales, a.opacities, a.colors)  # the same rotations
    halfway = rotation_matrices(interpolate(a, turned, 0.5).quats)
    torch.testing.assert_close(halfway, rotation_matrices(a.quats))


def test_detached_gaussians_share_no_memory():
    a = random_gaussians(3)
    a.detach().means.zero_()
    assert a.means.abs().sum() > 0


def test_concatenate_keeps_order():
    a, b = random_gaussians(2, 1), random_gaussians(3, 2)
    both = concatenate([a, b])
    assert len(both) == 5
    assert torch.equal(both.colors[2:], b.colors)


def test_file_gives_back_the_same_bits(tmp_path):
    a = random_gaussians(10)
    a.save(tmp_path / "g.safetensors")
    b = Gaussians.load(tmp_path / "g.safetensors")
    assert all(torch.equal(x, y) for x, y in zip(a.state().values(), b.state().values(), strict=True))


def test_cut_file_is_a_sentence(tmp_path):
    path = tmp_path / "g.safetensors"
    random_gaussians(10).save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"g\.safetensors does not hold Gaussians"):
        Gaussians.load(path)
