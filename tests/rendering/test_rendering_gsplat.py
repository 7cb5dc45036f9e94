"""gsplat as an oracle: its own pure-torch projection, and our call of its `rasterization`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gsplat.cuda._torch_impl import (
    _fully_fused_projection,
    _isect_offset_encode,
    _isect_tiles,
    _quat_scale_to_covar_preci,
)
from torch import Tensor
from torch.utils import cpp_extension

from ar4d.cameras import Cameras, orbit
from ar4d.errors import UserError
from ar4d.gaussians import Gaussians
from ar4d.kernels.parallel import run
from ar4d.rendering import cpu, cuda
from ar4d.rendering.cpu.function import _project_and_bin
from ar4d.rendering.cpu.layout import DEPTH, MEAN, SHAPE, SPLAT_SIZE, table_of_views
from ar4d.rendering.cpu.projection_backward import project_backward
from benchmarks.gpu_check import agreement, random_gaussians
from tests.support import reference


def covariances_of(quats: Tensor, scales: Tensor) -> Tensor:
    covariances, _ = _quat_scale_to_covar_preci(quats, scales, compute_preci=False)
    assert covariances is not None
    return covariances


def gsplat_projection(g: Gaussians, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """What gsplat projects, in our columns [C, N, 10] (only mean, shape and depth), and its radii."""
    covariances = covariances_of(g.quats, g.scales)
    viewmats, Ks = cameras.viewmats.to(g.means), cameras.Ks.to(g.means)
    radii, means, depths, conics, _ = _fully_fused_projection(
        g.means, covariances, viewmats, Ks, cameras.width, cameras.height
    )
    a, b, c = conics.unbind(-1)
    splats = torch.zeros(*depths.shape, SPLAT_SIZE, dtype=g.means.dtype)
    splats[..., MEAN : MEAN + 2], splats[..., DEPTH] = means, depths
    splats[..., SHAPE : SHAPE + 3] = torch.stack([a, -b / a, c - b * b / a], -1)
    return splats, radii


@pytest.fixture
def scene() -> tuple[Gaussians, Cameras]:
    return reference.blob(400, seed=3, spread=0.8), reference.cameras(80, 60, count=2, radius=1.0)


def arrays(g: Gaussians, cameras: Cameras) -> tuple[list[np.ndarray], tuple]:
    view = cameras.viewmats.numpy(), cameras.Ks.numpy(), cameras.width, cameras.height
    return [x.numpy() for x in g.state().values()], view


def test_projection_agrees_with_gsplat(scene: tuple[Gaussians, Cameras]) -> None:
    g, cameras = scene
    bins = _project_and_bin(*arrays(g, cameras))
    expected, radii = gsplat_projection(g.map(lambda x: x.double()), cameras)
    seen = torch.from_numpy(bins.touched) > 0
    assert 200 < seen.sum() < seen.numel() - 50
    assert (radii[seen] > 0).all()  # gsplat's torch version keeps more: it knows no opacity
    for column in (MEAN, MEAN + 1, SHAPE, SHAPE + 1, SHAPE + 2, DEPTH):
        ours = torch.from_numpy(bins.splats)[..., column][seen]
        assert reference.relative_error(ours, expected[..., column][seen]) < 1e-5


def test_projection_backward_agrees_with_gsplat(scene: tuple[Gaussians, Cameras]) -> None:
    g, cameras = scene
    attributes, view = arrays(g, cameras)
    seen = _project_and_bin(attributes, view).touched > 0
    touched = seen.astype(np.int32)  # as if each splat lay in a single tile
    ends = np.cumsum(touched, dtype=np.int64).reshape(touched.shape)
    splat_grads = torch.zeros(*seen.shape, SPLAT_SIZE)
    splat_grads[..., MEAN : SHAPE + 3] = torch.randn(*seen.shape, 5, generator=torch.manual_seed(0))
    splat_grads[..., DEPTH] = 3.0
    instance_grads = splat_grads[torch.from_numpy(seen)].numpy()
    ours = [np.empty(shape, np.float32) for shape in ((400, 3), (400, 4), (400, 3), 400, (400, 3))]
    viewmats, Ks, width, height = view
    cameras_and_sizes = viewmats, Ks, table_of_views([(width, height)] * 2)
    instances = touched, ends, instance_grads, np.ones(len(instance_grads), np.bool_)
    run(project_backward, 1, *attributes[:3], *cameras_and_sizes, *instances, *ours)

    exact = g.map(lambda x: x.double().requires_grad_())
    splats, _ = gsplat_projection(exact, cameras)
    mixture = (splats * splat_grads)[torch.from_numpy(seen)].sum()
    expected = torch.autograd.grad(mixture, [exact.means, exact.quats, exact.scales])
    for a, b in zip(ours[:3], expected, strict=True):
        assert reference.relative_error(torch.from_numpy(a), b) < 1e-5


class TorchKernels:
    """Stands in for gsplat's compiled module, so that its Python side runs without a GPU."""

    CameraModelType = PINHOLE = "pinhole"

    @staticmethod
    def projection_ewa_3dgs_fused_fwd(
        means, covars, quats, scales, opacities, viewmats, Ks, width, height, eps2d, near, far, radius_clip,
        calc_compensations, camera_model,
    ):  # fmt: skip
        assert (covars, radius_clip, calc_compensations, camera_model) == (None, 0.0, False, "pinhole")
        assert opacities.shape == means.shape[:1]
        covariances = covariances_of(quats, scales)
        return _fully_fused_projection(means, covariances, viewmats, Ks, width, height, eps2d, near, far)

    @staticmethod
    def intersect_tile(means2d, radii, depths, _1, _2, _images, size, width, height, sort, _segmented):
        return _isect_tiles(means2d, radii, depths, size, width, height, sort)

    intersect_offset = staticmethod(_isect_offset_encode)

    @staticmethod
    def rasterize_to_pixels_3dgs_fwd(
        means2d, conics, colors, opacities, backgrounds, masks, width, height, _size, _offsets, flatten_ids
    ):
        assert masks is None
        C, N = means2d.shape[:2]
        images, alphas = torch.empty(C, height, width, 4), torch.empty(C, height, width, 1)
        ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        for c in range(C):
            ids = flatten_ids[flatten_ids // N == c].unique() % N
            color, T = torch.zeros(height, width, 4), torch.ones(height, width)
            for i in ids[colors[c, ids, 3].argsort()]:  # the fourth channel is the depth
                dx, dy = means2d[c, i, 0] - xs, means2d[c, i, 1] - ys
                a, b, d = conics[c, i]
                alpha = opacities[c, i] * torch.exp(-0.5 * (a * dx * dx + d * dy * dy) - b * dx * dy)
                alpha = torch.where(alpha < 1 / 255, 0, alpha.clamp(max=0.999))
                color += (T * alpha)[..., None] * colors[c, i]
                T = T * (1 - alpha)
            images[c], alphas[c, ..., 0] = color + T[..., None] * backgrounds[c], 1 - T
        return images, alphas, None


@pytest.fixture
def gsplat_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", SimpleNamespace(_C=TorchKernels))
    monkeypatch.setattr(cuda, "require_gsplat", lambda: None)
    cuda.load_kernels.cache_clear()
    yield
    cuda.load_kernels.cache_clear()


@pytest.mark.usefixtures("gsplat_on_the_cpu")
def test_gsplat_is_called_so_that_it_gives_our_images() -> None:
    g, cameras = reference.blob(60), reference.cameras(40, 24, count=2)
    for background in (None, (1.0, 0.5, 0.25)):
        expected = cpu.rasterize(g, cameras, background)
        images = cuda.rasterize(g.map(lambda x: x.double()), cameras, background)
        for a, b in zip(images, expected, strict=True):
            assert a.shape == b.shape
            assert reference.relative_error(a, b) < 1e-4


def test_no_gaussians_do_not_reach_gsplat() -> None:
    g, cameras = reference.blob(0).map(lambda x: x.requires_grad_()), reference.cameras(8, 6, count=2)
    rgb, depth, alpha = cuda.rasterize(g, cameras, (1.0, 0.5, 0.25))
    assert torch.equal(rgb, torch.tensor([1.0, 0.5, 0.25]).expand(2, 6, 8, 3))
    assert not depth.any()
    assert not alpha.any()
    (rgb.sum() + depth.sum()).backward()


def test_missing_compiler_is_one_sentence_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    cuda.load_kernels.cache_clear()
    for function in (cuda.require_gsplat, cuda.load_kernels):
        with pytest.raises(UserError, match=r"install the CUDA toolkit .* so that nvcc is on the PATH\.$"):
            function()


def test_whether_gsplat_is_compiled_is_read_from_torchs_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    assert not cuda.is_compiled()
    (tmp_path / "gsplat_cuda" / "gsplat_cuda.so").touch()
    assert cuda.is_compiled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_pictures_and_gradients_on_a_gpu_are_those_of_the_cpu():
    cameras = orbit([0.0, 70.0], 20.0, size=128)
    for what, error in agreement(random_gaussians(2000), cameras, torch.device("cuda")).items():
        assert error < 1e-3, what
