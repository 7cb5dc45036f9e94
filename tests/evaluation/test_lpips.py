"""LPIPS against a plain float64 computation from its definition, with random weights."""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.torch import save_file

from ar4d.errors import UserError
from ar4d.evaluation.lpips import VARIABLE, Lpips, find_weights

LAYERS = [
    (3, 64, 11, 4, 2),
    (64, 192, 5, 1, 2),
    (192, 384, 3, 1, 1),
    (384, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    state = {}
    for i, (inputs, outputs, kernel, _, _) in enumerate(LAYERS):
        gain = (2 / (inputs * kernel**2)) ** 0.5
        state[f"conv{i}.weight"] = gain * torch.randn(outputs, inputs, kernel, kernel, generator=generator)
        state[f"conv{i}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
        state[f"lin{i}.weight"] = torch.rand(1, outputs, 1, 1, generator=generator)
    return state


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    a = torch.rand(2, 67, 71, 3, generator=generator)
    return a, (a + 0.2 * torch.randn(a.shape, generator=generator)).clamp(0, 1)


def plain_features(image: np.ndarray, state: dict[str, np.ndarray]) -> list[np.ndarray]:
    x = (2 * image - 1 - np.array([-0.030, -0.088, -0.188])) / np.array([0.458, 0.448, 0.450])
    x = x.transpose(2, 0, 1)  # [C, H, W]
    features = []
    for i, (_, _, kernel, stride, padding) in enumerate(LAYERS):
        if i in (1, 2):
            x = sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(-2, -1))
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
        windows = sliding_window_view(x, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
        x = np.tensordot(state[f"conv{i}.weight"], windows, axes=((1, 2, 3), (0, 3, 4)))
        x = np.maximum(x + state[f"conv{i}.bias"][:, None, None], 0)
        features.append(x)
    return features


def plain_lpips(a: np.ndarray, b: np.ndarray, state: dict[str, np.ndarray]) -> float:
    total = 0.0
    for i, (x, y) in enumerate(zip(plain_features(a, state), plain_features(b, state), strict=True)):
        x, y = (f / np.linalg.norm(f, axis=0) for f in (x, y))
        total += (state[f"lin{i}.weight"].reshape(-1, 1, 1) * (x - y) ** 2).sum(0).mean()
    return total


def test_agrees_with_its_definition(state, pair):
    plain = {name: tensor.double().numpy() for name, tensor in state.items()}
    a, b = (x.double().numpy() for x in pair)
    expected = [plain_lpips(x, y, plain) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(Lpips(state)(*pair).numpy(), expected, rtol=1e-4)


def test_same_pictures_have_no_distance(state, pair):
    assert Lpips(state)(pair[0], pair[0]).tolist() == [0, 0]


def test_batches_of_any_length_give_the_same(state, pair, monkeypatch):
    whole = Lpips(state)(*pair)
    monkeypatch.setattr("ar4d.evaluation.lpips._PIXELS_AT_ONCE", 1)
    torch.testing.assert_close(Lpips(state)(*pair), whole, rtol=1e-5, atol=0)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_reads_weights_files(state, pair, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(state, path)
    else:
        save_file(state, path)
    torch.testing.assert_close(Lpips.load(path)(*pair), Lpips(state)(*pair), rtol=0, atol=0)


def test_says_what_is_wrong_with_a_weights_file(state, tmp_path):
    with pytest.raises(UserError, match=r"no LPIPS weights file at .*missing\.pt"):
        Lpips.load(tmp_path / "missing.pt")
    for name in ("noise.pt", "noise.safetensors"):
        (tmp_path / name).write_bytes(b"no weights at all")
        with pytest.raises(UserError, match=f"{name} cannot be read"):
            Lpips.load(tmp_path / name)
    torch.save({**state, "lin3.weight": torch.zeros(1, 7, 1, 1)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"other.pt is not .*lin3.weight"):
        Lpips.load(tmp_path / "other.pt")


def test_argument_comes_before_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert find_weights() is None
    monkeypatch.setenv(VARIABLE, str(tmp_path / "b.pt"))
    assert find_weights() == tmp_path / "b.pt"
    assert find_weights(tmp_path / "a.pt") == tmp_path / "a.pt"
