"""SV4D 2.0 once more, from its formulas alone: float64, one sequence at a time, no module of ours.

Functions take the checkpoint's tensors by their published names. Slow, and meant to be read beside the
paper and the original's configuration.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


class Weights:
    """The tensors below a prefix, in float64."""

    def __init__(self, tensors: dict[str, Tensor], prefix: str = "") -> None:
        self.tensors, self.prefix = tensors, prefix

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[self.prefix + name].double()

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.tensors

    def below(self, name: str) -> Weights:
        return Weights(self.tensors, f"{self.prefix}{name}.")

    def has(self, name: str) -> bool:
        return any(key.startswith(f"{self.prefix}{name}.") for key in self.tensors)

    def linear(self, name: str, x: Tensor) -> Tensor:
        mapped = x @ self[f"{name}.weight"].mT
        return mapped + self[f"{name}.bias"] if f"{name}.bias" in self else mapped

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        return (x - mean) / (variance + 1e-5).sqrt() * self[f"{name}.weight"] + self[f"{name}.bias"]

    def group_norm(self, name: str, x: Tensor, eps: float) -> Tensor:
        """Normalise one picture [C, ...]: 32 groups of channels, statistics over everything else."""
        groups = x.reshape(32, -1)
        mean, variance = groups.mean(1, keepdim=True), groups.var(1, keepdim=True, unbiased=False)
        normed = ((groups - mean) / (variance + eps).sqrt()).reshape(x.shape)
        ones = (-1, *[1] * (x.ndim - 1))
        return normed * self[f"{name}.weight"].reshape(ones) + self[f"{name}.bias"].reshape(ones)

    def conv(self, name: str, x: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
        """Convolve one picture [C, h, w]."""
        weight = self[f"{name}.weight"]
        padding = weight.shape[-1] // 2 if padding is None else padding
        return F.conv2d(x[None], weight, self[f"{name}.bias"], stride=stride, padding=padding)[0]


def silu(x: Tensor) -> Tensor:
    return x / (1 + (-x).exp())


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def sinusoids(x: Tensor, channels: int) -> Tensor:
    """[N] numbers become [N, channels]: cosines, then sines; in float32, as the original has them."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / half).float()
    angles = x.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1).double()


def attention(q: Tensor, k: Tensor, v: Tensor, width: int) -> Tensor:
    """Heads of `width` channels, one after the other: softmax(q kᵀ / √width) v."""
    heads = []
    for i in range(0, q.shape[-1], width):
        part = slice(i, i + width)
        scores = q[:, part] @ k[:, part].mT / math.sqrt(width)
        heads.append(
            (scores - scores.max()).exp() @ v[:, part] / (scores - scores.max()).exp().sum(-1)[:, None]
        )
    return torch.cat(heads, dim=-1)


def feed_forward(w: Weights, name: str, x: Tensor) -> Tensor:
    value, gate = w.linear(f"{name}.net.0.proj", x).chunk(2, dim=-1)
    return w.linear(f"{name}.net.2", value * gelu(gate))


def block(w: Weights, x: Tensor, context: Tensor, width: int) -> Tensor:
    """One sequence [L, C] and its one context token [D]."""

    def attend(name: str, queries: Tensor, keys: Tensor) -> Tensor:
        q, k, v = (
            w.linear(f"{name}.to_{part}", y) for part, y in zip("qkv", (queries, keys, keys), strict=True)
        )
        return w.linear(f"{name}.to_out.0", attention(q, k, v, width))

    if w.has("ff_in"):
        x = x + feed_forward(w, "ff_in", w.norm("norm_in", x))
    normed = w.norm("norm1", x)
    x = x + attend("attn1", normed, normed)
    x = x + attend("attn2", w.norm("norm2", x), context[None])
    return x + feed_forward(w, "ff", w.norm("norm3", x))


def res_block(w: Weights, x: Tensor, emb: Tensor) -> Tensor:
    """x [T·V, C, h, w] of one half, emb [T·V, E]."""

    def spatial(row: Tensor, e: Tensor) -> Tensor:
        h = w.conv("in_layers.2", silu(w.group_norm("in_layers.0", row, 1e-5)))
        h = h + w.linear("emb_layers.1", silu(e))[:, None, None]
        h = w.conv("out_layers.3", silu(w.group_norm("out_layers.0", h, 1e-5)))
        return h + (w.conv("skip_connection", row) if "skip_connection.weight" in w else row)

    def along_rows(name: str, rows: Tensor) -> Tensor:
        kernel = t[f"{name}.weight"][..., 0, 0]  # [C', C, 3]
        zero = torch.zeros_like(rows[:1])
        padded = torch.cat([zero, rows, zero])
        taps = [torch.einsum("oc,nchw->nohw", kernel[..., i], padded[i : i + len(rows)]) for i in range(3)]
        return sum(taps, t[f"{name}.bias"][:, None, None])

    x = torch.stack([spatial(row, e) for row, e in zip(x, emb, strict=True)])
    t = w.below("time_mix_blocks")
    h = t.group_norm("in_layers.0", x.transpose(0, 1), 1e-5).transpose(0, 1)
    h = along_rows("in_layers.2", silu(h)) + t.linear("emb_layers.1", silu(emb))[..., None, None]
    h = t.group_norm("out_layers.0", h.transpose(0, 1), 1e-5).transpose(0, 1)
    mixed = x + along_rows("out_layers.3", silu(h))
    alpha = 1 / (1 + (-w["time_mixer.mix_factor"]).exp())
    return alpha * x + (1 - alpha) * mixed


def transformer(
    w: Weights, x: Tensor, emb: Tensor, clip: Tensor, reference: Tensor, form: str, width: int
) -> Tensor:
    """x [T·V, C, h, w], emb [T·V, E], clip [T, D], reference [V, 4, H, W] of one half."""
    frames, views = len(clip), len(reference)
    height, columns = x.shape[-2:]
    pixels, channels = height * columns, x.shape[1]
    rows = torch.stack([w.group_norm("norm", row, 1e-6).reshape(channels, pixels).T for row in x])
    y = w.linear("proj_in", rows)
    y = torch.stack(
        [block(w.below("transformer_blocks.0"), y[r], clip[r // views], width) for r in range(frames * views)]
    ).reshape(frames, views, pixels, channels)

    e = w.linear("time_mix_time_embed.2", silu(w.linear("time_mix_time_embed.0", emb[:views])))
    given = y + e[:, None]
    changed = torch.empty_like(given)
    inner = w.below("time_mix_blocks.0")
    for t in range(frames):
        if form == "pixel":
            for p in range(pixels):
                changed[t, :, p] = block(inner, given[t, :, p], clip[t], width)
            continue
        tokens = given[t].reshape(views * pixels, channels)
        length = views if form == "runs" else views * pixels
        for g in range(len(tokens) // length):
            run = slice(g * length, (g + 1) * length)
            frame = (g * frames + t) // pixels if form == "runs" else t
            changed[t].reshape(-1, channels)[run] = block(inner, tokens[run], clip[frame], width)
    alpha = 1 / (1 + (-w["time_mixer.mix_factor"]).exp())
    y = alpha * y + (1 - alpha) * changed

    place = sinusoids(torch.arange(frames), channels)
    e = w.linear("time_mix_motion_embed.2", silu(w.linear("time_mix_motion_embed.0", place)))
    given = y + e[:, None, None]
    changed = torch.empty_like(given)
    seen = bilinear(reference, height, columns).reshape(views, -1, pixels)
    for v in range(views):
        for p in range(pixels):
            changed[:, v, p] = block(w.below("motion_blocks.0"), given[:, v, p], seen[v, :, p], width)
    alpha = 1 / (1 + (-w["time_mixer_motion.mix_factor"]).exp())
    y = alpha * y + (1 - alpha) * changed
    out = w.linear("proj_out", y).reshape(frames * views, pixels, channels)
    return x + out.mT.reshape(x.shape)


def bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """[..., H, W] at the centres of a grid of height × width pixels; nothing but the two neighbours."""

    def matrix(count: int, length: int) -> Tensor:
        m = torch.zeros(count, length, dtype=torch.float64)
        for i in range(count):
            place = min(max((i + 0.5) * length / count - 0.5, 0.0), length - 1.0)
            low = min(int(place), length - 1)
            m[i, low] += 1 - (place - low)
            m[i, min(low + 1, length - 1)] += place - low
        return m

    return matrix(height, x.shape[-2]) @ x.double() @ matrix(width, x.shape[-1]).T


def unet(
    tensors: dict[str, Tensor],
    x: Tensor,
    c_noise: Tensor,
    clip: Tensor,
    vector: Tensor,
    reference: Tensor,
    form: str,
    width: int,
) -> Tensor:
    """One guidance half.

    Args:
        x: [T·V, 8, h, w].
        c_noise: [T·V].
        clip: [T, D].
        vector: [T·V, A].
        reference: [V, 4, h, w].
        form: of the view attention.
        width: of a head.
    """
    w = Weights(tensors, "model.diffusion_model.")
    x, clip, vector, reference = (y.double() for y in (x, clip, vector, reference))
    emb = w.linear(
        "time_embed.2", silu(w.linear("time_embed.0", sinusoids(c_noise, w["time_embed.0.weight"].shape[1])))
    )
    emb = emb + w.linear("label_emb.0.2", silu(w.linear("label_emb.0.0", vector)))

    def stage(s: Weights, x: Tensor) -> Tensor:
        for layer in range(3):
            name = str(layer)
            if s.has(f"{name}.in_layers"):
                x = res_block(s.below(name), x, emb)
            elif s.has(f"{name}.proj_in"):
                x = transformer(s.below(name), x, emb, clip, reference, form, width)
            elif s.has(f"{name}.op"):
                x = torch.stack([s.conv(f"{name}.op", row, stride=2) for row in x])
            elif s.has(f"{name}.conv"):
                doubled = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
                x = torch.stack([s.conv(f"{name}.conv", row) for row in doubled])
            elif f"{name}.weight" in s:
                x = torch.stack([s.conv(name, row) for row in x])
        return x

    skips = []
    while w.has(f"input_blocks.{len(skips)}"):
        x = stage(w.below(f"input_blocks.{len(skips)}"), x)
        skips.append(x)
    x = stage(w.below("middle_block"), x)
    for n in range(len(skips)):
        x = stage(w.below(f"output_blocks.{n}"), torch.cat([x, skips.pop()], dim=1))
    return torch.stack([w.conv("out.2", silu(w.group_norm("out.0", row, 1e-5))) for row in x])


def _vae_res(w: Weights, x: Tensor) -> Tensor:
    h = w.conv("conv1", silu(w.group_norm("norm1", x, 1e-6)))
    h = w.conv("conv2", silu(w.group_norm("norm2", h, 1e-6)))
    return h + (w.conv("nin_shortcut", x) if "nin_shortcut.weight" in w else x)


def _vae_middle(w: Weights, x: Tensor) -> Tensor:
    x = _vae_res(w.below("block_1"), x)
    a = w.below("attn_1")
    normed = a.group_norm("norm", x, 1e-6)
    q, k, v = (a.conv(name, normed).flatten(1).T for name in "qkv")
    x = x + a.conv("proj_out", attention(q, k, v, len(x)).T.reshape(x.shape))
    return _vae_res(w.below("block_2"), x)


def encode(tensors: dict[str, Tensor], picture: Tensor, embedder: int = 1) -> Tensor:
    """The posterior's mean [4, h, w] of one picture [3, H, W] in [-1, 1]."""
    top = Weights(tensors, f"conditioner.embedders.{embedder}.encoder.")
    w = top.below("encoder")
    x = w.conv("conv_in", picture.double())
    level = 0
    while w.has(f"down.{level}"):
        d = w.below(f"down.{level}")
        for n in range(9):
            x = _vae_res(d.below(f"block.{n}"), x) if d.has(f"block.{n}") else x
        if d.has("downsample"):
            x = d.conv("downsample.conv", F.pad(x, (0, 1, 0, 1)), stride=2, padding=0)
        level += 1
    x = _vae_middle(w.below("mid"), x)
    x = w.conv("conv_out", silu(w.group_norm("norm_out", x, 1e-6)))
    return top.conv("quant_conv", x)[:4]


def decode(tensors: dict[str, Tensor], latent: Tensor) -> Tensor:
    """The picture [3, H, W] in about [-1, 1] of one unscaled latent [4, h, w]."""
    w = Weights(tensors, "first_stage_model.decoder.")
    x = _vae_middle(w.below("mid"), w.conv("conv_in", latent.double()))
    for level in reversed(range(9)):
        if not w.has(f"up.{level}"):
            continue
        u = w.below(f"up.{level}")
        for n in range(9):
            x = _vae_res(u.below(f"block.{n}"), x) if u.has(f"block.{n}") else x
        if u.has("upsample"):
            x = u.conv("upsample.conv", x.repeat_interleave(2, -1).repeat_interleave(2, -2))
    return w.conv("conv_out", silu(w.group_norm("norm_out", x, 1e-6)))


def clip_embedding(tensors: dict[str, Tensor], pixels: Tensor, heads: int) -> Tensor:
    """[embed_dim] of one prepared picture [3, S, S]."""
    w = Weights(tensors, "conditioner.embedders.0.open_clip.model.visual.")
    patches = F.conv2d(pixels.double()[None], w["conv1.weight"], stride=w["conv1.weight"].shape[-1])[0]
    x = torch.cat([w["class_embedding"][None], patches.flatten(1).T]) + w["positional_embedding"]
    x = w.norm("ln_pre", x)
    layer = 0
    while w.has(f"transformer.resblocks.{layer}"):
        r = w.below(f"transformer.resblocks.{layer}")
        packed = r.norm("ln_1", x) @ r["attn.in_proj_weight"].mT + r["attn.in_proj_bias"]
        x = x + r.linear("attn.out_proj", attention(*packed.chunk(3, dim=-1), x.shape[-1] // heads))
        x = x + r.linear("mlp.c_proj", gelu(r.linear("mlp.c_fc", r.norm("ln_2", x))))
        layer += 1
    return w.norm("ln_post", x[0]) @ w["proj"]
