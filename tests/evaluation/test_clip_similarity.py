"""CLIP-S with a tiny network in the published layout."""

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from ar4d.errors import UserError
from ar4d.evaluation import clip_similarity
from ar4d.evaluation.availability import NotAvailable


@pytest.fixture(autouse=True)
def nothing_elsewhere(monkeypatch, tmp_path):
    monkeypatch.delenv(clip_similarity.VARIABLE, raising=False)
    monkeypatch.setenv("AR4D_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model() -> CLIPModel:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=text, vision_config={**sizes, "image_size": 32, "patch_size": 16}, projection_dim=16
    )
    return CLIPModel(config).eval()


@pytest.fixture(params=["pytorch_model.bin", "model.safetensors"])
def folder(tmp_path, model, request):
    place = tmp_path / "clip"
    model.save_pretrained(place)
    if request.param.endswith(".bin"):
        (place / "model.safetensors").unlink()
        torch.save(model.state_dict(), place / "pytorch_model.bin")
    return place


def test_the_similarity_is_that_of_the_whole_model(folder, model):
    a, b = torch.rand(2, 3, 32, 32, 3)
    shift, scale = torch.tensor(clip_similarity.MEAN), torch.tensor(clip_similarity.STD)
    with torch.no_grad():
        pixels = [((x - shift) / scale).permute(0, 3, 1, 2) for x in (a, b)]
        embeds = [
            model.visual_projection(model.vision_model(pixel_values=x).pooler_output).double() for x in pixels
        ]
    expected = (embeds[0] * embeds[1]).sum(-1) / (embeds[0].norm(dim=-1) * embeds[1].norm(dim=-1))
    similarity = clip_similarity.load(folder)
    assert callable(similarity)
    torch.testing.assert_close(similarity(a, b).double(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(similarity(a, a), torch.ones(3))


def test_without_weights_a_reason_and_the_remedy():
    loaded = clip_similarity.load(None)
    assert isinstance(loaded, NotAvailable)
    assert "hf download openai/clip-vit-base-patch32" in loaded.reason


def test_bad_weights_are_one_sentence(folder, tmp_path):
    with pytest.raises(UserError, match="lacks CLIP's config"):
        clip_similarity.load(tmp_path)
    weights = next(path for path in folder.iterdir() if path.suffix in (".bin", ".safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be read as CLIP weights"):
        clip_similarity.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="is no configuration of CLIP"):
        clip_similarity.load(folder)
