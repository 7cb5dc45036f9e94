"""Splatt3R in miniature, and its checkpoint in the layout that Lightning and OmegaConf wrote."""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ar4d.experts.splatt3r.config import CHECKPOINT, WEIGHTS, Splatt3rConfig
from ar4d.experts.splatt3r.network import Splatt3rNetwork
from tests.support.toy_networks import hashed, hashed_weights

TOY = Splatt3rConfig(
    enc_embed_dim=32,
    enc_depth=2,
    enc_num_heads=2,
    dec_embed_dim=24,
    dec_depth=12,
    dec_num_heads=3,
    mlp_ratio=2,
    dpt_layer_dims=(8, 8, 12, 16),
    dpt_feature_dim=16,
    dpt_last_dim=8,
)


@cache
def _weights() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        network = Splatt3rNetwork(TOY)
    return hashed_weights(network)


def toy_splatt3r(dtype: torch.dtype = torch.float32) -> Splatt3rNetwork:
    network = Splatt3rNetwork(TOY).to(dtype)
    network.load_state_dict({key: value.to(dtype) for key, value in _weights().items()})
    return network.eval().requires_grad_(False)


def published_state() -> dict[str, torch.Tensor]:
    """The toy's weights under the published names, with all that the published file holds besides."""
    state = {f"encoder.{key}": value.float() for key, value in _weights().items()}
    state["encoder.mask_token"] = hashed("mask", (1, 1, TOY.dec_embed_dim)).float()
    for head in ("downstream_head1", "downstream_head2"):
        for layer in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"):
            state[f"encoder.{head}.head_local_features.{layer}"] = torch.zeros(3)
        for dpt in ("dpt", "gaussian_dpt.dpt"):
            scratch = f"encoder.{head}.{dpt}.scratch"
            for level in range(4):  # the same tensor under a second name
                state[f"{scratch}.layer_rn.{level}.weight"] = state[f"{scratch}.layer{level + 1}_rn.weight"]
            for layer in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"):
                state[f"{scratch}.refinenet4.resConfUnit1.{layer}"] = torch.zeros(3)
    state["lpips_criterion.scaling_layer.shift"] = torch.zeros(1, 3, 1, 1)
    state["lpips_criterion.lin0.model.1.weight"] = torch.zeros(1, 64, 1, 1)
    return state


def save_splatt3r(folder: Path, state: dict[str, torch.Tensor] | None = None) -> Path:
    """Writes `folder/<repository>/<checkpoint>` and returns it."""
    path = folder / WEIGHTS.repo / CHECKPOINT
    path.parent.mkdir(parents=True, exist_ok=True)
    with _omegaconf() as settings:
        torch.save(
            {
                "epoch": 19,
                "global_step": 1200,
                "pytorch-lightning_version": "2.3.2",
                "state_dict": collections.OrderedDict(published_state() if state is None else state),
                "loops": {"fit_loop": {"state_dict": {}}},
                "callbacks": {},
                "optimizer_states": [{"state": {0: {"step": torch.tensor(1200.0)}}, "param_groups": []}],
                "lr_schedulers": [{"milestones": collections.Counter({3: 1})}],
                "hparams_name": "config",
                "hyper_parameters": settings,
            },
            path,
        )
    return path


@contextmanager
def _omegaconf() -> Iterator[dict[str, Any]]:
    """Settings whose pickle names OmegaConf's classes, without that package."""
    names = {
        "omegaconf.dictconfig": ["DictConfig"],
        "omegaconf.listconfig": ["ListConfig"],
        "omegaconf.base": ["ContainerMetadata", "Metadata"],
        "omegaconf.nodes": ["AnyNode"],
    }
    modules = {"omegaconf": ModuleType("omegaconf"), **{name: ModuleType(name) for name in names}}
    for module, classes in names.items():
        for name in classes:
            setattr(modules[module], name, type(name, (), {"__module__": module}))
    absent = object()
    before = {name: sys.modules.get(name, absent) for name in modules}
    sys.modules.update(modules)
    try:
        yield {"opt": _node(modules, "omegaconf.dictconfig.DictConfig")}
    finally:
        for name, module in before.items():
            if module is absent:
                del sys.modules[name]
            else:
                sys.modules[name] = module  # pyright: ignore[reportArgumentType]


def _node(modules: dict[str, ModuleType], name: str) -> Any:
    """An object of a class of OmegaConf with members as that package pickles them."""

    def make(name: str, **members: Any) -> Any:
        module, _, kind = name.rpartition(".")
        node = getattr(modules[module], kind)()
        node.__dict__.update(members)
        return node

    leaf = make("omegaconf.nodes.AnyNode", _val=1e-5, _metadata=make("omegaconf.base.Metadata", ref_type=Any))
    metadata = make(
        "omegaconf.base.ContainerMetadata",
        ref_type=Any,
        object_type=dict,
        element_type=int,
        resolver_cache=collections.defaultdict(dict),
    )
    rows = make("omegaconf.listconfig.ListConfig", _content=[leaf], _metadata=metadata)
    return make(name, _content={"lr": leaf, "resolution": rows}, _metadata=metadata)
