import dataclasses
import json
import math
import shutil

import pytest
import torch
import torch.nn.functional as F

from ar4d.cameras import orbit
from ar4d.errors import UserError
from ar4d.experts.imagedream import ImageDream, ImageDreamLGM, MVDream
from ar4d.experts.imagedream.align import find_azimuth
from ar4d.experts.imagedream.cameras import camera_embedding
from ar4d.experts.imagedream.config import IMAGEDREAM_UNET, UNetConfig
from ar4d.experts.imagedream.encoding import clip_pixels, encode_features, encode_text
from ar4d.experts.imagedream.lift import quarter_views, within
from ar4d.experts.imagedream.parts import load_parts
from ar4d.experts.imagedream.resampler import PerceiverAttention
from ar4d.experts.imagedream.sampler import Guide, denoise
from ar4d.experts.imagedream.transformer import CrossAttention
from ar4d.experts.imagedream.unet import MultiViewUNet, timestep_embedding
from ar4d.experts.lgm.expert import LGM
from ar4d.rendering import render
from tests.experts.test_lgm import object_with_a_nose
from tests.support.toy_networks import (
    UNET_TOY,
    file_size,
    hashed,
    key_digest,
    save_multi_view_release,
    toy_lgm,
    toy_unet,
)

MVDREAM_UNET = UNetConfig()
"""MVDream's text-to-views network: the published size without pictures, which the program does not use."""
PUBLISHED = [
    (IMAGEDREAM_UNET, 773, 941_672_900, "f77494166520ce540efdb94f4eefa1d753460699e5e33e6ee5b8c471d2bce58e"),
    (MVDREAM_UNET, 690, 867_572_164, "9a79311b2473d15833ebc33169d94f518d400ab9322a8e3b6eaca186fad7d433"),
]
RECORDED = {
    "imagedream": [-0.299620012530, -0.244852146253, -0.215391364998, -0.228798441496, -0.196889918280],
    "mvdream": [-0.325723218191, -0.192531487382, -0.153271998107, -0.229177405116, -0.156480465567],
}
MVDREAM_TOY = dataclasses.replace(UNET_TOY, ip_dim=0)


def on_meta(config: UNetConfig) -> MultiViewUNet:
    with torch.device("meta"):
        return MultiViewUNet(config)


def scheduler():
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagedream")
    save_multi_view_release(folder)
    return folder


@pytest.fixture(scope="module")
def imagedream(release) -> ImageDream:
    return ImageDream.load("cpu", release)


@pytest.mark.parametrize(("config", "tensors", "parameters", "digest"), PUBLISHED)
def test_keys_and_shapes_are_the_published_ones(config, tensors, parameters, digest):
    """Digests were made from the original class's state dicts (ashawkey/mvdream_diffusers@8b318ef)."""
    network = on_meta(config)
    assert len(network.state_dict()) == tensors
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert key_digest(network) == digest


def test_imagedream_fills_the_published_file_to_the_byte():
    """The size of unet/diffusion_pytorch_model.safetensors as the model hub lists it."""
    size = file_size(on_meta(IMAGEDREAM_UNET), "F16", '"__metadata__":{"format":"pt"}')
    assert size == 1_883_435_904


def test_published_config_is_read(tmp_path):
    entries = {
        "_class_name": "MultiViewUNetModel",
        "ip_dim": 16,
        "channel_mult": [1, 2, 4, 4],
        "use_checkpoint": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(entries))
    assert UNetConfig.load(tmp_path / "config.json") == IMAGEDREAM_UNET
    (tmp_path / "config.json").write_text("[1, 2")
    with pytest.raises(UserError, match="does not describe a U-Net"):
        UNetConfig.load(tmp_path / "config.json")


def toy_inputs(views: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Two samples; five views are four and the picture."""
    rows = 2 * views
    return {
        "x": hashed("x", (rows, 4, 8, 8)).to(dtype),
        "timesteps": torch.full((rows,), 341.0, dtype=dtype),
        "text": hashed("text", (rows, 7, 32)).to(dtype),
        "camera": camera_embedding(10.0, image_view=views == 5).to(dtype).repeat(2, 1),
    }


def test_output_has_not_changed():
    """Recorded from this implementation in float64 when it reproduced the original network's recorded
    float64 outputs, on other weights, to 2e-14 (see test_imagedream_golden.py)."""
    network = toy_unet(dtype=torch.float64)
    tokens = network.image_embed(hashed("features", (10, 5, 32)))
    latents = hashed("latents", (2, 4, 8, 8))
    inputs = toy_inputs(5, torch.float64)
    out = network(**inputs, views=5, image_tokens=tokens, image_latents=latents)
    assert out.shape == (10, 4, 8, 8)
    recorded = torch.tensor(RECORDED["imagedream"], dtype=torch.float64)
    torch.testing.assert_close(out[[0, 3, 4, 7, 9], 1, 2, [0, 3, 5, 6, 7]], recorded, rtol=0, atol=1e-9)
    network = toy_unet(MVDREAM_TOY, torch.float64)
    out = network(**toy_inputs(4, torch.float64), views=4)
    recorded = torch.tensor(RECORDED["mvdream"], dtype=torch.float64)
    torch.testing.assert_close(out[[0, 2, 3, 5, 7], 1, 2, [0, 3, 5, 6, 7]], recorded, rtol=0, atol=1e-9)


def test_the_pictures_row_is_replaced_and_the_given_latents_are_left_alone():
    network = toy_unet()
    inputs = toy_inputs(5, torch.float32)
    tokens, latents = torch.zeros(10, 2, 32), hashed("latents", (2, 4, 8, 8)).float()
    before = inputs["x"].clone()
    out = network(**inputs, views=5, image_tokens=tokens, image_latents=latents)
    assert torch.equal(inputs["x"], before)
    inputs["x"] = before.clone()
    inputs["x"][[4, 9]] = 7.0  # what lies in the picture's rows does not matter
    assert torch.equal(network(**inputs, views=5, image_tokens=tokens, image_latents=latents), out)


def test_views_of_one_sample_meet_and_samples_do_not():
    network = toy_unet(MVDREAM_TOY, torch.float64)
    inputs = toy_inputs(4, torch.float64)
    before = network(**inputs, views=4)
    inputs["x"] = inputs["x"].clone()
    inputs["x"][3] += 1
    after = network(**inputs, views=4)
    assert (after[0] - before[0]).abs().max() > 1e-3
    assert torch.equal(after[4:], before[4:])


def test_timestep_embedding_is_cosines_then_sines():
    embedding = timestep_embedding(torch.tensor([341.0], dtype=torch.float64), 64)
    angles = [341 * 10000 ** (-i / 32) for i in range(32)]
    expected = torch.tensor([[*map(math.cos, angles), *map(math.sin, angles)]], dtype=torch.float64)
    torch.testing.assert_close(embedding, expected, rtol=0, atol=341 * 2**-24)


def softmax_attention(q, k, v, heads):
    q, k, v = (x.unflatten(-1, (heads, -1)) for x in (q, k, v))
    weights = torch.einsum("bihc,bjhc->bhij", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("bhij,bjhc->bihc", weights.exp() / weights.exp().sum(-1, keepdim=True), v).flatten(2)


def filled(module: torch.nn.Module) -> torch.nn.Module:
    for key, parameter in module.double().named_parameters():
        parameter.data = hashed(key, tuple(parameter.shape)) * 0.5
    return module


def test_cross_attention_adds_two_attentions_of_one_query():
    """Text and picture each have a softmax of their own; written out in float64."""
    layer = filled(CrossAttention(32, 24, 16, image=True))
    x, text, image = hashed("x", (2, 5, 32)), hashed("t", (2, 7, 24)), hashed("i", (2, 3, 24))
    w = dict(layer.named_parameters())
    q = x @ w["to_q.weight"].T
    mixed = softmax_attention(q, text @ w["to_k.weight"].T, text @ w["to_v.weight"].T, 2)
    mixed = mixed + softmax_attention(q, image @ w["to_k_ip.weight"].T, image @ w["to_v_ip.weight"].T, 2)
    expected = mixed @ w["to_out.0.weight"].T + w["to_out.0.bias"]
    torch.testing.assert_close(layer(x, text, image), expected, rtol=0, atol=1e-12)


def test_resampler_looks_at_features_and_at_itself():
    layer = filled(PerceiverAttention(24))
    features, latents = hashed("f", (2, 6, 24)), hashed("l", (2, 3, 24))
    w = dict(layer.named_parameters())
    f = F.layer_norm(features, (24,), w["norm1.weight"], w["norm1.bias"])
    q = F.layer_norm(latents, (24,), w["norm2.weight"], w["norm2.bias"])
    k, v = (torch.cat([f, q], 1) @ w["to_kv.weight"].T).chunk(2, -1)
    expected = softmax_attention(q @ w["to_q.weight"].T, k, v, 12) @ w["to_out.weight"].T
    torch.testing.assert_close(
        layer(features, latents), expected, rtol=0, atol=1e-4
    )  # its softmax is float32


def test_camera_table():
    """get_camera of mvdream_diffusers@8b318ef at elevation 15, azimuths 0 and 90, and the picture's row."""
    rows = camera_embedding(15.0, image_view=True)
    s, c = math.sin(math.radians(15)), math.cos(math.radians(15))
    front = [1, 0, 0, 0, 0, s, -c, -c, 0, c, s, s, 0, 0, 0, 1]
    right = [0, -s, c, c, 1, 0, 0, 0, 0, c, s, s, 0, 0, 0, 1]
    torch.testing.assert_close(rows[:2], torch.tensor([front, right]), rtol=0, atol=1e-6)
    assert torch.equal(rows[4], torch.zeros(16))
    assert torch.equal(camera_embedding(15.0, image_view=False), rows[:4])


def test_timesteps_are_ddims():
    ddim = scheduler()
    ddim.set_timesteps(30)
    assert ddim.timesteps.tolist() == list(range(958, 0, -33))


def test_guidance_extrapolates_from_the_negative_prompt():
    """One step by hand: the guided noise, and DDIM's closed form."""
    network = toy_unet(MVDREAM_TOY)
    text = hashed("two texts", (2, 7, 32)).float()
    camera = camera_embedding(0.0, image_view=False)
    noise = hashed("noise", (4, 4, 8, 8)).float()
    steps_seen = []
    latents = denoise(
        network, scheduler(), noise, Guide(text, camera), guidance=7.5, steps=1,
        on_step=lambda done, total: steps_seen.append((done, total)),
    )  # fmt: skip
    t = torch.ones(4)  # leading spacing with an offset of 1
    without = network(noise, t, text[:1].repeat(4, 1, 1), camera, views=4)
    guided = network(noise, t, text[1:].repeat(4, 1, 1), camera, views=4)
    epsilon = without + 7.5 * (guided - without)
    alpha = torch.linspace(0.00085**0.5, 0.012**0.5, 1000).square().neg().add(1).cumprod(0)
    clean = (noise - (1 - alpha[1]).sqrt() * epsilon) / alpha[1].sqrt()
    expected = alpha[0].sqrt() * clean + (1 - alpha[0]).sqrt() * epsilon
    torch.testing.assert_close(latents, expected, rtol=0, atol=1e-4)
    assert steps_seen == [(1, 1)]


def test_a_callback_can_stop_the_sampling(imagedream):
    class Stopped(Exception):
        pass

    def stop(done, total):
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        imagedream.views(torch.ones(16, 16, 3), steps=9, on_step=stop)


def test_imagedream_makes_four_views_of_a_picture(imagedream):
    picture = (hashed("picture", (20, 20, 3)).float() + 1) / 2
    views = imagedream.views(picture, steps=2, seed=3)
    assert views.shape == (4, 16, 16, 3)
    assert views.dtype == torch.float32
    assert 0 <= views.min() < views.max() <= 1
    assert torch.equal(views, imagedream.views(picture, steps=2, seed=3))
    for other in (
        imagedream.views(picture, steps=2, seed=4),
        imagedream.views(1 - picture, steps=2, seed=3),
        imagedream.views(picture, 20.0, steps=2, seed=3),
        imagedream.views(picture, steps=2, seed=3, prompt="ab"),
    ):
        assert (views - other).abs().max() > 1e-5


def test_half_precision_runs_and_stays_close(release, imagedream):
    """float16 on the CPU, so that a wrong cast shows without a GPU."""
    picture = (hashed("picture", (20, 20, 3)).float() + 1) / 2
    half = ImageDream(load_parts(release, "cpu", torch.float16)).views(picture, steps=2)
    assert half.dtype == torch.float32
    assert (half - imagedream.views(picture, steps=2)).abs().max() < 0.02


def test_views_are_in_lgms_order(imagedream, monkeypatch):
    from ar4d.experts.imagedream import expert

    codes = torch.arange(5.0)[:, None, None, None].expand(5, 4, 8, 8)
    monkeypatch.setattr(expert, "denoise", lambda *args, **kwargs: codes)
    monkeypatch.setattr(expert, "decode_latents", lambda parts, latents: latents)
    assert imagedream.views(torch.ones(16, 16, 3))[:, 0, 0, 0].tolist() == [1, 2, 3, 0]


def test_mvdream_makes_four_views_of_a_prompt(tmp_path):
    save_multi_view_release(tmp_path, MVDREAM_TOY)
    mvdream = MVDream.load("cpu", tmp_path)
    views = mvdream.views("ab a", steps=2)
    assert views.shape == (4, 16, 16, 3)
    assert (views - mvdream.views("b b", steps=2)).abs().max() > 1e-5
    with pytest.raises(UserError, match="the prompt is empty"):
        mvdream.views("  ")
    with pytest.raises(UserError, match="has 14 tokens and 11 are read; shorten it"):
        mvdream.views("a b a b a b a b a b a b")


def test_text_is_padded_with_token_zero(imagedream):
    """As OpenCLIP does; the stock padding of CLIP's tokenizer is the end token."""
    parts = imagedream.parts
    tokens = torch.tensor([[6, 5, 3, 7, 0, 0, 0, 0, 0, 0, 0]])
    expected = parts.text_encoder(tokens).last_hidden_state
    assert torch.equal(encode_text(parts, ["ab a"]), expected)


def test_features_are_the_last_layer_but_ones(imagedream):
    picture = (hashed("picture", (28, 28, 3)).float() + 1) / 2
    features = encode_features(imagedream.parts, picture)
    tower = imagedream.parts.image_encoder
    last = tower(clip_pixels(picture, 28)).last_hidden_state
    assert torch.equal(tower.encoder.layers[-1](features[None], None), last)


def test_towers_are_loaded_whole(imagedream):
    """Published keys begin with `text_model.`; position numbers are no weights and are made anew."""
    parts = imagedream.parts
    for tower in (parts.text_encoder, parts.image_encoder):
        assert all(not tensor.is_meta for tensor in [*tower.parameters(), *tower.buffers()])
        positions = tower.embeddings.position_ids
        assert positions.tolist() == [list(range(positions.shape[1]))]
        name, weight = next(iter(tower.state_dict().items()))
        expected = hashed(name, tuple(weight.shape))
        assert torch.corrcoef(torch.stack([weight.flatten(), expected.flatten()]))[0, 1] > 0.999


def test_pictures_reach_clip_as_its_own_processor_prepares_them():
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    picture = (hashed("picture", (300, 300, 3)).float() + 1) / 2
    processor = CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224})
    expected = processor((picture.numpy() * 255).astype("uint8"), return_tensors="pt").pixel_values
    torch.testing.assert_close(clip_pixels(picture, 224), expected, rtol=0, atol=1e-5)


def test_a_damaged_release_is_refused(release, tmp_path):
    shutil.copytree(release, tmp_path / "copy")
    weights = tmp_path / "copy/text_encoder/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"text_encoder/model\.safetensors .* is cut short"):
        ImageDream.load("cpu", tmp_path / "copy")
    (tmp_path / "copy/vae/config.json").unlink()
    with pytest.raises(UserError, match=r"lacks vae/config\.json of ashawkey/imagedream-ipmv-diffusers"):
        ImageDream.load("cpu", tmp_path / "copy")


@pytest.mark.parametrize("elevation", [0.0, 20.0])
def test_azimuth_is_found_and_the_object_is_turned_to_the_picture(elevation):
    """The picture shows the object from azimuth 57: that view becomes view 0."""
    gaussians = object_with_a_nose()
    picture = render(gaussians, orbit(57.0, elevation, size=128)).rgb[0]
    azimuth = find_azimuth(gaussians, picture, elevation, step_deg=3.0)
    assert azimuth == 57.0
    views = quarter_views(gaussians, azimuth, picture, elevation, size=64)
    expected = render(gaussians, orbit([57, 147, 237, 327], elevation, size=64)).rgb
    torch.testing.assert_close(views[1:], expected[1:])
    assert (views[0] - expected[0]).square().mean() < 1e-3  # the picture itself, resized


def test_budget_keeps_the_weightiest():
    gaussians = object_with_a_nose()
    few = within(gaussians, 40)
    weight = lambda g: g.opacities * g.scales.topk(2, dim=-1).values.prod(-1)  # noqa: E731
    assert len(few) == 40
    assert weight(few).min() >= weight(gaussians).topk(41).values[-1]
    assert within(gaussians, 300) is gaussians


def test_the_chain_lifts_a_picture(imagedream):
    """Every part of it at work, in miniature; the weights mean nothing, so neither does the object."""
    reports = []
    lgm = LGM(toy_lgm(), min_opacity=0)
    chain = ImageDreamLGM(
        lambda rgb, elevation, on_step: imagedream.views(rgb, elevation, steps=2, on_step=on_step),
        lgm,
        on_progress=lambda *report: reports.append(report),
    )
    rgba = (hashed("rgba", (32, 32, 4)).float() + 1) / 2
    gaussians = chain.lift(rgba, 1000, elevation_deg=10.0)
    assert len(gaussians) == 1000
    assert all(torch.isfinite(value).all() for value in gaussians.state().values())
    assert reports == [
        ("views", 1, 2),
        ("views", 2, 2),
        ("Gaussians", 0, 2),
        ("Gaussians", 1, 2),
        ("Gaussians", 2, 2),
    ]
    views = imagedream.views(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:], 10.0, steps=2)
    imagined = lgm.from_rgb(views, 10.0)
    assert not torch.allclose(imagined.means[:100], gaussians.means[:100], atol=1e-2)  # reconstructed anew


@pytest.mark.parametrize("expert", [ImageDream, MVDream, ImageDreamLGM, LGM])
def test_on_the_cpu_each_says_what_it_needs(expert):
    refusal = expert.available("cpu")
    assert refusal is not None
    assert refusal.reason.startswith(f"{expert.name} needs an NVIDIA GPU with")
