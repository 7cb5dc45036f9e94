"""What the experts' networks take of a GPU's memory, worked out without one.

Networks are built on torch's meta device, whose tensors have shapes and no contents. Weights are counted;
one pass is run, and every tensor that it makes is counted from its birth to its end: the peak is what an
eager pass needs beside the weights, without the allocator's slack and without the CUDA context (about
half a GiB together). Attention counts as the fused kernels do it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ar4d.experts.hardware import GIB
from ar4d.experts.imagedream.config import IMAGEDREAM_UNET
from ar4d.experts.imagedream.unet import MultiViewUNet
from ar4d.experts.lgm.config import BIG, INPUT_CHANNELS, VIEWS
from ar4d.experts.lgm.model import LgmNetwork
from ar4d.experts.splatt3r.config import PUBLISHED, SIDE
from ar4d.experts.splatt3r.network import Splatt3rNetwork
from ar4d.experts.sv4d2 import memory as sv4d2_memory
from ar4d.experts.sv4d2.config import SV4D2, SV4D2_8VIEWS, Sv4d2Config
from ar4d.experts.wan.config import WAN_2_1_SMALL, WAN_2_2, WanConfig
from ar4d.experts.wan.memory import FITS, needed_gib
from ar4d.tables import text_table

HALF, SINGLE = torch.float16, torch.float32


@dataclass(frozen=True)
class Footprint:
    """One network, as it is run."""

    name: str
    parameters: int
    weights_gib: float
    pass_gib: float
    """Peak of what one pass makes, inputs and outputs among it."""

    @property
    def gib(self) -> float:
        return self.weights_gib + self.pass_gib


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of tensors that are made while it is active, as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._born(tensor.untyped_storage())
        return out

    def _born(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._died, key, storage.nbytes())

    def _died(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def measure(name: str, network: nn.Module, run: Callable[[], Any]) -> Footprint:
    """Counts a network's weights and the peak of one pass.

    Args:
        network: on the meta device, in the type it is run in.
        run: one pass.
    """
    parameters = list(network.parameters())
    held = {tensor.untyped_storage()._cdata for tensor in (*parameters, *network.buffers())}
    memory = LiveMemory()
    memory._known |= held
    with torch.no_grad(), fused_attention(), memory:
        run()
    weights = sum(p.numel() * p.element_size() for p in parameters)
    return Footprint(name, sum(p.numel() for p in parameters), weights / GIB, memory.peak / GIB)


@contextmanager
def fused_attention() -> Iterator[None]:
    """Has attention make its result and nothing else, as the kernels on a GPU do: meta tensors have none."""
    plain = F.scaled_dot_product_attention

    def fused(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any
    ) -> torch.Tensor:
        return query.new_empty((*query.shape[:-1], value.shape[-1]))

    F.scaled_dot_product_attention = fused
    try:
        yield
    finally:
        F.scaled_dot_product_attention = plain


def meta(*shape: int, dtype: torch.dtype = HALF) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype, device="meta")


def lgm() -> Footprint:
    """LGM big in half precision, four views at once."""
    with torch.device("meta"):
        network = LgmNetwork(BIG).half()
    views = meta(1, VIEWS, INPUT_CHANNELS, BIG.input_size, BIG.input_size)
    return measure("LGM big", network, lambda: network(views))


def imagedream() -> list[Footprint]:
    """ImageDream's networks in half precision; the U-Net with guidance, 2 × 5 views at once."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

    config, rows = IMAGEDREAM_UNET, 2 * (VIEWS + 1)
    tower: dict[str, Any] = {"hidden_act": "gelu", "num_attention_heads": 16}
    text = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23}
    picture = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "patch_size": 14}
    blocks: dict[str, Any] = {
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "latent_channels": 4,
    }
    with torch.device("meta"):
        unet = MultiViewUNet(config).half()
        vae: Any = AutoencoderKL.from_config(blocks)
        vae = vae.half()
        words = CLIPTextModel(CLIPTextConfig.from_dict({**tower, **text})).half()
        eyes = CLIPVisionModel(CLIPVisionConfig.from_dict({**tower, **picture})).half()
    size = config.image_size

    def denoise() -> None:
        unet(
            meta(rows, 4, size, size),
            meta(rows, dtype=SINGLE),
            meta(rows, 77, config.context_dim),
            meta(rows, config.camera_dim),
            views=VIEWS + 1,
            image_tokens=meta(rows, config.ip_dim, config.context_dim),
            image_latents=meta(2, 4, size, size),
        )

    ids = torch.zeros(2, 77, dtype=torch.long, device="meta")
    return [
        measure("ImageDream U-Net", unet, denoise),
        measure("ImageDream autoencoder", vae, lambda: vae.decode(meta(VIEWS, 4, size, size))),
        measure("ImageDream text tower", words, lambda: words(ids)),
        measure("ImageDream picture tower", eyes, lambda: eyes(meta(1, 3, 224, 224))),
    ]


def splatt3r() -> Footprint:
    """Splatt3R in single precision; one square picture, shown twice and encoded once."""
    with torch.device("meta"):
        network = Splatt3rNetwork(PUBLISHED)
    picture = meta(1, 3, SIDE, SIDE, dtype=SINGLE)
    return measure("Splatt3R", network, lambda: network(picture))


WAN_SHAPES: dict[str, dict[str, Any]] = {
    WAN_2_2.name: {
        "transformer": {"num_attention_heads": 24, "ffn_dim": 14336, "in_channels": 48, "out_channels": 48},
        "vae": {
            "base_dim": 160,
            "decoder_base_dim": 256,
            "z_dim": 48,
            "is_residual": True,
            "patch_size": 2,
            "in_channels": 12,
            "out_channels": 12,
            "scale_factor_spatial": 16,
            "latents_mean": [0.0] * 48,
            "latents_std": [1.0] * 48,
        },
    },
    WAN_2_1_SMALL.name: {
        "transformer": {"num_attention_heads": 12, "ffn_dim": 8960, "in_channels": 16, "out_channels": 16},
        "vae": {},
    },
}
"""The published configurations where they differ from diffusers' defaults."""
TILE = 256  # pixels of the side of what is decoded at a time where it is done in tiles: diffusers' default


def wan(config: WanConfig, *, whole: bool = True) -> list[Footprint]:
    """Wan's networks at the size and length of clips that it makes here.

    Args:
        whole: whether decoding whole frames is among them, which takes a while to go through.
    """
    from diffusers import AutoencoderKLWan, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    shapes = WAN_SHAPES[config.name]
    words = UMT5Config(
        vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    with torch.device("meta"):
        transformer = WanTransformer3DModel(num_layers=30, **shapes["transformer"])
        vae = AutoencoderKLWan(**shapes["vae"])
        encoder = UMT5EncoderModel(words)
    for network in (transformer, encoder):
        nn.Module.to(network, torch.bfloat16)  # their own `to` warns of norms, which weigh nothing
    cell = vae.config.scale_factor_spatial  # pyright: ignore[reportAttributeAccessIssue]
    channels, frames = shapes["transformer"]["in_channels"], (config.num_frames - 1) // 4 + 1
    height, width = config.height // cell, config.width // cell
    latents = meta(1, channels, frames, height, width, dtype=torch.bfloat16)
    prompt = meta(1, config.text_tokens, 4096, dtype=torch.bfloat16)
    ids = torch.zeros(1, config.text_tokens, dtype=torch.long, device="meta")

    def decode(rows: int, columns: int) -> Callable[[], Any]:
        return lambda: vae.decode(meta(1, channels, frames, rows, columns, dtype=SINGLE))

    return [
        measure(f"{config.name}, text encoder", encoder, lambda: encoder(ids)),
        measure(
            f"{config.name}, denoiser",
            transformer,
            lambda: transformer(latents, meta(1, dtype=SINGLE), prompt),
        ),
        *([measure(f"{config.name}, decoding whole", vae, decode(height, width))] if whole else []),
        measure(f"{config.name}, decoding a tile", vae, decode(TILE // cell, TILE // cell)),
    ]


def sv4d2(config: Sv4d2Config) -> list[Footprint]:
    """SV4D 2.0's networks at the trained size; the U-Net in each way of fitting it into a GPU."""
    from ar4d.experts.sv4d2.checkpoint import build_networks

    networks = build_networks(config)
    unet, vae, tower = networks.unet.half(), networks.autoencoder, networks.clip.half()
    size, pictures, shape = config.latent_size, config.frames * config.views, config.denoiser

    def denoise(halves: int) -> Callable[[], Any]:
        return lambda: unet(
            meta(halves * pictures, shape.in_channels, size, size),
            meta(halves * pictures, dtype=SINGLE),
            meta(halves, config.frames, shape.context_dim),
            meta(halves * pictures, shape.vector_channels),
            meta(halves, config.views, shape.motion_context_dim, size, size),
        )

    steps = []
    for fit in sv4d2_memory.FITS:
        unet.set_tokens_at_once(fit.tokens_at_once)
        steps.append(measure(f"{config.name}, {fit.name}", unet, denoise(1 + fit.halves_at_once)))
    picture = meta(1, 3, config.size, config.size, dtype=SINGLE)
    return [
        *steps,
        measure(f"{config.name}, encoding", vae, lambda: vae.encode(picture)),
        measure(f"{config.name}, decoding", vae, lambda: vae.decode(meta(1, 4, size, size, dtype=SINGLE))),
        measure(f"{config.name}, picture tower", tower, lambda: tower(meta(1, 3, 224, 224))),
    ]


def memory_table() -> str:
    """All networks, one row each, and what runs at once."""
    chain = [lgm(), *imagedream()]
    parts = [
        *chain,
        splatt3r(),
        *sv4d2(SV4D2),
        *sv4d2(SV4D2_8VIEWS),
        *wan(WAN_2_2),
        *wan(WAN_2_1_SMALL),
    ]
    rows = [["network", "parameters", "weights", "one pass", "together"]]
    rows += [
        [part.name, f"{part.parameters / 1e6:.0f} M", *map(_gib, (part.weights_gib, part.pass_gib, part.gib))]
        for part in parts
    ]
    both = sum(part.weights_gib for part in chain)
    most = max(part.pass_gib for part in chain)
    rows.append(["ImageDream + LGM, all loaded", "", *map(_gib, (both, most, both + most))])
    for config in (SV4D2, SV4D2_8VIEWS):
        rows += [
            [f"{config.name} in all, {fit.name}", "", "", "", _gib(sv4d2_memory.needed_gib(config.name, i))]
            for i, fit in enumerate(sv4d2_memory.FITS)
        ]
    for config in (WAN_2_2, WAN_2_1_SMALL):
        rows += [
            [f"{config.name}, {fit.name}", "", "", "", _gib(needed_gib(config.name, fit))] for fit in FITS
        ]
    return text_table(rows, numbers=True)


def _gib(value: float) -> str:
    return f"{value:.2f} GiB"
