"""Our networks against a second implementation in float64, which shares no code with the first.

That one is held against the original's recorded outputs in `test_golden`.
"""

import dataclasses

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock, TemporalBasicTransformerBlock
from diffusers.models.resnet import SpatioTemporalResBlock

from ar4d.experts.sv4d2 import autoencoder, checkpoint, clip_vision
from ar4d.experts.sv4d2.layers import Condition, ResBlock
from ar4d.experts.sv4d2.transformer import Block, SequenceBlock
from ar4d.experts.sv4d2.unet import DenoisingUNet
from tests.support import sv4d2_reference as reference
from tests.support.sv4d2_mistakes import MISTAKES, WITH_THE_REFERENCE
from tests.support.sv4d2_recorded import Case, run
from tests.support.toy_networks import hashed
from tests.support.toy_sv4d2 import TINY, TINY_8VIEWS, published_weights, save_checkpoint

FEWER = dataclasses.replace(TINY_8VIEWS, azimuths_deg=(30.0, 75.0, 300.0))
FORMS = {"runs": ("v4", TINY), "pixel": ("v8", FEWER), "frame": ("v4", TINY)}
FRAMES = 2
SIZE = (4, 6)  # of the latents; at the lowest level 2 × 3 pixels are no multiple of the views
TOLERANCE = 1e-8  # sinusoids are float32 on both sides, and may differ in their last bit


@pytest.fixture(scope="module")
def weights():
    return published_weights(TINY)  # both models have the same


def made_up_case(form):
    name, config = FORMS[form]
    rows, views = FRAMES * config.views, config.views
    inputs = {
        "x": hashed("x", (2 * rows, 8, *SIZE)) * 1.7,
        "timesteps": torch.full((2 * rows,), 0.7),
        "context": hashed("context", (2, FRAMES, config.denoiser.context_dim)) * 1.7,
        "y": hashed("y", (2 * rows, config.denoiser.vector_channels)) * 1.7,
        "cond_view": hashed("cond_view", (2 * views, 4, *SIZE)) * 1.7,
    }
    return Case(name, FRAMES, views, inputs, {})


def built(form, weights):
    network = DenoisingUNet(FORMS[form][1].denoiser, form).double()
    prefix = checkpoint.UNET
    network.load_state_dict(
        {k.removeprefix(prefix): v.double() for k, v in weights.items() if k.startswith(prefix)}
    )
    return network.requires_grad_(False)


def by_the_formulas(form, weights, case, half):
    rows, given = case.frames * case.views, case.inputs
    part, views = slice(half * rows, (half + 1) * rows), slice(half * case.views, (half + 1) * case.views)
    return reference.unet(
        weights,
        given["x"][part],
        given["timesteps"][part],
        given["context"][half],
        given["y"][part],
        given["cond_view"][views],
        form,
        FORMS[form][1].denoiser.num_head_channels,
    )


@pytest.fixture(scope="module")
def expected(weights):
    return {form: by_the_formulas(form, weights, made_up_case(form), 1) for form in FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_the_network_is_its_formulas(form, weights, expected):
    case = made_up_case(form)
    out = run(built(form, weights), case)[FRAMES * case.views :]
    assert (out - expected[form]).abs().max() < TOLERANCE


def test_the_halves_know_nothing_of_each_other(weights):
    case = made_up_case("runs")
    network = built("runs", weights)
    rows = FRAMES * case.views
    both = run(network, case)
    case.inputs["x"][:rows] += 1
    assert torch.allclose(run(network, case)[rows:], both[rows:], atol=1e-12)


@pytest.mark.parametrize("tokens", [1, 7, 50])
def test_slices_change_nothing(tokens, weights, expected, monkeypatch):
    monkeypatch.setattr(Block, "tokens_at_once", tokens)
    case = made_up_case("runs")
    out = run(built("runs", weights), case)[FRAMES * case.views :]
    assert (out - expected["runs"]).abs().max() < TOLERANCE


@pytest.mark.parametrize("mistake", WITH_THE_REFERENCE)
def test_a_mistake_is_noticed(mistake, weights, expected, monkeypatch):
    case = made_up_case("runs")
    network = built("runs", weights)
    MISTAKES[mistake](monkeypatch, network, case)
    out = run(network, case)[FRAMES * case.views :]
    assert (out - expected["runs"]).abs().max() > 100 * TOLERANCE


def test_the_other_networks_are_their_formulas(weights, tmp_path):
    networks = checkpoint.load_networks(save_checkpoint(tmp_path, TINY), TINY, torch.float64)
    picture = hashed("picture", (1, 3, 12, 12)) / 2 + 0.5
    latent = hashed("latent", (1, 4, 6, 6)) * 0.2
    vae = networks.autoencoder.double()
    encoded = autoencoder.encode(vae, picture)[0]
    assert (encoded - reference.encode(weights, 2 * picture[0] - 1)).abs().max() < 1e-9
    decoded = reference.decode(weights, latent[0] / 0.18215)
    assert (autoencoder.decode(vae, latent)[0] - (decoded / 2 + 0.5).clamp(0, 1)).abs().max() < 1e-9
    size = TINY.clip.image_size
    prepared = clip_vision.prepare(2 * picture.float() - 1, size)[0]
    tokens = clip_vision.embed(networks.clip, picture)[0]
    expected = reference.clip_embedding(weights, prepared, TINY.clip.heads)
    assert (tokens - expected).abs().max() < 1e-6  # the embedding is handed on in float32


def moved(module, name_of):
    """A state dict under other names."""
    return {name_of(key): value for key, value in module.state_dict().items()}


def filled(module):
    module.load_state_dict({k: hashed(k, tuple(v.shape)) * 0.2 for k, v in module.state_dict().items()})
    return module.double().requires_grad_(False)


def test_the_blocks_are_diffusers():
    """Our blocks keep the checkpoint's names and leave out what has no effect; they compute the same."""
    x, context, looked = hashed("x", (6, 5, 32)), hashed("context", (3, 16)), torch.tensor([2, 0, 1, 1, 0, 2])
    ours = filled(Block(32, 16, 16))
    theirs = BasicTransformerBlock(32, 2, 16, cross_attention_dim=16, activation_fn="geglu").double()
    theirs.load_state_dict(ours.state_dict())
    out = theirs(x, encoder_hidden_states=context[looked][:, None])
    assert (ours(x, context, looked) - out).abs().max() < 1e-12

    ours = filled(SequenceBlock(32, 16, 16))
    theirs = TemporalBasicTransformerBlock(32, 32, 2, 16, cross_attention_dim=16).double()
    theirs.load_state_dict(ours.state_dict())
    one = torch.zeros(6, dtype=torch.long)
    rows = x.reshape(2, 3, 5, 32).transpose(1, 2).flatten(0, 1)  # theirs take (batch, time) × pixels
    out = theirs(rows, num_frames=5, encoder_hidden_states=context[:1].expand(6, 1, 16))
    expected = out.reshape(2, 5, 3, 32).transpose(1, 2).flatten(0, 1)
    assert (ours(x, context, one) - expected).abs().max() < 1e-12


def test_the_residual_block_is_diffusers():
    names = {
        "in_layers.0": "norm1",
        "in_layers.2": "conv1",
        "emb_layers.1": "time_emb_proj",
        "out_layers.0": "norm2",
        "out_layers.3": "conv2",
        "skip_connection": "conv_shortcut",
    }

    def theirs_of(key):
        if key.startswith("time_mixer"):
            return key
        part = "temporal_res_block" if key.startswith("time_mix_blocks.") else "spatial_res_block"
        layer, kind = key.removeprefix("time_mix_blocks.").rsplit(".", 1)
        return f"{part}.{names[layer]}.{kind}"

    ours = filled(ResBlock(32, 64, 16))
    theirs = SpatioTemporalResBlock(32, 64, 16, eps=1e-5).double()
    theirs.load_state_dict(moved(ours, theirs_of))
    x, emb = hashed("x", (12, 32, 5, 4)), hashed("emb", (12, 16))
    condition = Condition(emb, torch.zeros(2, 3, 1), torch.zeros(2, 2, 4, 1, 1))
    out = theirs(x, emb, torch.zeros(2, 6).double())
    assert (ours(x, condition) - out).abs().max() < 1e-12


def test_both_models_have_the_same_weights():
    assert published_weights(TINY).keys() == published_weights(TINY_8VIEWS).keys()
    assert dataclasses.replace(TINY_8VIEWS.denoiser) == TINY.denoiser
