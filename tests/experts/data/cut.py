"""Cuts the slices in this folder out of the recorded outputs of the original networks.

    AR4D_GOLDEN=FOLDER python -m tests.experts.data.cut

Only what can be compared by itself is cut: the cameras, every pixel-wise operation at some pixels, and the
sampler, whose step is pixel-wise too, with the network's recorded answers in place of the network.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from tests.support.golden_paths import golden_tensors

HERE = Path(__file__).parent


def cameras() -> dict[str, Tensor]:
    lgm, imagedream = (
        golden_tensors("lgm_cameras.safetensors"),
        golden_tensors("imagedream_cameras.safetensors"),
    )
    whole = ("cam_view", "points.world", "points.cam_opencv", "rays_d_el30_az45_h6w10")
    return {
        **{f"lgm.{name}": lgm[name] for name in (*whole, "imagenet.in", "imagenet.out")},
        "lgm.plucker": lgm["plucker"][..., ::21, ::21],
        "lgm.rays_d_el30_az45": lgm["rays_d_el30_az45"][::21, ::21],
        "imagedream.extra_view": imagedream["mvdream_diffusers.extra_view"],
        "imagedream.lgm_copy": imagedream["lgm_copy.plain"],
    }


def lgm_head() -> dict[str, Tensor]:
    """Before and after the last convolution, and the Gaussians, at every 8th pixel of both axes."""
    toy = golden_tensors("lgm_toy.safetensors")
    maps = {name: toy[f"b1.{name}"][..., ::8, ::8] for name in ("unet_out", "unet_out_f64", "conv_out")}
    for name in ("gaussians", "gaussians_f64"):
        maps[name] = toy[f"b1.{name}"][0].reshape(4, 32, 32, 14)[:, ::8, ::8]
    return maps | {f"weights.{name}": toy[f"weights.conv.{name}"] for name in ("weight", "bias")}


def sampler() -> dict[str, Tensor]:
    """Five steps of both pipelines at every 4th pixel of both axes."""
    golden, toy = (
        golden_tensors("imagedream_sampler.safetensors"),
        golden_tensors("imagedream_toy.safetensors"),
    )
    cut = {"timesteps": toy["pipe.timesteps"], "t_emb": toy["pipe.stage.t_emb"]}
    for run in ("imagedream", "mvdream"):
        for name in ("noise", "unet_out", "latents_after_step", "step0.x"):
            cut[f"{run}.{name}"] = golden[f"{run}.{name}"][..., ::4, ::4]
        for name in ("step0.timesteps", "camera"):
            cut[f"{run}.{name}"] = golden[f"{run}.{name}"]
    return cut


if __name__ == "__main__":
    for name, tensors in (("cameras", cameras()), ("lgm_head", lgm_head()), ("sampler", sampler())):
        path = HERE / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in tensors.items()}, path)
        print(path.name, path.stat().st_size)
