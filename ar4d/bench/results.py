"""What a benchmark has measured: a file per object, variant and seed, so that processes never share one."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import ar4d
from ar4d.errors import UserError
from ar4d.files import atomic, write_text

HEADER = "bench.json"
FEATURES = ".safetensors"
"""Suffix of the file with the features of set metrics."""
PACKAGES = ("torch", "numpy", "numba", "scipy", "gsplat", "transformers", "diffusers")


@dataclass(frozen=True, order=True)
class Pair:
    """One measurement: an object in a variant with a seed."""

    variant: str
    name: str
    seed: int

    def path(self, out: Path) -> Path:
        """Its file of numbers; features and pictures lie beside it."""
        variant = self.variant.replace(":", "-")
        return out / "pairs" / variant / self.name / f"seed-{self.seed}.json"


def open_results(out: Path, facts: Mapping[str, Any], command: str) -> None:
    """Begins a benchmark, or goes on with one that was made with the same facts.

    Args:
        facts: what must not differ between the pairs: frames, size, preset, protocols.
        command: the one that runs now; it is noted.

    Raises:
        UserError: the folder holds results of other facts, or cannot be read.
    """
    path = out / HEADER
    header = read_header(out) if path.exists() else {"facts": dict(facts), "commands": [], **surroundings()}
    if header["facts"] != dict(facts):
        raise UserError(f"{out} holds results of other settings or frames: choose another --out.")
    if command not in header["commands"]:
        header["commands"].append(command)
    write_text(path, json.dumps(header, indent=1))


def read_header(out: Path) -> dict[str, Any]:
    """
    Raises:
        UserError: the folder holds no benchmark, or its header is damaged.
    """
    return _read(out / HEADER, "name the folder that `ar4d bench run` wrote")


def write_pair(out: Path, pair: Pair, result: Mapping[str, Any], features: Mapping[str, Tensor]) -> None:
    """Writes a measurement; the file of numbers comes last, so that it stands for the whole."""
    path = pair.path(out)
    if features:
        with atomic(path.with_suffix(FEATURES)) as temporary:
            save_file({name: value.cpu().contiguous() for name, value in features.items()}, temporary)
    write_text(path, json.dumps({"pair": vars(pair), **result}, indent=1))


def read_pairs(out: Path) -> dict[Pair, dict[str, Any]]:
    """All measurements, ordered.

    Raises:
        UserError: a file is damaged.
    """
    found = {}
    for path in sorted((out / "pairs").glob("*/*/seed-*.json")):
        result = _read(path, "delete it and run the benchmark again")
        found[Pair(**result["pair"])] = result
    return dict(sorted(found.items()))


def read_features(out: Path, pair: Pair) -> dict[str, Tensor]:
    """The features of set metrics as written, {"PROTOCOL/METRIC/found" or ".../truth": [N, D]}."""
    path = pair.path(out).with_suffix(FEATURES)
    if not path.exists():
        return {}
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and its .json, and run again.") from error


def surroundings() -> dict[str, Any]:
    """The machine and the versions that figures were measured with."""
    return {"machine": machine(), "python": platform.python_version(), "versions": _versions()}


def machine() -> str:
    """The GPU, or else the processor and its number of cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def _versions() -> dict[str, str]:
    found = {"ar4d": ar4d.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); {remedy}.") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} is no record of a benchmark; {remedy}.")
    return values
