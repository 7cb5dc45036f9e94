"""The 4D VQ-VAE: geometry of its Gaussians, STOP, windows."""

from dataclasses import replace

import pytest
import torch

from ar4d.cameras import RADIUS, orbit
from ar4d.experts.star.codec import ALPHA, Codec, cells, window_codes
from ar4d.experts.star.config import CODECS, STARS, CodecConfig
from ar4d.experts.star.splats import OFFSET, STATIC, moved, static_splats
from ar4d.experts.star.transformer import Star

CONFIG = CODECS["test"]


def codec(config: CodecConfig = CONFIG, seed: int = 0) -> Codec:
    torch.manual_seed(seed)
    network = Codec(config).eval()
    torch.nn.init.normal_(network.decoder.stop.offset.weight, std=0.1)
    torch.nn.init.normal_(network.decoder.stop.offset.bias, std=0.1)
    return network


def some_codes(times: int, config: CodecConfig = CONFIG) -> torch.Tensor:
    return torch.randint(config.entries, (1, times, config.views, config.tokens, config.codebooks))


@pytest.mark.parametrize("view", range(4))
def test_a_gaussian_projects_onto_its_own_pixel(view):
    torch.manual_seed(0)
    splats = static_splats(torch.randn(1, 4, 8, 8, STATIC), CONFIG)
    camera = orbit(90.0 * view, size=8)
    means = splats.means[0].view(4, 64, 3)[view]
    local = means @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    assert torch.allclose(local[:, 2], splats.depths[0, view].flatten(), atol=1e-5)
    places = camera.Ks[0, 0, 0] * local[:, :2] / local[:, 2:] + 4
    rows, columns = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    assert torch.allclose(places, torch.stack([columns, rows], -1).view(-1, 2), atol=1e-4)


def test_an_offset_moves_in_the_axes_of_its_view():
    raw = torch.zeros(1, 4, 2, 2, STATIC)
    offset = torch.zeros(1, 4, 2, 2, OFFSET)
    offset[..., 0] = 1  # to the right of each picture
    splats = static_splats(raw, CONFIG)
    shift = (moved(splats, offset, CONFIG).means - splats.means)[0].view(4, 4, 3)[:, 0]
    expected = 0.25 * torch.tensor([[1.0, 0, 0], [0, 0, -1], [-1, 0, 0], [0, 0, 1]])
    assert torch.allclose(shift, expected, atol=1e-6)
    assert abs(float(splats.depths.mean()) - RADIUS) < 1e-6


def test_the_first_times_offset_is_zero_to_the_bit():
    network = codec()
    codes = some_codes(3)
    splats = network.decode(codes)
    alone = network.decode(codes[:, :1])
    assert torch.equal(splats.means[0], static_splats_of(network, codes).means[0])
    for name in ("means", "quats", "log_scales", "opacity_logits", "color_logits"):
        first, later = getattr(splats, name)[0], getattr(splats, name)[1]
        assert torch.allclose(first, getattr(alone, name)[0], atol=1e-5)
        assert float((later - first).abs().max()) > 1e-3


def static_splats_of(network: Codec, codes: torch.Tensor):
    """The canonical Gaussians of a window, without any offset."""
    decoder = network.decoder
    vectors = network.codebooks.decode(codes)
    tokens = decoder.project(vectors.flatten(0, 2)).unflatten(0, codes.shape[:3])
    features = decoder.static_features(tokens)
    return static_splats(decoder._spread(decoder.static(features[:, 0]), STATIC), network.config)


def test_a_time_sees_the_tokens_of_all_times_with_stop_and_only_its_own_without():
    for stop in (True, False):
        network = codec(replace(CONFIG, stop=stop, canonical="each" if stop else "first"))
        codes = some_codes(3)
        other = codes.clone()
        other[:, 1] = (other[:, 1] + 1) % CONFIG.entries
        before, after = network.decode(codes), network.decode(other)
        assert float((before.means[1] - after.means[1]).abs().max()) > 1e-4
        assert (float((before.means[2] - after.means[2]).abs().max()) > 1e-6) is stop


def test_pictures_pass_the_codes_and_every_weight_learns():
    torch.manual_seed(0)
    network = codec()
    decoded = network(torch.rand(2, 4, 3, 4, CONFIG.size, CONFIG.size))
    assert decoded.codes.shape == (2 * 4 * 3 * CONFIG.tokens, CONFIG.codebooks)
    parts = vars(decoded.splats).values()
    (sum(part.square().mean() for part in parts) + decoded.loss).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_a_window_holds_the_first_frame_and_the_latest_and_ends_with_the_one_asked_for():
    codes = torch.arange(9).view(9, 1, 1, 1)
    assert window_codes(codes, 0, 4).flatten().tolist() == [0]
    assert window_codes(codes, 2, 4).flatten().tolist() == [0, 1, 2]
    assert window_codes(codes, 8, 4).flatten().tolist() == [0, 6, 7, 8]


def test_the_papers_sizes_build_without_memory():
    codec_config, star_config = CODECS["paper"], STARS["paper"]
    with torch.device("meta"):
        codec_size = sum(p.numel() for p in Codec(codec_config).parameters())
        star_size = sum(p.numel() for p in Star(codec_config, star_config).parameters())
    # 24 times of 7 unseen views: "over 40,000 tokens".
    assert codec_config.tokens == 256
    assert 24 * (codec_config.views - 1) * codec_config.tokens == 43_008
    assert round(codec_size / 1e6) == 330
    assert round(star_size / 1e6) == 375


def test_a_share_of_the_tokens_passes_through_the_codebooks():
    network, pictures = codec(), torch.rand(8, 4, CONFIG.size, CONFIG.size)
    whole, none, half = (network.encode(pictures, share) for share in (1.0, 0.0, 0.5))
    assert torch.equal(whole.vectors, network.codebooks(whole.latent).vectors)
    assert torch.equal(none.vectors, network.codebooks.chunks(none.latent).flatten(-2))
    assert float(none.loss) == 0
    coded = (half.vectors == whole.vectors).all(-1)
    assert torch.equal(coded, ~(half.vectors == none.vectors).all(-1))
    assert 0.2 < float(coded.float().mean()) < 0.8


def test_a_tokens_cells_are_its_own():
    pictures = torch.zeros(1, 4, 16, 16)
    pictures[0, :, 8:12, 4:8] = torch.tensor([0.5, 0.25, 0.0, 0.5])[:, None, None]  # token 9 of 4 × 4
    found = cells(pictures, 4)
    assert found.shape == (1, 16, 3 * 4 + 16)
    assert torch.allclose(found[0, 9, :12].view(3, 4).mean(1), torch.tensor([0.5, 0.0, -0.5]))
    assert torch.allclose(found[0, 9, 12:], torch.tensor(0.5 * ALPHA))
    assert float(found[0, [*range(9), *range(10, 16)]].abs().max()) == 0
    pictures[0, :, 8:10, 4:6] = 0  # the upper left quarter
    found = cells(pictures, 4)
    assert found[0, 9, :12].view(3, 2, 2)[:, 0, 0].tolist() == [0, 0, 0]
    assert found[0, 9, 12:].view(4, 4)[:2, :2].abs().max() == 0
    assert found[0, 9, 12:].view(4, 4)[2:].min() > 0
