"""Cameras, LGM's last layers and the sampler against what the original code computed (see data/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, Cameras, orbit
from ar4d.experts.imagedream.cameras import camera_embedding
from ar4d.experts.imagedream.sampler import Guide, denoise
from ar4d.experts.imagedream.unet import timestep_embedding
from ar4d.experts.lgm.inputs import network_input, plucker
from ar4d.experts.lgm.model import activate
from tests.experts.test_imagedream import scheduler
from tests.experts.test_lgm import compare, flat

DATA = Path(__file__).parent / "data"


def recorded(name: str) -> dict[str, Tensor]:
    # cloned: tensors in a mapped file may be unaligned, which changes the rounding
    return {key: value.clone() for key, value in load_file(DATA / f"{name}.safetensors").items()}


def test_cameras_and_rays_are_lgms():
    """LGM's elevation counts downwards: it recorded 0, -20 and 30."""
    golden = recorded("cameras")
    for i, elevation in enumerate((0.0, 20.0, -30.0)):
        rays = plucker(orbit(ORTHOGONAL_AZIMUTHS_DEG, elevation, size=64))[..., ::21, ::21]
        compare("plucker", rays, golden["lgm.plucker"][i], 1e-6)
        cameras = orbit((0, 45, 90, 180, 270), elevation, size=64)
        compare("cam_view", cameras.viewmats.mT, golden["lgm.cam_view"][i], 1e-6)
        rotations, translations = cameras.viewmats[:, :3, :3], cameras.viewmats[:, None, :3, 3]
        points = golden["lgm.points.world"] @ rotations.mT + translations
        compare("points", points, golden["lgm.points.cam_opencv"][i], 1e-6)


def test_rays_of_a_picture_that_is_not_square():
    """The height decides the focal length."""
    golden, raised = recorded("cameras"), orbit(45.0, -30.0, size=64)
    square = plucker(raised)[0, 3:].permute(1, 2, 0)[::21, ::21]
    compare("rays_d", square, golden["lgm.rays_d_el30_az45"], 1e-6)
    K = torch.tensor([[[3 / 0.45678058, 0, 5], [0, 3 / 0.45678058, 3], [0, 0, 1]]])
    wide = Cameras(raised.viewmats, K, width=10, height=6)
    rays = plucker(wide)[0, 3:].permute(1, 2, 0)
    compare("rays_d wide", rays, golden["lgm.rays_d_el30_az45_h6w10"], 1e-6)


def test_pictures_are_normalised_as_lgm_does():
    golden = recorded("cameras")
    pictures = golden["lgm.imagenet.in"].permute(0, 2, 3, 1).repeat(2, 1, 1, 1)
    found = network_input(pictures, orbit(ORTHOGONAL_AZIMUTHS_DEG, size=4))
    compare("imagenet", found[0, :2, :3], golden["lgm.imagenet.out"], 1e-6)


@pytest.mark.parametrize(
    ("dtype", "suffix", "tolerance"), [(torch.float32, "", 1e-5), (torch.float64, "_f64", 1e-12)]
)
def test_lgms_last_convolution_and_activations(dtype, suffix, tolerance):
    """Order of channels, activations, and the order of Gaussians: view, row, column."""
    golden = recorded("lgm_head")
    conv = nn.Conv2d(14, 14, 1).to(dtype)
    conv.load_state_dict({name: golden[f"weights.{name}"].to(dtype) for name in ("weight", "bias")})
    with torch.no_grad():
        maps = conv(golden[f"unet_out{suffix}"])
    if not suffix:
        compare("conv_out", maps, golden["conv_out"], tolerance)
    raw = maps.permute(0, 2, 3, 1).reshape(-1, 14)
    compare("gaussians", flat(activate(raw)), golden[f"gaussians{suffix}"].reshape(-1, 14), tolerance)


def test_camera_rows_are_imagedreams():
    golden = recorded("cameras")
    for i, elevation in enumerate((0.0, 15.0, -20.0, 30.0)):
        rows = camera_embedding(elevation, image_view=True)
        compare("mvdream_diffusers", rows, golden["imagedream.extra_view"][i], 1e-6)
        downwards = camera_embedding(-elevation, image_view=False)  # LGM's copy counts downwards
        compare("LGM's copy", downwards, golden["imagedream.lgm_copy"][i], 1e-6)


def test_timesteps_are_embedded_as_imagedream_does():
    golden = recorded("sampler")
    compare("t_emb", timestep_embedding(golden["timesteps"], 64), golden["t_emb"], 1e-4)


class Replayed(nn.Module):
    """A network that gives the recorded answers and notes what it was asked."""

    def __init__(self, answers: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.answers, self.asked = list(answers), []

    def image_embed(self, features: Tensor) -> Tensor:
        return features[:, :1, :4]

    def forward(self, x: Tensor, timesteps: Tensor, views: int, **condition: Tensor) -> Tensor:
        self.asked.append((x, timesteps, views, condition))
        return self.answers[len(self.asked) - 1]


@pytest.mark.parametrize(("name", "guidance"), [("imagedream", 5.0), ("mvdream", 7.5)])
def test_the_sampler_takes_the_original_steps(name, guidance):
    """Five DDIM steps with guidance: what the network is asked in each, and the latents after each."""
    golden, image = recorded("sampler"), name == "imagedream"
    views = 5 if image else 4
    network = Replayed(golden[f"{name}.unet_out"])
    guide = Guide(
        text=torch.stack([torch.zeros(3, 2), torch.ones(3, 2)]),
        camera=camera_embedding(10.0, image_view=image),
        features=torch.ones(9, 1280) if image else None,
        latents=torch.ones(4, 4, 4) if image else None,
    )
    noise, after = golden[f"{name}.noise"], golden[f"{name}.latents_after_step"]
    latents = denoise(network, scheduler(), noise, guide, guidance=guidance, steps=5)  # pyright: ignore[reportArgumentType]
    compare("latents", latents, after[-1], 1e-4)
    assert len(network.asked) == 5
    for step, (x, timesteps, asked_views, condition) in enumerate(network.asked):
        compare("x", x, (noise if step == 0 else after[step - 1]).repeat(2, 1, 1, 1), 1e-4)
        assert timesteps.tolist() == [801 - 200 * step] * 2 * views
        assert asked_views == views
        compare("camera", condition["camera"], golden[f"{name}.camera"], 1e-6)
        assert condition["text"].mean((1, 2)).tolist() == [0] * views + [1] * views
        if image:
            assert condition["image_latents"].mean((1, 2, 3)).tolist() == [0, 1]
            assert condition["image_tokens"].mean((1, 2)).tolist() == [0] * views + [1] * views
    compare("step 0", network.asked[0][0], golden[f"{name}.step0.x"], 1e-6)
    assert torch.equal(network.asked[0][1], golden[f"{name}.step0.timesteps"])
