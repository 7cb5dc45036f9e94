"""The CPU rasteriser against a dense float64 reference."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import numba
import numpy as np
import pytest
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.gaussians import Gaussians, concatenate
from ar4d.kernels import jit
from ar4d.rendering import WHITE, render
from ar4d.rendering.cpu import rasterize
from ar4d.rendering.cpu.lanes import TABLE, Code, Value, put_constants
from ar4d.warmup import warm_up
from tests.support import reference

NAMES = ("means", "quats", "scales", "opacities", "colors")


def leaf(gaussians: Gaussians) -> Gaussians:
    return gaussians.map(lambda x: x.detach().clone().requires_grad_())


def backward(images: tuple[Tensor, Tensor, Tensor], gaussians: Gaussians) -> list[Tensor]:
    """Gradients of a fixed random mixture of all images."""
    g = torch.Generator().manual_seed(7)
    mixture = torch.stack([(x * torch.randn(x.shape, generator=g)).sum() for x in images]).sum()
    return list(torch.autograd.grad(mixture, list(gaussians.state().values())))


def needles() -> Gaussians:
    g = reference.blob(300, seed=4)
    return replace(g, scales=torch.tensor([0.3, 0.002, 0.0005]).expand(300, 3).contiguous())


def opaque() -> Gaussians:
    g = reference.blob(800, seed=5)
    return replace(g, opacities=torch.linspace(0.9, 1.0, 800))


def of_all_sizes() -> Gaussians:
    g = reference.blob(400, seed=6)
    return replace(g, scales=g.scales * torch.logspace(-4, 1.5, 400)[:, None])


SCENES = {
    "blob": (reference.blob(300), reference.cameras(40, 36)),
    "two cameras": (reference.blob(500, seed=1, scale=0.03), reference.cameras(70, 45, count=2)),
    "camera inside": (
        reference.blob(600, seed=2, spread=0.8),
        reference.cameras(48, 48, 3, radius=0.3),
    ),
    "beside the image": (reference.blob(400, seed=3, spread=2.0, scale=0.3), reference.cameras(33, 65)),
    "needles": (needles(), reference.cameras(64, 64)),
    "opaque": (opaque(), reference.cameras(50, 50)),
    "of all sizes": (of_all_sizes(), reference.cameras(40, 40)),
}


@pytest.mark.parametrize("scene", SCENES)
def test_images_and_gradients_match_the_dense_reference(scene: str) -> None:
    gaussians, cameras = leaf(SCENES[scene][0]), SCENES[scene][1]
    exact = leaf(gaussians.map(lambda x: x.double()))
    background = (0.2, 0.5, 0.9)
    images = rasterize(gaussians, cameras, background)
    exact_images = reference.rasterize(exact, cameras, background)
    for name, image, exact_image in zip(("rgb", "depth", "alpha"), images, exact_images, strict=True):
        assert reference.relative_error(image, exact_image) < 1e-4, name
    for name, grad, exact_grad in zip(
        NAMES, backward(images, gaussians), backward(exact_images, exact), strict=True
    ):
        assert reference.relative_error(grad, exact_grad) < 1e-4, name


def test_same_bits_for_any_number_of_threads_and_any_run() -> None:
    gaussians, cameras = reference.blob(3000, seed=8, scale=0.03), reference.cameras(150, 130, count=2)
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 4, 2):
            torch.set_num_threads(threads)
            g = leaf(gaussians)
            images = rasterize(g, cameras)
            results.append([*images, *backward(images, g)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert torch.equal(a, b)


DIGEST = """
import hashlib
from ar4d.losses import ssim
from ar4d.rendering.cpu import rasterize
from tests.support import reference
g = reference.blob(300, seed=8, scale=0.03).map(lambda x: x.clone().requires_grad_())
images = rasterize(g, reference.cameras(64, 64))
(ssim(images[0], images[0].detach() ** 2) + sum(x.square().sum() for x in images)).backward()
results = [*images, *(x.grad for x in g.state().values())]
print(hashlib.sha256(b"".join(x.detach().numpy().tobytes() for x in results)).hexdigest())
"""


def test_same_bits_from_kernels_just_compiled_and_from_the_cache(tmp_path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def digest() -> str:
        command, root = [sys.executable, "-c", DIGEST], Path(__file__).parents[2]
        return subprocess.check_output(command, env=environment, cwd=root, text=True)

    compiled = digest()
    assert list(tmp_path.rglob("*.nbc"))
    assert digest() == compiled


def test_several_python_threads_may_render_at_once() -> None:
    scenes = [(reference.blob(800, seed=s), reference.cameras(90, 90, count=1 + s % 2)) for s in range(6)]

    def work(scene: tuple[Gaussians, Cameras]) -> list[Tensor]:
        g = leaf(scene[0])
        images = rasterize(g, scene[1])
        return [*images, *backward(images, g)]

    alone = [work(scene) for scene in scenes]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(work, scenes * 3))
    for k, result in enumerate(together):
        assert all(torch.equal(a, b) for a, b in zip(result, alone[k % 6], strict=True))


def test_gaussians_with_nan_are_skipped() -> None:
    good, cameras = reference.blob(200), reference.cameras(40, 40)
    bad = reference.blob(3, seed=9)
    bad.means[0, 1], bad.scales[1, 0], bad.quats[2, 3] = (float("nan"),) * 3
    both = leaf(concatenate([good, bad]))
    images = rasterize(both, cameras)
    assert all(torch.equal(a, b) for a, b in zip(images, rasterize(good, cameras), strict=True))
    for grad in backward(images, both):
        assert torch.equal(grad[200:], torch.zeros_like(grad[200:]))
        assert grad[:200].abs().sum() > 0


def test_nothing_to_see() -> None:
    cameras = reference.cameras(33, 20, count=2)
    behind = reference.blob(5)
    behind = replace(behind, means=behind.means - 10 * cameras.viewmats[0, 2, :3])
    for gaussians in (reference.blob(0), behind):
        g = leaf(gaussians)
        rgb, depth, alpha = rasterize(g, cameras[:1], WHITE)
        assert torch.equal(rgb, torch.ones(1, 20, 33, 3))
        assert not depth.any()
        assert not alpha.any()
        assert all(not grad.any() for grad in backward((rgb, depth, alpha), g))


def test_memory_layout_and_dtype_of_the_inputs_do_not_matter() -> None:
    gaussians, cameras = reference.blob(100), reference.cameras(40, 40)
    strided = gaussians.map(lambda x: x.repeat_interleave(2, dim=0)[::2])
    column_major = strided.map(lambda x: x.T.contiguous().T if x.ndim == 2 else x)
    doubled = leaf(gaussians.map(lambda x: x.double()))
    expected = rasterize(gaussians, cameras)
    for other in (strided, column_major, doubled):
        images = rasterize(other, cameras)
        assert all(torch.equal(a, b) for a, b in zip(images, expected, strict=True))
    assert backward(rasterize(doubled, cameras), doubled)[0].dtype == torch.float64


def test_only_what_requires_a_gradient_gets_one() -> None:
    gaussians, cameras = reference.blob(50), reference.cameras(40, 40)
    assert not any(x.requires_grad for x in rasterize(gaussians, cameras))
    colors = gaussians.colors.clone().requires_grad_()
    rgb, _, _ = rasterize(replace(gaussians, colors=colors), cameras)
    rgb.sum().backward()
    assert colors.grad is not None
    assert gaussians.means.grad is None
    with torch.no_grad():
        assert not rasterize(replace(gaussians, colors=colors), cameras)[0].requires_grad


def test_render_composites_on_the_background() -> None:
    gaussians, cameras = reference.blob(100), reference.cameras(40, 40)
    bare, white = render(gaussians, cameras, None), render(gaussians, cameras)
    assert torch.allclose(white.rgb, bare.rgb + (1 - bare.alpha)[..., None], atol=1e-6)
    assert torch.equal(white.depth, bare.depth)


def test_warm_up_leaves_nothing_to_compile() -> None:
    modules = [m for name, m in sys.modules.items() if name.startswith("ar4d.rendering.cpu.")]
    kernels = {id(x): x for m in modules for x in vars(m).values() if hasattr(x, "py_func")}
    warm_up()
    compiled = {key: len(kernel.overloads) for key, kernel in kernels.items()}
    gaussians = leaf(reference.blob(20))
    backward(rasterize(gaussians, reference.cameras(50, 40, count=2)), gaussians)
    assert sum(compiled.values()) > 0
    assert compiled == {key: len(kernel.overloads) for key, kernel in kernels.items()}


def _exp2_negative(typing_context, x, table):
    def codegen(context, builder, signature, args):
        power = Value(builder, args[0]).spread().exp2(Code(builder, args[1]))
        return builder.extract_element(power.value, ir.Constant(ir.IntType(32), 0))

    return types.float32(types.float32, types.uint64), codegen


exp2_intrinsic = cast(Callable[[np.float32, np.uint64], float], intrinsic(_exp2_negative))


@numba.njit
def exp2_negative(x):
    table = np.empty(TABLE.size, np.float32)
    put_constants(table, 0)
    return exp2_intrinsic(x, np.uint64(table.ctypes.data))


def test_exponential_is_exact_to_float32() -> None:
    x = -torch.logspace(-6, 2, 3000)
    ours = torch.tensor([exp2_negative(np.float32(v)) for v in x.tolist()])
    assert ((ours.double() / torch.exp2(x.double())) - 1).abs().max() < 3e-7
    assert exp2_negative(np.float32(-1e30)) < 1e-30


def test_compiled_code_finds_a_folder_even_where_none_is_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(jit.__file__).parent
    usual = jit.cache_folder(package)
    monkeypatch.setattr(jit, "_writable", lambda folder: False)
    folder = jit.cache_folder.__wrapped__(package)
    assert "ar4d-kernels-" in folder
    assert folder != usual
