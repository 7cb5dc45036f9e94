"""Our multi-view U-Nets and sampler against what the original code computed (see `golden_paths`)."""

import dataclasses
import json

import pytest
import torch

from ar4d.experts.imagedream import unet as unet_module
from ar4d.experts.imagedream.cameras import camera_embedding
from ar4d.experts.imagedream.config import IMAGEDREAM_UNET, UNetConfig
from ar4d.experts.imagedream.sampler import Guide, denoise
from ar4d.experts.imagedream.unet import MultiViewUNet
from tests.experts.test_imagedream import MVDREAM_UNET, on_meta, scheduler
from tests.experts.test_lgm import compare
from tests.support.golden_paths import golden_path, golden_tensors, golden_weights, needs_golden

GOLDEN_CONFIG = UNetConfig(
    image_size=16,
    model_channels=64,
    attention_resolutions=(2, 1),
    channel_mult=(1, 1, 2),
    num_head_channels=16,
    context_dim=64,
    ip_dim=4,
)


@needs_golden
@pytest.mark.parametrize("name", ["imagedream", "mvdream"])
def test_original_keys(name):
    expected = json.loads(golden_path("imagedream_keys.json").read_text())["models"][name]["keys"]
    network = on_meta({"imagedream": IMAGEDREAM_UNET, "mvdream": MVDREAM_UNET}[name])
    found = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert found == expected
    assert list(found) == list(expected)


def golden_unet(golden: dict[str, torch.Tensor], dtype: torch.dtype, *, image: bool) -> MultiViewUNet:
    network = MultiViewUNet(GOLDEN_CONFIG if image else dataclasses.replace(GOLDEN_CONFIG, ip_dim=0)).to(
        dtype
    )
    weights = golden_weights(golden, dtype)
    if not image:
        weights = {k: v for k, v in weights.items() if not k.startswith("image_embed.") and "_ip." not in k}
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


@needs_golden
@pytest.mark.parametrize(
    ("dtype", "suffix", "tolerance"), [(torch.float32, "", 1e-4), (torch.float64, "_f64", 1e-9)]
)
def test_original_outputs(dtype, suffix, tolerance, monkeypatch):
    """The original network's outputs, recorded on random weights.

    Its table of frequencies came from a float32 exp whose fourth entry is one unit in the last place
    above the rounded value that we compute; it is put right here so that float64 can be compared.
    """
    rounded = unet_module.frequencies

    def recorded(count: int) -> torch.Tensor:
        table = rounded(count)
        table[3] = torch.nextafter(table[3], torch.tensor(1.0))
        return table

    monkeypatch.setattr(unet_module, "frequencies", recorded)
    golden = golden_tensors("imagedream_toy.safetensors")
    case = {key: value.to(dtype) for key, value in golden.items() if not key.startswith("weights.")}
    network = golden_unet(golden, dtype, image=True)
    tokens = network.image_embed(case["pipe.ip"])

    def run(name: str, network: MultiViewUNet, views: int, tokens: torch.Tensor | None, camera: bool = True):
        inputs = (case[f"{name}.x"], case[f"{name}.timesteps"], case[f"{name}.context"])
        latents = case[f"{name}.ip_img"] if tokens is not None else None
        view = case[f"{name}.camera"] if camera else None
        return network(*inputs, view, views=views, image_tokens=tokens, image_latents=latents)

    compare("pipe", run("pipe", network, 5, tokens), golden[f"pipe.out{suffix}"], tolerance)
    plain = golden_unet(golden, dtype, image=False)
    compare("mvdream", run("mvdream", plain, 4, None), golden[f"mvdream.out{suffix}"], tolerance)
    if suffix:
        return
    compare("image_embed", tokens, golden["pipe.stage.image_embed"], tolerance)
    mixed = run("mixed", network, 5, tokens[[9, 0, 0, 9, 0, 9, 9, 0, 9, 0]])
    compare("mixed", mixed, golden["mixed.out"], tolerance)
    without_camera = run("mvdream", plain, 4, None, camera=False)
    compare("mvdream without cameras", without_camera, golden["mvdream.out_no_camera"], tolerance)


@needs_golden
def test_original_cameras():
    golden = golden_tensors("imagedream_cameras.safetensors")
    for i, elevation in enumerate((0.0, 15.0, -20.0, 30.0)):
        rows = camera_embedding(elevation, image_view=True)
        compare("mvdream_diffusers", rows, golden["mvdream_diffusers.extra_view"][i], 1e-6)
        downwards = camera_embedding(-elevation, image_view=False)  # LGM's copy counts downwards
        compare("LGM's copy", downwards, golden["lgm_copy.plain"][i], 1e-6)


@needs_golden
@pytest.mark.parametrize(("name", "guidance"), [("imagedream", 5.0), ("mvdream", 7.5)])
def test_original_sampling(name, guidance):
    """Five steps of the original pipeline; latents grow to a deviation of 12 to 16."""
    weights = golden_tensors("imagedream_toy.safetensors")
    golden = golden_tensors("imagedream_sampler.safetensors")
    image = name == "imagedream"
    guide = Guide(
        text=torch.cat([golden["cond.context_neg"], golden["cond.context_pos"]]),
        camera=camera_embedding(10.0, image_view=image),
        features=golden["cond.ip_pos"][0] if image else None,
        latents=golden["cond.ip_img_pos"][0] if image else None,
    )
    compare("camera", guide.camera.repeat(2, 1), golden[f"{name}.camera"], 1e-6)
    latents = denoise(
        golden_unet(weights, torch.float32, image=image),
        scheduler(),
        golden[f"{name}.noise"],
        guide,
        guidance=guidance,
        steps=5,
    )
    compare("latents", latents, golden[f"{name}.latents_after_step"][-1], 2e-3)
