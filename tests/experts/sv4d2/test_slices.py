"""Our SV4D 2.0 against numbers that the original computed, kept in `data` (see `cut_slices`)."""

import dataclasses

import numpy as np
import pytest
import torch

from ar4d.experts.imagedream.unet import timestep_embedding
from ar4d.experts.sv4d2 import checkpoint, clip_vision, framing, sampler
from ar4d.experts.sv4d2.conditioning import Conditioning, angles, vector
from ar4d.experts.sv4d2.config import SV4D2, SV4D2_8VIEWS, DenoiserConfig
from ar4d.experts.sv4d2.unet import DenoisingUNet
from tests.experts.sv4d2.cut_slices import DATA, digest
from tests.support.sv4d2_mistakes import MISTAKES, WITH_THE_REFERENCE
from tests.support.sv4d2_recorded import STRIDE, Case, run_first_layers, stages
from tests.support.toy_sv4d2 import GOLDEN_DENOISER

CASES = {"v4": (3, 4), "v8": (2, 5)}  # frames, views
TOLERANCE = 5e-5
SHALLOW = dataclasses.replace(
    GOLDEN_DENOISER, channel_mult=(1,), num_res_blocks=1, attention_resolutions=(1,)
)
"""The recorded network's first layers are this one's, too."""
PUBLISHED_PARAMETERS = 2_010_961_338
ANGLES_DEG = {"p4": ((60, 120, 180, 240), (0, 10, 0, -10)), "p8": ((30, 75, 120, 165, 330), (0,) * 5)}
"""Azimuths and elevations of the recorded passes, relative to the input view."""
FRAMES = {"p4": 3, "p8": 2}


def load(name):
    with np.load(DATA / name) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if file[key].dtype.kind != "U"}


@pytest.fixture(scope="module")
def recorded():
    return load("network.npz")


@pytest.fixture(scope="module")
def sampling():
    return load("sampling.npz")


def kept_case(recorded, name):
    frames, views = CASES[name]
    concat = recorded[f"{name}.concat"].repeat_interleave(views, 0)
    inputs = {
        "x": torch.cat([recorded[f"{name}.noisy"], concat], dim=1),
        "context": recorded[f"{name}.context"],
        "cond_view": recorded[f"{name}.cond_view"],
    }
    inputs |= dict.fromkeys(("timesteps", "y"), torch.zeros(frames * views))  # not used here
    embeddings = {part: recorded[f"{name}.{part}"] for part in ("time_embed.out", "label_emb.out")}
    return Case(name, frames, views, inputs, embeddings)


def first_layers(recorded, case):
    """Our network with the recorded weights in its first layers; the others are not run."""
    with torch.device("meta"):
        network = DenoisingUNet(SHALLOW, case.attention)
    weights = {k.removeprefix("weights."): v.float() for k, v in recorded.items() if k.startswith("weights.")}
    missing = network.load_state_dict(weights, strict=False, assign=True)
    assert not missing.unexpected_keys
    assert not any(key.startswith(("input_blocks.0.", "input_blocks.1.")) for key in missing.missing_keys)
    return network.requires_grad_(False)


def greatest_error(recorded, case, found):
    """Over all recorded stages of a case."""
    prefix = f"{case.name}.stage."
    errors = {}
    for key in (key for key in recorded if key.startswith(prefix)):
        stage = key.removeprefix(prefix)
        flat = found[stage] if ".emb_" in stage else found[stage].flatten()[::STRIDE]
        errors[stage] = (flat - recorded[key]).abs().max().item()
    assert {"tf.view_out", "tf.frame_out", "tf.out"} <= set(errors)
    return max(errors.values()), errors


@pytest.mark.parametrize("name", CASES)
def test_the_first_layers_compute_what_the_original_did(name, recorded):
    case = kept_case(recorded, name)
    network = first_layers(recorded, case)
    with stages(network, case) as found:
        run_first_layers(network, case)
    error, errors = greatest_error(recorded, case, found)
    assert error < TOLERANCE, errors


ELSEWHERE = {
    **dict.fromkeys(WITH_THE_REFERENCE, "test_reference"),
    "unconditional half: the whole vector zero (only its sigma part is)": "test_conditioning_vectors",
    "unconditional half: the sigma part kept": "test_conditioning_vectors",
    "vector order sigma, azimuth, polar (it is sigma, polar, azimuth)": "test_conditioning_vectors",
    "NOTHING: attn2.to_q, attn2.to_k, norm2 random": "test_the_query_of_a_single_token_means_nothing",
}
"""Mistakes that the first layers of the conditional half cannot show, and the test that does."""


@pytest.mark.parametrize("mistake", [mistake for mistake in MISTAKES if mistake not in ELSEWHERE])
def test_every_mistake_is_noticed(mistake, recorded, monkeypatch):
    def error(name):
        case = kept_case(recorded, name)
        network = first_layers(recorded, case)
        with monkeypatch.context() as patch, stages(network, case) as found:
            MISTAKES[mistake](patch, network, case)
            run_first_layers(network, case)
        return greatest_error(recorded, case, found)[0]

    assert any(error(name) > TOLERANCE for name in CASES)


def test_the_query_of_a_single_token_means_nothing(recorded, monkeypatch):
    case = kept_case(recorded, "v4")
    network = first_layers(recorded, case)
    right = run_first_layers(network, case)
    MISTAKES["NOTHING: attn2.to_q, attn2.to_k, norm2 random"](monkeypatch, network, case)
    assert torch.equal(run_first_layers(network, case), right)


def test_keys_and_shapes_are_the_published_ones():
    """The whole checkpoint but for what inference never uses; both models have the same networks."""
    for shape in ("denoiser", "autoencoder", "clip"):
        assert getattr(SV4D2, shape) == getattr(SV4D2_8VIEWS, shape)
    with np.load(DATA / "sampling.npz") as file:
        published = str(file["keys.digest"])
    needed = checkpoint.needed(checkpoint.build_networks(SV4D2), SV4D2)
    assert digest({key: list(shape) for key, shape in needed.items()}) == published
    unet = (shape for key, shape in needed.items() if key.startswith(checkpoint.UNET))
    assert sum(int(np.prod(shape)) for shape in unet) == PUBLISHED_PARAMETERS


def test_noise_levels_and_guidance(sampling):
    for steps in (3, 10, 25, 50):
        assert torch.allclose(sampler.noise_levels(steps), sampling[f"sigmas.{steps}"].float(), rtol=1e-6)
    for config, views in ((SV4D2, 4), (SV4D2_8VIEWS, 8)):
        assert torch.allclose(sampler.guidance(config), sampling[f"guidance.{views}"].float(), atol=1e-6)


class Network(DenoisingUNet):
    """In the U-Net's place: keeps what it is given and predicts twice the noisy latents and the picture's."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.config = DenoiserConfig()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, c_noise, clip, vector, reference):
        self.seen = x, c_noise
        return 2 * x[:, :4] + x[:, 4:]


def test_the_denoiser_scales_as_the_original(sampling):
    """D = c_skip·x + c_out·F([c_in·x, concat], c_noise), and `concat` as it is."""
    x, concat = torch.randn(6, 4, 2, 2), torch.randn(2, 4, 2, 2)
    half = Conditioning(torch.zeros(2, 3), concat, torch.zeros(6, 1280), torch.zeros(3, 4, 2, 2))
    names = ("sigma", "c_skip", "c_out", "c_in", "c_noise")
    for sigma, c_skip, c_out, c_in, c_noise in zip(
        *(sampling[f"scaling.{n}"].float() for n in names), strict=True
    ):
        network = Network()
        out = sampler.denoised(network, x, sigma, [half])[0]
        rows = concat.repeat_interleave(3, 0)
        assert torch.allclose(network.seen[0], torch.cat([c_in * x, rows], dim=1), atol=1e-6)
        assert torch.allclose(network.seen[1], c_noise.expand(6), atol=1e-6)
        assert torch.allclose(out, c_skip * x + c_out * (2 * c_in * x + rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", ["p4", "p8"])
def test_a_step_of_the_sampler(case, sampling, monkeypatch):
    given = {
        k.removeprefix(f"{case}.chunk0."): v for k, v in sampling.items() if k.startswith(f"{case}.chunk0.")
    }
    views, frames = len(ANGLES_DEG[case][0]), FRAMES[case]
    assert torch.allclose(sampler.start(given["noise"]), given["x_init"], atol=1e-3)
    half = Conditioning(
        torch.zeros(frames, 1), torch.zeros(frames, 4, 3, 3), torch.zeros(1, 1), torch.zeros(views, 4, 3, 3)
    )
    raw = given["denoised_raw_step0"].unflatten(0, (2, -1))
    monkeypatch.setattr(sampler, "denoised", lambda network, x, sigma, halves: raw)
    low, high = (1.0, 2.0) if case == "p4" else (1.5, 2.5)
    config = SV4D2 if case == "p4" else SV4D2_8VIEWS
    weights = sampler.guidance(
        type(config)(**{**vars(config), "frames": frames, "azimuths_deg": (0.0,) * views})
    )
    assert weights.min() == low
    assert weights.max() <= high
    sigmas = sampler.noise_levels(3)[:2]
    x = sampler.sample(Network(), given["x_init"], half, weights, sigmas)
    assert torch.allclose(x, given["latents_after_step"][0], atol=1e-3)
    guided = given["x_init"] - (given["x_init"] - x) * sigmas[0] / (sigmas[0] - sigmas[1])
    assert torch.allclose(guided, given["guided"][0], atol=1e-3)


@pytest.mark.parametrize("case", ["p4", "p8"])
def test_conditioning_vectors(case, sampling):
    azimuths, elevations = ANGLES_DEG[case]
    polar, azimuth = angles(azimuths, elevations)
    given = {
        k.removeprefix(f"{case}.chunk0."): v for k, v in sampling.items() if k.startswith(f"{case}.chunk0.")
    }
    frames = FRAMES[case]
    assert torch.allclose(polar.repeat(frames), given["polar_rad"], atol=1e-12)
    assert torch.allclose(azimuth.repeat(frames), given["azimuth_rad"], atol=1e-12)
    found = vector(polar, azimuth, frames, GOLDEN_DENOISER)
    assert torch.allclose(found, given["c.vector"], atol=1e-6)
    views = len(azimuths)
    half = Conditioning(
        torch.ones(frames, 48), torch.ones(frames, 4, 1, 1), found, torch.ones(views, 4, 1, 1)
    )
    without = half.unconditional(GOLDEN_DENOISER)
    assert torch.allclose(without.vector, given["uc.vector"], atol=1e-6)
    assert not any(x.any() for x in (without.clip, without.concat, without.reference))


def test_sinusoids(sampling):
    angles_512 = timestep_embedding(sampling["embed.angles"].float(), 512)
    assert torch.allclose(angles_512[:, ::8], sampling["embed.angles_512"], atol=2e-6)
    frames = timestep_embedding(torch.arange(12), 320)
    assert torch.allclose(frames[:, ::8], sampling["embed.frame_index_320"], atol=2e-6)
    assert torch.allclose(
        timestep_embedding(torch.tensor([1e-5]), 256), sampling["embed.sigma_256"], atol=2e-6
    )


def test_pictures_for_clip(sampling):
    pictures = sampling["clip.image_uint8"][None] / 127.5 - 1
    prepared = clip_vision.prepare(pictures, 224)[0, :, ::9, ::9]
    assert torch.allclose(prepared, sampling["clip.preprocessed"].float(), atol=2e-3)  # kept in float16


def test_framing(sampling):
    """To a grey level. What is not white is the subject; the recorded pictures stay opaque."""
    given = sampling["preprocess.rgb.in"]
    alpha = (given.float().mean(-1) <= 250).float()
    rgba = torch.cat([given / 255, torch.ones_like(alpha)[..., None]], dim=-1)
    found = framing.zoomed(rgba, framing.find_zoom(alpha, 96)).permute(0, 2, 3, 1)
    assert (255 * found[:, ::3, ::3] - sampling["preprocess.rgb.out"].float()).abs().max() < 1.01
