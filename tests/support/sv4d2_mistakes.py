"""Plausible mistakes in an implementation of SV4D 2.0, made on purpose.

The names are those under which the recording of the original says how far each one moves the output.
A mistake changes our network in place, or a case's inputs; every one has to be noticed by a test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.imagedream import transformer as shared_transformer
from ar4d.experts.sv4d2 import transformer, unet
from ar4d.experts.sv4d2.config import LATENT_SCALE
from ar4d.experts.sv4d2.layers import Blend, ResBlock, TemporalBlock
from ar4d.experts.sv4d2.transformer import SequenceBlock, TokenAttention, Transformer
from ar4d.experts.sv4d2.unet import DenoisingUNet
from tests.support.sv4d2_recorded import Case

Change = Callable[[pytest.MonkeyPatch, DenoisingUNet, Case], None]


def of(network: nn.Module, kind: type) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, kind)]


def attention(form: str) -> Change:
    def change(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
        for module in of(network, Transformer):
            module.view_attention = form

    return change


def other_attention(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
    attention("pixel" if case.name == "v4" else "runs")(patch, network, case)


def matched_context(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
    def index(shape: torch.Size, form: str, device: torch.device) -> Tensor:
        return torch.arange(shape[0] * shape[1]).repeat_interleave(shape[3])

    patch.setattr(transformer, "view_context", index)


def temporal(forward: Callable[[TemporalBlock, Tensor, Tensor, Case], Tensor]) -> Change:
    """Replaces what the temporal block makes of [B, C, T*V, H, W] and its embedding [B, T*V, E]."""

    def change(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
        patch.setattr(TemporalBlock, "forward", lambda block, x, emb: forward(block, x, emb, case))

    return change


def along_frames(block: TemporalBlock, x: Tensor, embedding: Tensor, case: Case) -> Tensor:
    def per_view(y: Tensor) -> Tensor:  # [B, C, T*V, ...] becomes [B*V, C, T, ...]
        return y.unflatten(2, (case.frames, case.views)).movedim(3, 1).flatten(0, 1)

    lines = RIGHT_TEMPORAL(block, per_view(x), per_view(embedding.mT).mT)
    return lines.unflatten(0, (-1, case.views)).movedim(1, 3).flatten(2, 3)


def norm_per_picture(block: TemporalBlock, x: Tensor, embedding: Tensor, case: Case) -> Tensor:
    def normed(norm: Any, y: Tensor) -> Tensor:
        return torch.stack([norm(row) for row in y.unbind(2)], dim=2)

    h = block.in_layers[2](F.silu(normed(block.in_layers[0], x)))
    h = h + block.emb_layers(embedding).mT[..., None, None]
    return block.out_layers[3](F.silu(normed(block.out_layers[0], h))) + x


RIGHT_TEMPORAL = TemporalBlock.forward


class Swapped(Blend):
    def forward(self, kept: Tensor, changed: Tensor) -> Tensor:
        return super().forward(changed, kept)


def swapped(kind: type, *names: str) -> Change:
    def change(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
        for module in of(network, kind):
            for name in names:
                getattr(module, name).__class__ = Swapped

    return change


def one_mixer(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
    for module in of(network, Transformer):
        module.time_mixer_motion = module.time_mixer


def camera_from_label(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
    seen: dict[str, Any] = {"label": case.embeddings.get("label_emb.out")}
    network.label_emb.register_forward_hook(lambda module, args, out: seen.update(label=out))
    across_views = Transformer.across_views

    def changed(self: Transformer, tokens: Tensor, condition: Any) -> Tensor:
        return across_views(self, tokens, dataclasses.replace(condition, embedding=seen["label"]))

    patch.setattr(Transformer, "across_views", changed)


def silent(name: str) -> Change:
    """Has an embedding say nothing."""

    def change(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
        for module in of(network, Transformer):
            getattr(module, name).register_forward_hook(lambda module, args, out: torch.zeros_like(out))

    return change


def sinusoids(of_number: Callable[[Any, Tensor, int], Tensor], *modules: Any) -> Change:
    def change(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
        right = transformer.timestep_embedding
        for module in modules:
            patch.setattr(module, "timestep_embedding", lambda x, channels: of_number(right, x, channels))

    return change


def from_one(right: Any, x: Tensor, channels: int) -> Tensor:
    return right(x + 1, channels)


def sines_first(right: Any, x: Tensor, channels: int) -> Tensor:
    return torch.cat(right(x, channels).chunk(2, dim=-1)[::-1], dim=-1)


def resized(**how: Any) -> Change:
    def at_pixels(latents: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(latents.flatten(0, 1), size, **how).flatten(2).mT.flatten(0, 1)

    def change(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
        patch.setattr(transformer, "at_pixels", at_pixels)

    return change


def no_residual(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
    def run(self: SequenceBlock, x: Tensor, looked: Tensor) -> Tensor:
        return super(SequenceBlock, self).run(self.ff_in(self.norm_in(x)), looked)

    patch.setattr(SequenceBlock, "run", run)


def epsilon(kind: type, value: float) -> Change:
    """Sets the epsilon of the GroupNorms of every layer of a kind."""

    def change(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
        for module in of(network, kind):
            for norm in of(module, nn.GroupNorm):
                norm.eps = value

    return change


def gated(of_halves: Callable[[Tensor, Tensor], Tensor]) -> Change:
    def change(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
        def forward(self: Any, x: Tensor) -> Tensor:
            return of_halves(*self.proj(x).chunk(2, dim=-1))

        patch.setattr(shared_transformer.GatedLinear, "forward", forward)

    return change


def skip_first(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
    """Joins [skip, h] instead of [h, skip]."""
    join = torch.cat

    class Joining:
        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

        @staticmethod
        def cat(parts: list[Tensor], dim: int) -> Tensor:
            return join(parts[::-1], dim=dim)

    patch.setattr(unet, "torch", Joining())


def inputs(alter: Callable[[dict[str, Tensor], Case], dict[str, Tensor]]) -> Change:
    def change(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
        case.inputs = {**case.inputs, **alter(dict(case.inputs), case)}

    return change


def view_major(x: Tensor, case: Case) -> Tensor:
    rows = x.unflatten(0, (-1, case.frames, case.views))
    return rows.transpose(1, 2).flatten(0, 2)


def scaled(name: str, channels: slice) -> Change:
    def alter(given: dict[str, Tensor], case: Case) -> dict[str, Tensor]:
        x = given[name].clone()
        x[:, channels] *= LATENT_SCALE
        return {name: x}

    return inputs(alter)


def of_vector(alter: Callable[[Tensor, Tensor, int], None]) -> Change:
    """Changes the vectors [T*V, A] of the unconditional and the conditional half in place."""

    def change(given: dict[str, Tensor], case: Case) -> dict[str, Tensor]:
        y = given["y"].clone()
        rows = len(y) // 2
        alter(y[:rows], y[rows:], 32)  # the sigma part is 32 wide
        return {"y": y}

    return inputs(change)


def all_zero(without: Tensor, given: Tensor, sigma: int) -> None:
    without.zero_()


def sigma_kept(without: Tensor, given: Tensor, sigma: int) -> None:
    without[:, :sigma] = given[:, :sigma]


def angles_swapped(without: Tensor, given: Tensor, sigma: int) -> None:
    for half in (without, given):
        half[:, sigma:] = torch.cat(half[:, sigma:].chunk(2, dim=-1)[::-1], dim=-1)


def random_queries(patch: pytest.MonkeyPatch, network: DenoisingUNet, case: Case) -> None:
    generator = torch.Generator().manual_seed(0)
    for module in of(network, transformer.Block):
        for layer in (module.attn2.to_q, module.attn2.to_k, module.norm2):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    assert of(network, TokenAttention)


MISTAKES: dict[str, Change] = {
    "3D attention as in the paper (all V*h*w tokens of a frame attend to each other)": attention("frame"),
    "the other model's view attention (flag use_3d_attention flipped)": other_attention,
    "CLIP context of the view attention matched to its frame (4-view model)": matched_context,
    "temporal convolution along the frames of one view only": temporal(along_frames),
    "GroupNorm of the temporal convolution per image instead of over all images of a sample": temporal(
        norm_per_picture
    ),
    "no temporal convolution (its result replaced by the spatial one)": temporal(lambda b, x, e, c: x),
    "temporal blocks: mixing weight on the other branch": swapped(ResBlock, "time_mixer"),
    "transformers: mixing weight on the other branch (both mixers)": swapped(
        Transformer, "time_mixer", "time_mixer_motion"
    ),
    "view mixer used for the frame attention too": one_mixer,
    "camera embedding from the sum without the timestep (label_emb only)": camera_from_label,
    "no camera embedding before the view attention": silent("time_mix_time_embed"),
    "no frame-index embedding before the frame attention": silent("time_mix_motion_embed"),
    "frame index counted from 1": sinusoids(from_one, transformer),
    "reference-view latents resized by nearest neighbour": resized(mode="nearest"),
    "reference-view latents resized with antialiasing": resized(
        mode="bilinear", align_corners=False, antialias=True
    ),
    "reference-view latents resized with align_corners": resized(mode="bilinear", align_corners=True),
    "ff_in without its residual": no_residual,
    "[sin, cos] instead of [cos, sin] (timestep and frame index)": sinusoids(sines_first, transformer, unet),
    "ResBlock GroupNorm eps 1e-6 (it is 1e-5)": epsilon(ResBlock, 1e-6),
    "transformer GroupNorm eps 1e-5 (it is 1e-6)": epsilon(Transformer, 1e-5),
    "tanh GELU instead of exact": gated(lambda value, gate: value * F.gelu(gate, approximate="tanh")),
    "GEGLU halves swapped": gated(lambda value, gate: F.gelu(value) * gate),
    "skip connection in front: [skip, h]": skip_first,
    "rows in view-major order": inputs(
        lambda given, case: {name: view_major(given[name], case) for name in ("x", "timesteps", "y")}
    ),
    "unconditional half: the whole vector zero (only its sigma part is)": of_vector(all_zero),
    "unconditional half: the sigma part kept": of_vector(sigma_kept),
    "vector order sigma, azimuth, polar (it is sigma, polar, azimuth)": of_vector(angles_swapped),
    "frame latents multiplied by 0.18215": scaled("x", slice(4, 8)),
    "reference-view latents multiplied by 0.18215": scaled("cond_view", slice(None)),
    "input channels [frame, noisy] (they are [noisy, frame])": inputs(
        lambda given, case: {"x": torch.cat([given["x"][:, 4:], given["x"][:, :4]], dim=1)}
    ),
    "NOTHING: attn2.to_q, attn2.to_k, norm2 random": random_queries,
}

WITH_THE_REFERENCE = (
    "reference-view latents resized by nearest neighbour",
    "reference-view latents resized with antialiasing",
    "reference-view latents resized with align_corners",
    "transformer GroupNorm eps 1e-5 (it is 1e-6)",
    "skip connection in front: [skip, h]",
)
"""Mistakes that show below the uppermost level only, or faintly: a whole network has to be compared."""
