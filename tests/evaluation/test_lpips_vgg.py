"""LPIPS by VGG-16: the layout of its file, and its features against a plain network."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ar4d.errors import UserError
from ar4d.evaluation import lpips
from ar4d.evaluation.registry import METRICS, Frames


@pytest.fixture
def path(tmp_path):
    generator = torch.Generator().manual_seed(0)
    state = {
        name: torch.rand(shape, generator=generator) / max(1, sum(shape[1:]))
        for name, shape in lpips.weight_shapes(lpips.VGG).items()
    }
    torch.save(state, tmp_path / "lpips_vgg.pt")
    return tmp_path / "lpips_vgg.pt"


def plain_distance(state, a, b):
    """As `lpips` and torchvision build it: compared after relu 1_2, 2_2, 3_3, 4_3, 5_3."""
    layers, taps, inputs = [], [], 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        taps.append(len(layers) - 1)
        layers.append(nn.MaxPool2d(2, 2))
    for i, conv in enumerate(layer for layer in layers if isinstance(layer, nn.Conv2d)):
        conv.weight, conv.bias = (nn.Parameter(state[f"conv{i}.{k}"]) for k in ("weight", "bias"))
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    x, y = ((2 * z.permute(0, 3, 1, 2) - 1 - shift) / scale for z in (a, b))
    total = torch.zeros(len(a))
    for k, layer in enumerate(layers[: taps[-1] + 1]):
        x, y = layer(x), layer(y)
        if k in taps:
            difference = (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square()
            total += F.conv2d(difference, state[f"lin{taps.index(k)}.weight"]).mean((1, 2, 3))
    return total


def test_the_distance_is_that_of_a_plain_vgg(path):
    a, b = torch.rand(2, 2, 32, 40, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = plain_distance(torch.load(path), a, b)
    found = lpips.Lpips.load(path, lpips.VGG)(a, b)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    measure = METRICS["lpips_vgg"].load(path)
    assert callable(measure)
    alpha = torch.ones(2, 32, 40)
    assert float(measure(Frames(a, alpha), Frames(b, alpha))) == pytest.approx(
        expected.mean().item(), rel=1e-4
    )


def test_the_files_of_the_two_networks_are_told_apart(path, monkeypatch):
    with pytest.raises(UserError, match="not a weights file of LPIPS "):
        lpips.Lpips.load(path)
    monkeypatch.setenv("AR4D_LPIPS_VGG", str(path))
    assert lpips.find_weights(None, lpips.VGG) == path
