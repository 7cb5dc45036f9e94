"""Rasterisation of 3D Gaussians on CUDA, by gsplat.

gsplat is a source package: its kernels are compiled by nvcc when they are first used, which takes
some minutes once, and are read from torch's extension folder from then on.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import shutil
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import cpp_extension

from ar4d.cameras import Cameras
from ar4d.errors import UserError
from ar4d.gaussians import Gaussians

BLACK = (0.0, 0.0, 0.0)


def rasterize(
    gaussians: Gaussians, cameras: Cameras, background: tuple[float, float, float] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Blends N Gaussians into C images, front to back; all tensors on one CUDA device.

    Differentiable with respect to the five attributes. Computes in float32.

    Args:
        background: what is seen through the rest of a pixel; None is black, so that rgb is premultiplied.

    Returns:
        rgb [C, H, W, 3], depth [C, H, W] = Σ w z, alpha [C, H, W].

    Raises:
        UserError: gsplat's kernels cannot be compiled.
    """
    if len(gaussians) == 0:  # gsplat divides by N
        sums = gaussians.means.float().sum()
        nothing = sums + sums.new_zeros(len(cameras), cameras.height, cameras.width)
        return nothing[..., None] + _backdrop(background or BLACK, sums.device), nothing, nothing
    images, alpha = rasterize_channels(gaussians, cameras, background)
    return images[..., :3], images[..., 3], alpha[..., 0]


def rasterize_channels(
    gaussians: Gaussians, cameras: Cameras, background: tuple[float, float, float] | None = None
) -> tuple[Tensor, Tensor]:
    """`rasterize` of at least one Gaussian, as gsplat gives it.

    Returns:
        Colours and depth [C, H, W, 4], alpha [C, H, W, 1].
    """
    g = gaussians.map(lambda x: x.float())
    load_kernels()
    from gsplat import rasterization

    images, alpha, _ = rasterization(
        g.means,
        g.quats,
        g.scales,
        g.opacities,
        g.colors,
        cameras.viewmats.float(),
        cameras.Ks.float(),
        cameras.width,
        cameras.height,
        near_plane=0.01,
        eps2d=0.3,
        packed=False,
        backgrounds=_backdrop(background or BLACK, g.means.device).expand(len(cameras), 3),
        render_mode="RGB+D",
        rasterize_mode="classic",
    )
    return images, alpha


@functools.cache
def _backdrop(color: tuple[float, float, float], device: torch.device) -> Tensor:
    """[3] a colour on the device, sent once: sending waits for everything before it."""
    return torch.tensor(color, device=device)


def is_compiled() -> bool:
    """Whether gsplat's kernels exist; if not, the first `rasterize` takes minutes."""
    folder = Path(cpp_extension._get_build_directory("gsplat_cuda", verbose=False))
    return _is_prebuilt() or any((folder / f"gsplat_cuda{suffix}").exists() for suffix in (".so", ".lib"))


def require_gsplat() -> None:
    """Checks, without compiling, that gsplat's kernels can be had.

    Raises:
        UserError: nvcc is missing (gsplat asks for it even where it compiled before).
    """
    home = cpp_extension.CUDA_HOME
    has_nvcc = shutil.which("nvcc") is not None or (home is not None and Path(home, "bin", "nvcc").exists())
    if not has_nvcc and not _is_prebuilt():
        raise UserError(
            "gsplat compiles its CUDA kernels at first use, but nvcc was not found; install the CUDA toolkit "
            f"{torch.version.cuda or ''} (torch's version) so that nvcc is on the PATH."
        )


def _is_prebuilt() -> bool:
    """Whether the installed gsplat came with its kernels."""
    return importlib.util.find_spec("gsplat.csrc") is not None


@functools.cache
def load_kernels() -> None:
    """Compiles gsplat's kernels if need be, and loads them.

    Raises:
        UserError: nvcc is missing or failed.
    """
    require_gsplat()
    try:
        kernels = importlib.import_module("gsplat.cuda._backend")._C  # compiles while it is imported
    except (RuntimeError, OSError, ImportError) as error:
        raise UserError(
            f"gsplat's CUDA kernels did not compile ({str(error).partition(chr(10))[0]}); install the CUDA "
            f"toolkit {torch.version.cuda or ''} (torch's version) and a C++ compiler that it supports."
        ) from error
    if kernels is None:
        raise UserError(
            "gsplat found no CUDA toolkit; set CUDA_HOME to the folder that holds bin/nvcc, "
            f"of the CUDA toolkit {torch.version.cuda or ''} (torch's version)."
        )
