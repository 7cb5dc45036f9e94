"""Set metrics: how clips are cut from the image matrix, and the networks that describe them."""

import pytest
import torch
from torch import Tensor, nn

from ar4d.errors import UserError
from ar4d.evaluation import arrangements, sets, video_features
from ar4d.evaluation.frechet import frechet_distance
from ar4d.evaluation.i3d import InceptionI3d
from ar4d.evaluation.resnet3d import ResNet50


@pytest.fixture(autouse=True)
def no_weights(monkeypatch):
    for variable in ("AR4D_I3D", "AR4D_I3D_400", "AR4D_RESNET3D"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def matrix() -> Tensor:
    """[3, 5, 2, 2, 3], each image filled with 10 · view + frame."""
    numbers = 10 * torch.arange(3)[:, None] + torch.arange(5)
    return numbers[..., None, None, None].expand(3, 5, 2, 2, 3).float()


def numbers(clips: Tensor) -> list[list[int]]:
    return clips[..., 0, 0, 0].int().tolist()


def test_how_clips_are_cut_from_the_matrix(matrix):
    assert numbers(arrangements.over_frames(matrix))[1] == [10, 11, 12, 13, 14]
    assert numbers(arrangements.first_frames(matrix, 2)) == [[0, 1], [10, 11], [20, 21]]
    assert numbers(arrangements.over_views(matrix))[4] == [4, 14, 24]
    assert numbers(arrangements.diagonal(matrix)) == [[0, 11, 22, 3, 14]]
    assert numbers(arrangements.zigzag(matrix)) == [[0, 1, 2, 3, 4, 14, 13, 12, 11, 10, 20, 21, 22, 23, 24]]


def test_short_clips_show_each_image_equally_often(matrix):
    assert numbers(arrangements.lengthened(matrix[:1, :3], 10)) == [[0] * 4 + [1] * 4 + [2] * 4]
    assert numbers(arrangements.lengthened(matrix[:1], 5)) == [[0, 1, 2, 3, 4]]


def test_without_weights_a_reason_and_no_number():
    ready = sets.ready_sets()
    assert not ready.metrics
    assert len(ready.reasons) == 3
    assert "set AR4D_I3D to its path" in ready.reasons[0]


class Detector(nn.Module):
    """Takes what `i3d_torchscript.pt` takes and gives the mean colour of the first and of the last frame."""

    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        assert not rescale and not resize and return_features  # noqa: PT018
        return torch.cat([x[:, :, 0].mean((2, 3)), x[:, :, -1].mean((2, 3))], dim=1)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "i3d_torchscript.pt"
    torch.jit.script(Detector()).save(str(path))
    return path


def test_fvd_of_a_set(script):
    generator = torch.Generator().manual_seed(0)
    found, truth = torch.rand(2, 4, 12, 8, 8, 3, generator=generator)
    ready = sets.ready_sets(("fvd", "fvd_v", "fvd_diag", "fv4d"), {"i3d": script})
    a, b = ready.features(found), ready.features(truth)
    assert {name: len(features) for name, features in a.items()} == {
        "fvd": 4, "fvd_v": 12, "fvd_diag": 1, "fv4d": 1,
    }  # fmt: skip
    ends = [torch.cat([x[:, 0].mean((1, 2)), x[:, -1].mean((1, 2))], 1) * 2 - 1 for x in (found, truth)]
    torch.testing.assert_close(a["fvd"], ends[0], atol=1e-4, rtol=0)
    distances = ready.distances(a, b)
    assert distances["fvd"] == pytest.approx(frechet_distance(*ends), abs=1e-4)
    assert distances["fv4d"] is None  # one object has one such clip
    two = ready.distances(sets.joined([a, b]), sets.joined([b, a]))
    assert two["fv4d"] == pytest.approx(0, abs=1e-6)


def test_the_environment_names_the_file(script, monkeypatch):
    monkeypatch.setenv("AR4D_I3D", str(script))
    assert "fvd" in sets.ready_sets(("fvd",)).metrics


@pytest.mark.parametrize("network", ["i3d", "i3d-400", "resnet3d"])
def test_damaged_and_missing_weights_are_one_sentence(tmp_path, network):
    metric = {"i3d": "fvd", "i3d-400": "fvd_one_clip", "resnet3d": "fid_vid"}[network]
    path = tmp_path / "weights.pt"
    with pytest.raises(UserError, match=r"There is no .* at .*weights\.pt"):
        sets.ready_sets((metric,), {network: path})
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match="cannot be read as"):
        sets.ready_sets((metric,), {network: path})


def test_another_networks_weights_are_named(tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"conv.weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match=r"it lacks Conv3d_1a_7x7\.conv3d\.weight"):
        sets.ready_sets(("fvd_one_clip",), {"i3d-400": path})
    torch.jit.script(nn.ReLU()).save(str(path))
    ready = sets.ready_sets(("fvd",), {"i3d": path})
    with pytest.raises(UserError, match="not I3D as FVD uses it"):
        ready.features(torch.zeros(2, 10, 8, 8, 3))


def test_i3d_is_laid_out_as_published():
    """The published network has 12,697,264 parameters and 400 logits."""
    with torch.device("meta"):
        network = InceptionI3d()
        features = network(torch.zeros(2, 3, 10, 224, 224))
    assert features.shape == (2, 400)
    assert sum(p.numel() for p in network.parameters()) == 12_697_264
    names = set(network.state_dict())
    assert {"Mixed_3b.b1b.conv3d.weight", "Mixed_5c.b3b.bn.running_var", "logits.conv3d.bias"} <= names


def test_resnet3d_is_laid_out_as_published():
    with torch.device("meta"):
        network = ResNet50()
        features = network(torch.zeros(2, 3, 16, 112, 112))
    assert features.shape == (2, 2048)
    names = set(network.state_dict())
    assert {"layer1.0.downsample.0.weight", "layer4.2.bn3.bias", "fc.bias"} <= names
    assert "layer1.1.downsample.0.weight" not in names


def test_resnet3d_from_a_training_checkpoint(tmp_path):
    """`module.` before each name, wrapped in `state_dict`: the layout of `resnet-50-kinetics.pth`."""
    torch.manual_seed(0)
    network = ResNet50().eval()
    path = tmp_path / "resnet-50-kinetics.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, path)
    features = video_features.resnet3d_50(path)
    assert callable(features)
    clips = torch.rand(1, 16, 20, 20, 3)
    mean = torch.tensor(video_features.KINETICS_MEAN)
    small = nn.functional.interpolate(clips[0].movedim(-1, 1), (112, 112), mode="bicubic", antialias=True)
    with torch.no_grad():
        expected = network((255 * small - mean[:, None, None]).transpose(0, 1)[None])
    torch.testing.assert_close(features(clips), expected, rtol=1e-3, atol=1e-4)


def test_the_last_segment_repeats_the_last_frame():
    clip = torch.arange(6.0)[None, :, None, None]
    assert video_features.segments(clip, 4)[:, 0, :, 0, 0].tolist() == [[0, 1, 2, 3], [4, 5, 5, 5]]
    assert video_features.segments(clip, 3).shape == (2, 1, 3, 1, 1)
