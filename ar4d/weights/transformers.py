"""Networks of the transformers library, loaded so that nothing stays at random values unnoticed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ar4d.errors import UserError
from ar4d.weights.loading import and_others, first_line, read_shapes


def load_pretrained(kind: Any, folder: Path, files: Sequence[Path], dtype: torch.dtype) -> Any:
    """A network of class `kind`, frozen, on the CPU.

    The library renames keys that older versions wrote, so what fits is for it to say; what it says is
    checked.

    Args:
        folder: holds `config.json` and the weights.
        files: the weights.

    Raises:
        UserError: a file cannot be read or does not fit; names the first keys and shapes.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # progress is an event, not a line on stderr
    for path in files:
        read_shapes(path)  # names a file that is cut short
    try:
        network, report = kind.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} cannot be loaded ({first_line(error)}); fetch it again.") from error
    complaints = []
    if missing := sorted(report["missing_keys"]):
        complaints.append(f"it lacks {missing[0]}{and_others(missing)}")
    if unknown := sorted(report["unexpected_keys"]):
        complaints.append(f"it has the unknown {unknown[0]}{and_others(unknown)}")
    if reshaped := sorted(report["mismatched_keys"]):
        key, found, expected = reshaped[0]
        shapes = f"{list(found)} instead of {list(expected)}"
        complaints.append(f"the shape of {key} is {shapes}{and_others(reshaped)}")
    if complaints:
        raise UserError(
            f"{folder} does not fit {kind.__name__}: {'; '.join(complaints)}; take the published files, or "
            "fetch them again."
        )
    return network.requires_grad_(False).eval()
