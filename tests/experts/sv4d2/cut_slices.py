"""Cuts `data/*.npz` out of the whole recording, which is 19 MB.

Run it as `AR4D_GOLDEN=DIR python -m tests.experts.sv4d2.cut_slices`.

The recording holds random weights, random inputs and what the original code (Stability-AI/generative-models
at e8cd657, MIT) computed with them; no trained weight is among it. Kept are

- `network.npz`: the weights of the first convolution, the first residual block and the first transformer
  (`input_blocks.0` and `.1`), the inputs of both cases (4 views × 3 frames, 5 × 2), and of every stage's
  output one number in 97 (of the embeddings all); the second case's embeddings of noise level and angles
  are worked out here, from the recorded weights and inputs, as the recording lacks them;
- `sampling.npz`: noise levels, guidance, one Euler step at some pixels, conditioning vectors, sinusoids,
  pictures as CLIP takes them (at some pixels) and as the clip is framed, and keys and shapes as a digest.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from ar4d.experts.imagedream.unet import timestep_embedding
from ar4d.experts.sv4d2.checkpoint import UNUSED
from tests.support.golden_paths import golden_path, golden_tensors
from tests.support.sv4d2_recorded import STRIDE
from tests.support.toy_sv4d2 import GOLDEN_DENOISER

DATA = Path(__file__).parent / "data"
UNET = "weights.model.diffusion_model."
FIRST = ("input_blocks.0.", "input_blocks.1.")
STAGES = ("input_blocks.0", "res.", "tf.")


def network(golden: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    kept = {}
    for name, tensor in golden.items():
        key = name.removeprefix(UNET)
        if name.startswith(UNET) and key.startswith(FIRST):
            kept[f"weights.{key}"] = tensor.half()
    for case, frames, views in (("v4", 3, 4), ("v8", 2, 5)):
        x = golden[f"{case}.x"][-frames * views :]
        kept[f"{case}.noisy"] = x[:, :4]
        kept[f"{case}.concat"] = x[::views, 4:]  # the same for all views of a frame
        kept[f"{case}.context"] = golden[f"{case}.context"][-1:]
        kept[f"{case}.cond_view"] = golden[f"{case}.cond_view"][-views:]
        for name, tensor in golden.items():
            stage = name.removeprefix(f"{case}.stage.")
            if name.startswith(f"{case}.stage.") and stage.startswith(STAGES):
                kept[f"{case}.stage.{stage}"] = tensor if ".emb_" in stage else tensor.flatten()[::STRIDE]
    for part in ("time_embed.out", "label_emb.out"):
        kept[f"v4.{part}"] = golden[f"v4.stage.{part}"]
    noise_level = timestep_embedding(golden["v8.timesteps"][-10:], GOLDEN_DENOISER.model_channels)
    kept["v8.time_embed.out"] = mlp(golden, "time_embed", noise_level)
    kept["v8.label_emb.out"] = mlp(golden, "label_emb.0", golden["v8.y"][-10:])
    return {name: tensor.contiguous().numpy() for name, tensor in kept.items()}


def mlp(golden: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    weights = {
        part: golden[f"{UNET}{name}.{part}"].float() for part in ("0.weight", "0.bias", "2.weight", "2.bias")
    }
    hidden = torch.nn.functional.silu(x @ weights["0.weight"].mT + weights["0.bias"])
    return hidden @ weights["2.weight"].mT + weights["2.bias"]


def sampling(golden: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    recorded = json.loads(golden_path("sv4d2_toy.json").read_text())
    kept: dict[str, object] = {f"sigmas.{n}": values for n, values in recorded["sigmas"].items()}
    kept |= {f"scaling.{name}": values for name, values in recorded["scaling"].items()}
    for name, short in (("sv4d2 (T=12, V=4)", "4"), ("sv4d2_8views (T=5, V=8)", "8")):
        kept[f"guidance.{short}"] = recorded["guidance"][name]
    for case in ("p4", "p8"):
        step = f"{case}.chunk0."
        kept[f"{step}c.vector"] = golden[f"{step}c.vector"]
        kept[f"{step}uc.vector"] = golden[f"{step}uc.vector"]
        for name in ("polar_rad", "azimuth_rad"):
            kept[step + name] = golden[step + name]
        for name in ("noise", "x_init", "denoised_raw_step0", "guided", "latents_after_step"):
            kept[step + name] = golden[step + name][..., ::5, ::5]
    kept["embed.angles"] = golden["embed.angles"]
    kept["embed.angles_512"] = golden["embed.angles_512"][:, ::8]
    kept["embed.frame_index_320"] = golden["embed.frame_index_320"][:, ::8]
    kept["embed.sigma_256"] = golden["embed.sigma_256"]
    kept["clip.image_uint8"] = golden["clip.image_uint8"]
    kept["clip.preprocessed"] = golden["clip.preprocessed"][:, ::9, ::9]
    kept["preprocess.rgb.in"] = golden["preprocess.rgb.in"]
    kept["preprocess.rgb.out"] = golden["preprocess.rgb.out"][:, ::3, ::3]
    keys = json.loads(golden_path("sv4d2_keys.json").read_text())["keys"]
    kept["keys.digest"] = digest({key: shape for key, shape in keys.items() if not UNUSED.match(key)})
    return {
        name: value.contiguous().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        for name, value in kept.items()
    }


def digest(shapes: dict[str, list[int]]) -> str:
    """SHA-256 of keys and shapes, in alphabetical order."""
    lines = [f"{key} {'x'.join(map(str, shape))}" for key, shape in sorted(shapes.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


if __name__ == "__main__":
    recording = golden_tensors("sv4d2_toy.safetensors")
    DATA.mkdir(exist_ok=True)
    for name, cut in (("network", network), ("sampling", sampling)):
        np.savez_compressed(DATA / f"{name}.npz", allow_pickle=False, **cut(recording))
