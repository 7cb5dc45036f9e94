"""The original's recorded numbers, and the stages of our U-Net that belong to them.

`Case` holds a recorded case of the network, with whichever of its tensors the source has: the whole
recording (`AR4D_GOLDEN`) or the slices in `tests/experts/sv4d2/data`. Stages hold the conditional half.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ar4d.experts.sv4d2.config import ViewAttention
from ar4d.experts.sv4d2.layers import Condition, ResBlock, Stage
from ar4d.experts.sv4d2.sequences import from_view_sequences
from ar4d.experts.sv4d2.transformer import Transformer
from ar4d.experts.sv4d2.unet import DenoisingUNet

STRIDE = 97
"""Every so manyth number of a recorded stage is kept in the slices."""


@dataclass
class Case:
    """One recorded case: `v4` or `v8`."""

    name: str
    frames: int
    views: int
    inputs: dict[str, Tensor]  # x, timesteps, context, y, cond_view; rows are (half, frame, view)
    embeddings: dict[str, Tensor]  # time_embed.out, label_emb.out: [T*V, E], the conditional half's

    @property
    def attention(self) -> ViewAttention:
        return "runs" if self.name == "v4" else "pixel"

    @property
    def condition(self) -> Condition:
        """What the layers see in the conditional half."""
        embedding = self.embeddings["time_embed.out"] + self.embeddings["label_emb.out"]
        reference = self.inputs["cond_view"][-self.views :]
        return Condition(embedding, self.inputs["context"][-1:], reference[None])


def run(network: DenoisingUNet, case: Case) -> Tensor:
    """The whole network on a case's inputs; [2*T*V, 4, h, w]."""
    dtype = next(network.parameters()).dtype
    x, context, y, reference = (case.inputs[k].to(dtype) for k in ("x", "context", "y", "cond_view"))
    return network(x, case.inputs["timesteps"], context, y, reference.unflatten(0, (2, case.views)))


def run_first_layers(network: DenoisingUNet, case: Case) -> Tensor:
    """The first convolution and the first pair of blocks on the conditional half; [T*V, C, h, w]."""
    x = case.inputs["x"][-case.frames * case.views :]
    for number in range(2):
        x = network.input_blocks[number](x, case.condition)
    return x


@contextmanager
def stages(network: DenoisingUNet, case: Case) -> Iterator[dict[str, Tensor]]:
    """Collects what passes through the network by the recording's names and in its layouts."""
    found: dict[str, Tensor] = {}
    rows = case.frames * case.views
    pair, middle = network.input_blocks[1], network.middle_block
    assert isinstance(pair, Stage)
    first, second = pair
    assert isinstance(first, ResBlock)
    assert isinstance(second, Transformer)
    pixels = case.inputs["x"].shape[-2] * case.inputs["x"].shape[-1]

    def tokens(sequences: Tensor) -> Tensor:
        shape = torch.Size((-1, case.frames, case.views, pixels, sequences.shape[-1]))
        return from_view_sequences(sequences, shape, second.view_attention)[-1]  # [T, V, P, C]

    def viewed(sequences: Tensor) -> Tensor:
        if case.name == "v4":
            return tokens(sequences).permute(1, 2, 0, 3).flatten(0, 1)  # (view, pixel), frame
        return tokens(sequences).permute(1, 0, 2, 3).flatten(1, 2)  # view, (frame, pixel)

    def framed(sequences: Tensor) -> Tensor:
        return sequences[-case.views * pixels :].transpose(0, 1)  # frame, (view, pixel)

    outputs: list[tuple[str, Any, Any]] = [
        ("time_embed.out", network.time_embed, lambda x: x[-rows:]),
        ("label_emb.out", network.label_emb, lambda x: x[-rows:]),
        ("res.temporal", first.time_mix_blocks, lambda x: x[-1:]),
        ("res.out", first, lambda x: x[-rows:]),
        ("tf.spatial_out", second.transformer_blocks[0], lambda x: x[-rows:]),
        ("tf.emb_view", second.time_mix_time_embed, lambda x: x[-1]),
        ("tf.emb_time", second.time_mix_motion_embed, lambda x: x),
        ("tf.view_out", second.time_mix_blocks[0], viewed),
        ("tf.frame_out", second.motion_blocks[0], framed),
        ("tf.out", second, lambda x: x[-rows:]),
        ("input_blocks.0", network.input_blocks[0], lambda x: x[-rows:]),
    ]
    if len(network.input_blocks) > 3:  # more than the first layers
        outputs += [
            ("input_blocks.3", network.input_blocks[3], lambda x: x[-rows:]),
            ("middle_block.0", middle[0], lambda x: x[-rows:]),
            ("middle_block.1", middle[1], lambda x: x[-rows:]),
            ("output_blocks.2", network.output_blocks[2], lambda x: x[-rows:]),
        ]

    def keep(name: str, shape: Any) -> Any:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            found[name] = shape(output)

        return hook

    def before(module: nn.Module, args: Any) -> None:
        found["res.spatial"] = args[0][-1:]

    handles = [module.register_forward_hook(keep(name, shape)) for name, module, shape in outputs]
    handles.append(first.time_mix_blocks.register_forward_pre_hook(before))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
