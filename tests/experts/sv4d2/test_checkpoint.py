"""The published file, from a folder and from a hub, and everything that may be wrong with it."""

import dataclasses
import hashlib

import pytest
import torch
from safetensors.torch import load_file, save_file

from ar4d.errors import UserError
from ar4d.experts import registry
from ar4d.experts.sv4d2 import SV4D2, SV4D2_8VIEWS, Sv4d2, checkpoint
from ar4d.experts.sv4d2.memory import least_gib
from ar4d.weights.hub import why_unavailable
from tests.support.hub_mirror import Mirror
from tests.support.toy_sv4d2 import TINY, TINY_8VIEWS, published_weights, save_checkpoint

FIRST = "model.diffusion_model.input_blocks.0.0.weight"
QUERY = "conditioner.embedders.1.encoder.encoder.mid.attn_1.q.weight"


def one_sentence(message: str) -> bool:
    return "\n" not in message and message.endswith(".") and ". " not in message


def refused(path) -> str:
    with pytest.raises(UserError) as refusal:
        checkpoint.load_networks(path, TINY, torch.float32)
    message = str(refusal.value)
    assert str(path) in message
    return message


def test_every_weight_arrives_where_it_belongs(tmp_path):
    networks = checkpoint.load_networks(save_checkpoint(tmp_path, TINY), TINY, torch.float16)
    weights = published_weights(TINY)
    assert torch.equal(networks.unet.get_parameter("input_blocks.0.0.weight"), weights[FIRST].half())
    packed = weights[f"{checkpoint.CLIP}transformer.resblocks.1.attn.in_proj_weight"]
    attention = networks.clip.get_submodule("vision_model.encoder.layers.1.self_attn")
    parts = [attention.get_parameter(f"{part}_proj.weight") for part in "qkv"]
    assert torch.equal(torch.cat(parts), packed.half())
    assert torch.equal(networks.clip.visual_projection.weight, weights[f"{checkpoint.CLIP}proj"].half().mT)
    middle = networks.autoencoder.encoder.mid_block.attentions[0]
    assert torch.equal(middle.to_q.weight, weights[QUERY][..., 0, 0])
    assert middle.to_q.weight.dtype == torch.float32  # the autoencoder is never halved
    assert networks.view_encoder is networks.autoencoder
    for network in (networks.unet, networks.clip, networks.autoencoder):
        assert not network.training
        assert not any(p.requires_grad or p.is_meta for p in network.parameters())
        assert not any(b.is_meta for b in network.buffers())


def test_what_inference_never_uses_may_be_missing(tmp_path):
    path = tmp_path / "pruned.safetensors"
    save_file(published_weights(TINY), path)
    checkpoint.check(path, checkpoint.build_networks(TINY), TINY)


def test_an_encoder_of_its_own_for_the_views_is_loaded(tmp_path):
    name = QUERY.replace(checkpoint.FRAME_ENCODER, checkpoint.VIEW_ENCODER)
    changed = published_weights(TINY)[name] + 1
    networks = checkpoint.load_networks(
        save_checkpoint(tmp_path, TINY, **{name: changed}), TINY, torch.float32
    )
    assert networks.view_encoder is not networks.autoencoder
    query = networks.view_encoder.encoder.mid_block.attentions[0].to_q.weight
    assert torch.equal(query, changed[..., 0, 0])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({FIRST: None}, f"it lacks {FIRST} [32, 8, 3, 3]; take the published sv4d2.safetensors"),
        ({FIRST: torch.zeros(32, 4, 3, 3)}, f"{FIRST} is [32, 4, 3, 3] instead of [32, 8, 3, 3]; take"),
        (
            {"model.diffusion_model.extra": torch.zeros(2)},
            "it has the unknown model.diffusion_model.extra [2]",
        ),
        ({QUERY: torch.zeros(32, 32)}, f"{QUERY} is [32, 32] instead of [32, 32, 1, 1]; take"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_key_and_shape(changed, said, tmp_path):
    message = refused(save_checkpoint(tmp_path, TINY, **changed))
    assert said in message
    assert "hf download stabilityai/sv4d2.0 sv4d2.safetensors" in message


def test_renamed_keys_are_refused(tmp_path):
    path = tmp_path / "renamed.safetensors"
    save_file({key.removeprefix("model."): value for key, value in published_weights(TINY).items()}, path)
    message = refused(path)
    assert "it lacks model.diffusion_model.time_embed.0.weight" in message
    assert "it has the unknown diffusion_model." in message


def test_another_models_file_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"unet.conv_in.weight": torch.zeros(3)}, path)
    assert "does not fit SV4D 2.0: it lacks model.diffusion_model" in refused(path)


@pytest.mark.parametrize("size", [0, 100, 30_000, -1])
def test_a_file_that_is_cut_short_is_refused(size, tmp_path):
    path = save_checkpoint(tmp_path, TINY)
    path.write_bytes(path.read_bytes()[:size])
    message = refused(path)
    assert "is cut short or damaged" in message
    assert one_sentence(message)


def test_the_expert_comes_from_a_folder(tmp_path):
    save_checkpoint(tmp_path, TINY_8VIEWS)
    expert = Sv4d2.load(TINY_8VIEWS, "cpu", tmp_path)
    assert expert.azimuths_deg == (0, 30, 75, 120, 165, 210, 255, 300, 330)
    with pytest.raises(UserError, match=r"lacks sv4d2.safetensors of stabilityai/sv4d2.0") as refusal:
        Sv4d2.load(TINY, "cpu", tmp_path)
    assert "hf download stabilityai/sv4d2.0 sv4d2.safetensors --local-dir" in str(refusal.value)


def test_the_expert_comes_from_the_hub_and_a_broken_download_goes_on(mirror: Mirror, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's pauses between attempts
    path = save_checkpoint(mirror.folder / TINY.release.repo, TINY)
    mirror.break_after = 300_000
    small = dataclasses.replace(TINY.release, gib=0.01)
    expert = Sv4d2.load(dataclasses.replace(TINY, release=small), "cpu")
    starts = [start for name, start in mirror.requests if name == path.name]
    assert starts[0] == 0
    assert starts[-1] > 0
    assert torch.equal(expert.networks.unet.get_parameter("input_blocks.0.0.weight"), load_file(path)[FIRST])


def test_a_file_that_is_not_the_listed_one_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, TINY)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    release = dataclasses.replace(TINY.release, sha256={path.name: digest})
    Sv4d2.load(dataclasses.replace(TINY, release=release), "cpu", tmp_path)
    save_checkpoint(tmp_path, TINY, **{FIRST: torch.zeros(32, 8, 3, 3)})
    with pytest.raises(UserError, match=r"is not the published sv4d2.safetensors of stabilityai"):
        Sv4d2.load(dataclasses.replace(TINY, release=release), "cpu", tmp_path)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "GatedRepo", "only for those who accepted their licence: accept it on http"),
        (401, "RepoNotFound", "log in with `hf auth login`"),
    ],
)
def test_without_the_hubs_permission_the_sentence_says_what_to_do(mirror: Mirror, status, code, said):
    mirror.refuse = status, code
    for config in (SV4D2, SV4D2_8VIEWS):
        reason = why_unavailable(config.release)
        assert reason is not None
        assert said in reason
        assert "stabilityai/sv4d2.0" in reason
        assert one_sentence(reason.replace("2.0", "2"))


@pytest.mark.parametrize("name", ["sv4d2", "sv4d2-8views"])
def test_the_registry_asks_for_the_licence_once(name, monkeypatch, tmp_path):
    monkeypatch.setenv("AR4D_HOME", str(tmp_path))
    monkeypatch.delenv("AR4D_ACCEPT", raising=False)
    entry = registry.named(name)
    ready = dataclasses.replace(entry, check=lambda device: None)
    unavailable = ready.why_unavailable(torch.device("cpu"))
    assert unavailable is not None
    assert "Stability AI Community License" in unavailable.reason
    assert f"`ar4d fetch {name} --accept-licence`" in unavailable.reason
    monkeypatch.setenv("AR4D_ACCEPT", name)
    assert ready.why_unavailable(torch.device("cpu")) is None
    assert entry.roles == ("clip_to_views",)


def test_without_a_gpu_the_sentence_says_how_large_one_has_to_be(monkeypatch):
    unavailable = Sv4d2.available(SV4D2, "cpu")
    assert unavailable is not None
    assert "needs an NVIDIA GPU with 5 GiB of free memory" in unavailable.reason
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (3 * 2**30, 8 * 2**30))
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "a small GPU")
    unavailable = Sv4d2.available(SV4D2, "cuda")
    assert unavailable is not None
    assert "needs 5 GiB of GPU memory and a small GPU has 3.0 of 8.0 GiB free" in unavailable.reason
    assert least_gib(SV4D2.name) < 5
