import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, Cameras, orbit
from ar4d.experts.lgm.config import BIG, TINY, LgmConfig
from ar4d.experts.lgm.expert import LGM, WEIGHTS
from ar4d.experts.lgm.inputs import (
    canonical_cameras,
    network_input,
    on_white,
    plucker,
    resize,
    rotate,
)
from ar4d.experts.lgm.model import LgmNetwork, activate
from ar4d.experts.lgm.unet import MultiViewAttention
from ar4d.gaussians import Gaussians
from ar4d.rendering import render
from tests.support.golden_paths import golden_path, golden_tensors, golden_weights, needs_golden
from tests.support.toy_networks import LGM_TOY, file_size, hashed, key_digest, save_lgm, toy_lgm

SMALL = dataclasses.replace(BIG, up_channels=BIG.up_channels[:-1], up_attention=BIG.up_attention[:-1])
"""A published size that the program does not use; its keys check the network's layout."""
GOLDEN_CONFIG = LgmConfig(64, (64, 96, 128), (False, False, True), (128, 96), (True, False))
PUBLISHED = [
    (BIG, 376, 415_042_848, 65_536, "82446ab0af2de88403350a94f130792afdfb9b2d5977415a5f2ff6a2c9928938"),
    (SMALL, 344, 412_958_240, 16_384, "f4e916b40c3dd829660b361ac2dd3933cc7725e5301845aae3ec5ae7b5dde6c0"),
    (TINY, 244, 59_743_360, 16_384, "1679614e5229f392da005f2a56173fd85dfb99ec5735184f93c88ca0b3d5013b"),
]

RECORDED = [
    [-0.285848972455, -0.945252594752, -0.169176400291, 0.534594712215,
     0.050481040745, -0.244772759315, 0.461513889472, 0.684811270734],
    [-0.348306023196, -1.000000000000, 0.908280925595, 0.784157226349,
     0.100834672965, -0.073926423450, -0.351266778108, 0.520597120041],
    [-0.383621101862, -0.622115543309, 0.246149539097, 0.503041292470,
     0.069323948840, -0.388747448730, -0.765830134955, 0.532282258360],
    [0.172383860822, 0.119100842033, 0.658855714900, 0.618626289545,
     0.063963830567, 0.670713815020, -0.030232417559, 0.521142162735],
]  # fmt: skip


def on_meta(config: LgmConfig) -> LgmNetwork:
    with torch.device("meta"):
        return LgmNetwork(config)


def flat(gaussians: Gaussians) -> torch.Tensor:
    """[N, 14] in the order of the network's channels."""
    g = gaussians
    return torch.cat([g.means, g.opacities[:, None], g.scales, g.quats, g.colors], dim=-1)


def object_with_a_nose() -> Gaussians:
    """A coloured shape without any symmetry."""
    means = hashed("means", (300, 3)).float() * torch.tensor([0.25, 0.4, 0.15]) + torch.tensor(
        [0.1, 0.0, 0.2]
    )
    return Gaussians(
        means=means,
        quats=F.normalize(hashed("quats", (300, 4)).float(), dim=-1),
        scales=0.03 + 0.02 * hashed("scales", (300, 3)).float(),
        opacities=torch.full((300,), 0.7),
        colors=(means / 0.8 + 0.5).clamp(0, 1),
    )


@pytest.mark.parametrize(("config", "tensors", "parameters", "gaussians", "digest"), PUBLISHED)
def test_keys_and_shapes_are_the_published_ones(config, tensors, parameters, gaussians, digest):
    """Digests were made from the state dicts of the original classes (3DTopia/LGM@fe8d12c)."""
    network = on_meta(config)
    assert len(network.state_dict()) == tensors
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert config.num_gaussians == gaussians
    assert key_digest(network) == digest


def test_big_fills_the_published_files_to_the_byte():
    """Sizes as the model hub lists them for model_fp16_fixrot and model_fixrot."""
    assert file_size(on_meta(BIG), "F16") == 830_126_160
    assert file_size(on_meta(BIG), "F32") == 1_660_212_248


def test_predicted_file_size_is_that_of_a_real_file(tmp_path):
    path = save_lgm(tmp_path)
    assert path.stat().st_size == file_size(LgmNetwork(LGM_TOY), "F16")


def test_output_has_not_changed():
    """Recorded from this implementation in float64 when it reproduced the original network's recorded
    float64 output, on other weights, to 9e-14 (see `test_original_outputs`)."""
    network = toy_lgm(torch.float64)
    gaussians = flat(activate(network(hashed("input", (1, 4, 9, 32, 32)))[0]))
    assert gaussians.shape == (LGM_TOY.num_gaussians, 14)
    picked = gaussians[[0, 777, 2048, 4095]][:, [0, 1, 2, 3, 4, 7, 10, 13]]
    torch.testing.assert_close(picked, torch.tensor(RECORDED, dtype=torch.float64), rtol=0, atol=1e-9)


def test_gaussians_come_in_the_order_view_row_column():
    """Changing a part of one view changes that part of that view's block of Gaussians most."""
    network = toy_lgm(torch.float64)
    views = hashed("input", (1, 4, 9, 32, 32))
    maps = network(views)[0].reshape(4, 32, 32, 14)
    changed = views.clone()
    changed[0, 2, :, :, :4] += 1  # left columns of view 2
    moved = (network(changed)[0].reshape(4, 32, 32, 14) - maps).abs().sum(-1)
    assert moved[2].sum() > 2 * moved[[0, 1, 3]].sum(dim=(1, 2)).max()
    assert moved[2, :, :6].mean() > 2 * moved[2, :, 20:].mean()


def test_views_of_one_object_meet_and_objects_do_not():
    network = toy_lgm(torch.float64)
    views = hashed("two", (2, 4, 9, 32, 32))
    both = network(views)
    torch.testing.assert_close(both[1], network(views[1:])[0], rtol=0, atol=1e-10)
    changed = views.clone()
    changed[0, 3] += 1
    after = network(changed)
    assert (after[0, :1024] - both[0, :1024]).abs().max() > 1e-3  # view 0 saw it
    assert torch.equal(after[1], both[1])


def test_attention_is_softmax_over_all_pixels_of_all_views():
    """Against the formula, written out in float64."""
    block = MultiViewAttention(32).double()
    for key, parameter in block.named_parameters():
        parameter.data = hashed(key, tuple(parameter.shape)) * 0.5
    x = hashed("x", (4, 32, 3, 2))
    tokens = F.group_norm(x, 32, block.norm.weight, block.norm.bias, 1e-5).permute(0, 2, 3, 1).reshape(24, 32)
    q, k, v = (tokens @ block.attn.qkv.weight.T).reshape(24, 3, 16, 2).unbind(1)
    weights = torch.einsum("ihc,jhc->hij", q / 2**0.5, k).exp()
    weights = weights / weights.sum(-1, keepdim=True)
    mixed = torch.einsum("hij,jhc->ihc", weights, v).reshape(24, 32)
    expected = (
        (mixed @ block.attn.proj.weight.T + block.attn.proj.bias).reshape(4, 3, 2, 32).permute(0, 3, 1, 2)
    )
    torch.testing.assert_close(block(x), (expected + x) / 2**0.5, rtol=0, atol=1e-12)


def test_activations():
    raw = torch.tensor([[-3.0, 0.4, 2, 1, -1, 0, 3, 2, 0, 0, 0, -1, 0, 1]], dtype=torch.float64)
    gaussians = activate(raw)
    torch.testing.assert_close(gaussians.means, torch.tensor([[-1, 0.4, 1]], dtype=torch.float64))
    assert gaussians.opacities.item() == pytest.approx(1 / (1 + torch.tensor(-1.0).exp().item()))
    torch.testing.assert_close(gaussians.scales, 0.1 * torch.log1p(raw[:, 4:7].exp()))
    torch.testing.assert_close(gaussians.quats, torch.tensor([[1, 0, 0, 0]], dtype=torch.float64))
    torch.testing.assert_close(gaussians.colors, (raw[:, 11:].tanh() + 1) / 2)


def test_pictures_are_composited_on_white_and_resized():
    rgba = torch.tensor([0.2, 0.4, 0.6, 0.25]).expand(4, 8, 8, 4)
    rgb = resize(on_white(rgba), 4)
    assert rgb.shape == (4, 4, 4, 3)
    torch.testing.assert_close(rgb[0, 0, 0], torch.tensor([0.8, 0.85, 0.9]))
    checker = torch.tensor([[0.0, 1], [1, 0]]).repeat(4, 4)[None, :, :, None].expand(4, 8, 8, 3)
    torch.testing.assert_close(resize(checker, 4), torch.full((4, 4, 4, 3), 0.5))


def test_network_input_is_normalised_rgb_then_moments_then_directions():
    cameras = orbit(ORTHOGONAL_AZIMUTHS_DEG, size=8)
    x = network_input(torch.full((4, 8, 8, 3), 0.485), cameras)
    assert x.shape == (1, 4, 9, 8, 8)
    torch.testing.assert_close(x[0, 0, :3, 0, 0], torch.tensor([0.0, 0.029 / 0.224, 0.079 / 0.225]))
    torch.testing.assert_close(x[0, :, 6:].norm(dim=1), torch.ones(4, 8, 8))
    origin = torch.tensor([1.5, 0.0, 0.0])  # of the camera at azimuth 90
    moment = torch.linalg.cross(origin.expand(8, 8, 3), x[0, 1, 6:].permute(1, 2, 0))
    torch.testing.assert_close(x[0, 1, 3:6].permute(1, 2, 0), moment)
    assert x[0, 1, 6].max() < 0  # it looks along -x
    assert x[0, 1, 7, 0, 0] > 0  # and its first row is up


@pytest.mark.parametrize("elevation", [0.0, 25.0, -40.0])
def test_raised_cameras_are_turned_to_where_lgm_was_trained(elevation):
    """View 0 is shown at elevation 0, and what comes out is seen by our raised cameras as it was by LGM's."""
    cameras, to_world = canonical_cameras(elevation, 64)
    torch.testing.assert_close(cameras.viewmats[0], orbit(0.0, size=64).viewmats[0], rtol=0, atol=1e-6)
    gaussians = object_with_a_nose()
    seen = render(gaussians, cameras).rgb
    turned = render(rotate(gaussians, to_world), orbit(ORTHOGONAL_AZIMUTHS_DEG, elevation, size=64)).rgb
    assert (seen - seen.flip(2)).abs().max() > 0.3  # the picture says which way is which
    torch.testing.assert_close(turned, seen, rtol=0, atol=2e-3)


def test_expert_reconstructs_and_prunes(tmp_path):
    save_lgm(tmp_path)
    weights = dataclasses.replace(WEIGHTS, sha256={})
    rgba = (hashed("rgba", (4, 40, 40, 4)).float() + 1) / 2
    whole = LGM.load("cpu", tmp_path, config=LGM_TOY, weights=weights, min_opacity=0).reconstruct(rgba)
    assert len(whole) == LGM_TOY.num_gaussians
    assert whole.means.abs().max() <= 1
    torch.testing.assert_close(whole.quats.norm(dim=-1), torch.ones(len(whole)))
    threshold = whole.opacities.median().item()
    lgm = LGM.load("cpu", tmp_path, config=LGM_TOY, weights=weights, min_opacity=threshold)
    pruned = lgm.reconstruct(rgba)
    torch.testing.assert_close(pruned.means, whole.means[whole.opacities >= threshold])
    views = network_input(resize(on_white(rgba), 32), orbit(ORTHOGONAL_AZIMUTHS_DEG, size=32))
    by_hand = activate(toy_lgm()(views)[0])
    torch.testing.assert_close(whole.means, by_hand.means, rtol=0, atol=1e-5)
    raised = lgm.reconstruct(rgba, 20.0)
    assert raised.means.shape[1] == 3
    assert not torch.allclose(raised.means[: len(pruned)], pruned.means[: len(raised)], atol=1e-2)
    with pytest.raises(ValueError, match=r"\[4, S, S, 3\]"):
        lgm.from_rgb(rgba[:3, ..., :3])


def test_half_precision_stays_close():
    """float16 on the CPU, so that a wrong cast shows without a GPU."""
    views = hashed("input", (1, 4, 9, 32, 32))
    exact = activate(toy_lgm(torch.float64)(views)[0])
    half = activate(toy_lgm(torch.float16)(views.half())[0].float())
    assert (half.means - exact.means).square().mean().sqrt() < 2e-3
    assert (half.colors - exact.colors).square().mean().sqrt() < 1e-3


@needs_golden
@pytest.mark.parametrize("name", ["big", "small", "tiny"])
def test_original_keys(name):
    expected = json.loads(golden_path("lgm_keys.json").read_text())["configs"][name]["keys"]
    network = on_meta({"big": BIG, "small": SMALL, "tiny": TINY}[name])
    found = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert found == expected
    assert list(found) == list(expected)


@needs_golden
@pytest.mark.parametrize(
    ("dtype", "suffix", "tolerance"), [(torch.float32, "", 1e-4), (torch.float64, "_f64", 1e-9)]
)
def test_original_outputs(dtype, suffix, tolerance):
    """The original network's outputs and two of its blocks', recorded on random weights."""
    golden = golden_tensors("lgm_toy.safetensors")
    network = LgmNetwork(GOLDEN_CONFIG).to(dtype).eval()
    network.load_state_dict(golden_weights(golden, dtype))
    blocks = {
        "down_blocks.2.attns.0": network.unet.get_submodule("down_blocks.2.attns.0"),
        "mid_block": network.unet.mid_block,
    }
    outputs: dict[str, torch.Tensor] = {}
    for name, block in blocks.items():
        block.register_forward_hook(lambda _, inputs, output, name=name: outputs.update({name: output}))
    with torch.no_grad():
        inputs = golden["b1.input"].to(dtype)
        unet_out = network.unet(inputs[0])
        compare("unet_out", unet_out, golden[f"b1.unet_out{suffix}"], tolerance)
        compare(
            "gaussians", flat(activate(network(inputs)[0])), golden[f"b1.gaussians{suffix}"][0], tolerance
        )
        if suffix:
            return
        compare("conv_out", network.conv(unet_out), golden["b1.conv_out"], tolerance)
        for name, output in outputs.items():
            compare(name, output, golden[f"stage.{name}.out"], tolerance)
        two = torch.stack([flat(activate(raw)) for raw in network(golden["b2.input"])])
        compare("gaussians of two", two, golden["b2.gaussians"], tolerance)


@needs_golden
def test_original_cameras():
    """LGM's elevation counts downwards; rays, matrices and points are ours to 1e-6 otherwise."""
    golden = golden_tensors("lgm_cameras.safetensors")
    for i, elevation in enumerate((0.0, 20.0, -30.0)):
        compare(
            "plucker", plucker(orbit(ORTHOGONAL_AZIMUTHS_DEG, elevation, size=64)), golden["plucker"][i], 1e-6
        )
        cameras = orbit((0, 45, 90, 180, 270), elevation, size=64)
        compare("cam_view", cameras.viewmats.mT, golden["cam_view"][i], 1e-6)
        points = golden["points.world"] @ cameras.viewmats[:, :3, :3].mT + cameras.viewmats[:, None, :3, 3]
        compare("points", points, golden["points.cam_opencv"][i], 1e-6)
    raised = orbit(45.0, -30.0, size=64)
    compare("rays_d", plucker(raised)[0, 3:].permute(1, 2, 0), golden["rays_d_el30_az45"], 1e-6)
    K = torch.tensor(
        [[[3 / 0.45678058, 0, 5], [0, 3 / 0.45678058, 3], [0, 0, 1]]]
    )  # the height sets the focal
    wide = Cameras(raised.viewmats, K, width=10, height=6)
    compare("rays_d wide", plucker(wide)[0, 3:].permute(1, 2, 0), golden["rays_d_el30_az45_h6w10"], 1e-6)
    pictures = network_input(
        golden["imagenet.in"].permute(0, 2, 3, 1).repeat(2, 1, 1, 1), orbit(ORTHOGONAL_AZIMUTHS_DEG, size=4)
    )
    compare("imagenet", pictures[0, :2, :3], golden["imagenet.out"], 1e-6)


def compare(name: str, found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    error = (found - expected).abs().max().item()
    print(f"{name}: max error {error:.1e}, {error / expected.abs().max().item():.1e} of the largest value")
    assert error <= tolerance, f"{name}: {error:.1e} > {tolerance:.0e}"
