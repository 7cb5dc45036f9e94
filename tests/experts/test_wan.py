"""Wan in miniature through the code that loads and samples the published weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ar4d.errors import UserError
from ar4d.experts.protocols import VideoRequest
from ar4d.experts.wan import WAN_2_2, Wan, memory, parts
from ar4d.experts.wan.expert import fitted
from ar4d.weights.release import weight_files
from tests.support.hub_mirror import Mirror
from tests.support.toy_wan import TOY, TOY_WITHOUT_PICTURES, save_wan

REQUEST = VideoRequest("a red fox walking", "camera motion")


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return save_wan(tmp_path_factory.mktemp("wan"))


@pytest.fixture
def copy(tmp_path):
    return save_wan(tmp_path / "wan")


def toy(folder) -> Wan:
    return Wan.load(TOY, "cpu", folder)


def test_a_prompt_becomes_a_clip_and_tells_how_far_it_is(release):
    news = []
    footage = toy(release).generate_video(REQUEST, lambda *what: news.append(what))
    assert footage.frames.shape == (5, 32, 64, 3)
    assert footage.frames.dtype == np.uint8
    assert footage.frames.std() > 1
    assert footage.fps == 24
    assert [what for what in news if what[0] == "sampling"] == [("sampling", 1, 2), ("sampling", 2, 2)]
    assert ("reading the prompt", 1, 1) in news
    assert ("loading the networks", 2, 2) in news


def test_a_seed_repeats_a_clip_and_another_makes_another(release):
    wan = toy(release)
    first = wan.generate_video(REQUEST).frames
    news = []
    assert np.array_equal(wan.generate_video(REQUEST, lambda *what: news.append(what[0])).frames, first)
    assert set(news) == {"sampling"}  # the prompt is read and the networks are loaded once
    assert not np.array_equal(wan.generate_video(replace(REQUEST, seed=1)).frames, first)
    assert not np.array_equal(wan.generate_video(replace(REQUEST, prompt="a blue whale")).frames, first)
    assert not np.array_equal(wan.generate_video(replace(REQUEST, guidance=1.5)).frames, first)


def test_a_picture_is_set_in_motion(release):
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 40:] = 255
    wan = toy(release)
    clip = wan.animate(picture, REQUEST).frames
    assert clip.shape == (5, 32, 64, 3)
    assert not np.array_equal(clip, wan.generate_video(REQUEST).frames)
    assert not np.array_equal(clip, wan.animate(255 - picture, REQUEST).frames)


def test_a_picture_is_a_clip_of_one_frame(release):
    assert toy(release).generate_image(REQUEST).shape == (32, 64, 3)


def test_the_smaller_wan_takes_no_picture(tmp_path):
    wan = Wan.load(TOY_WITHOUT_PICTURES, "cpu", save_wan(tmp_path, TOY_WITHOUT_PICTURES))
    assert wan.generate_video(REQUEST).frames.shape == (5, 32, 64, 3)
    with pytest.raises(UserError, match="makes clips of prompts only; take another expert for a picture"):
        wan.animate(np.zeros((32, 64, 3), np.uint8), REQUEST)


def test_the_wish_sets_size_length_and_steps(release):
    news = []
    request = replace(REQUEST, width=100, height=70, num_frames=9, steps=1)
    assert toy(release).generate_video(request, lambda *what: news.append(what)).frames.shape == (
        9,
        64,
        96,
        3,
    )
    assert news[-1] == ("sampling", 1, 1)


def test_sampling_stops_where_the_listener_wants(release):
    class Enough(Exception):
        pass

    def stop(task, done, total):
        if task == "sampling":
            raise Enough

    with pytest.raises(Enough):
        toy(release).generate_video(REQUEST, stop)


def test_the_hub_serves_weights_in_parts(mirror: Mirror, tmp_path):
    save_wan(tmp_path / "hub" / TOY.release.repo)
    wan = Wan.load(TOY, "cpu")
    assert len(weight_files(wan.folder, "transformer/diffusion_pytorch_model")) > 1
    assert wan.generate_video(replace(REQUEST, steps=1)).frames.shape == (5, 32, 64, 3)


def full(times: int, work):
    """A function that runs out of memory so many times before it works."""
    left = [times]

    def run(*arguments, **options):
        left[0] -= 1
        if left[0] >= 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return work(*arguments, **options)

    return run


def test_a_full_memory_means_the_next_smaller_way(release, monkeypatch):
    wan = toy(release)
    monkeypatch.setattr(parts, "load_vae", full(1, parts.load_vae))
    assert wan.generate_video(REQUEST).frames.shape == (5, 32, 64, 3)
    assert wan.warnings == ["Memory ran out in Toy Wan: it continues with less (decoding in tiles)."]


def test_the_smallest_way_makes_smaller_pictures(release, monkeypatch):
    wan = toy(release)
    monkeypatch.setattr(parts, "load_vae", full(4, parts.load_vae))
    request = replace(REQUEST, width=128, height=96)
    assert wan.generate_video(request).frames.shape == (
        5,
        64,
        64,
        3,
    )  # 70 %, rounded down to what the networks take
    assert len(wan.warnings) == 4


def test_no_memory_at_all_is_a_sentence(release, monkeypatch):
    monkeypatch.setattr(parts, "load_vae", full(99, parts.load_vae))
    with pytest.raises(UserError, match=r"Memory ran out in Toy Wan even .*; ask for fewer frames"):
        toy(release).generate_video(REQUEST)


def test_a_wrong_part_is_refused_by_key_and_shape(copy):
    path = copy / weight_files(copy, "transformer/diffusion_pytorch_model")[0]
    weights = load_file(path)
    key = next(key for key, value in weights.items() if value.ndim == 2)
    save_file({**weights, key: torch.zeros(3, 3)}, path, metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=rf"does not fit WanTransformer3DModel: the shape of {key} is \[3, 3\]"
    ):
        toy(copy).generate_video(REQUEST)
    save_file({k: v for k, v in weights.items() if k != key}, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"it lacks {key} "):
        toy(copy).generate_video(REQUEST)


def test_a_part_that_is_cut_short_is_refused(copy):
    path = copy / weight_files(copy, "text_encoder/model")[-1]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"is cut short or damaged .*; delete it and fetch it again"):
        toy(copy).generate_video(REQUEST)


def test_a_missing_part_is_named_before_anything_is_loaded(copy):
    name = weight_files(copy, "vae/diffusion_pytorch_model")[0]
    (copy / name).unlink()
    with pytest.raises(UserError, match=f"lacks {name} of Wan-AI/Wan2.2-TI2V-5B-Diffusers"):
        toy(copy)


def test_an_unknown_scheduler_is_refused(copy):
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps({**index, "scheduler": ["diffusers", "Nothing"]}))
    with pytest.raises(UserError, match="asks for the scheduler Nothing"):
        toy(copy).generate_video(REQUEST)


def test_without_a_gpu_the_sentence_says_what_is_needed():
    refusal = Wan.available(WAN_2_2, "cpu")
    assert refusal is not None
    assert "Wan 2.2 TI2V 5B needs an NVIDIA GPU with" in refusal.reason


def test_each_way_needs_less_than_the_one_before():
    for model in memory.NEEDS:
        needs = [memory.needed_gib(model, fit) for fit in memory.FITS]
        assert needs == sorted(needs, reverse=True)
        assert needs[-2] == memory.least_gib(model)
    assert memory.needed_gib("Wan 2.2 TI2V 5B", memory.FITS[1]) < 22  # a card of 24 GB
    assert memory.needed_gib("Wan 2.1 T2V 1.3B", memory.FITS[2]) < 7.5  # a card of 8 GB
    assert memory.least_gib("Wan 2.1 T2V 1.3B") < 8


def test_a_picture_is_fitted_whole_on_white():
    image = np.asarray(fitted(np.zeros((50, 50, 3), np.uint8), 64, 32))
    assert image.shape == (32, 64, 3)
    assert (image[:, 20:44] == 0).all()
    assert (image[:, :15] == 255).all()
    assert (image[:, -15:] == 255).all()
