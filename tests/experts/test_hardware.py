"""What is said of machines that are too small. The GPU is made up: torch is told what it would see."""

import pytest
import torch

from ar4d.experts import hardware
from ar4d.experts.hardware import GIB, is_out_of_memory, missing_gpu, missing_libraries, missing_memory
from ar4d.experts.lgm import LGM
from ar4d.experts.wan import WAN_2_2, Wan
from ar4d.experts.wan.memory import FITS, first_fit
from tests.weights.test_checkpoints import one_sentence


@pytest.fixture
def gpu(monkeypatch):
    def with_free(gib: float) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (int(gib * GIB), 8 * GIB))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Toy GPU")

    return with_free


def test_a_gpu_that_is_too_small_is_named_with_what_is_free(gpu):
    gpu(2.0)
    refusal = missing_gpu("LGM", "cuda", 4.0)
    assert refusal is not None
    assert refusal.reason == (
        "LGM needs 4 GiB of GPU memory and Toy GPU has 2.0 of 8.0 GiB free; free it, or take another expert."
    )
    assert missing_gpu("LGM", "cuda", 1.5) is None
    lgm, wan = LGM.available("cuda"), Wan.available(WAN_2_2, "cuda")
    assert lgm is not None
    assert "LGM needs" in lgm.reason
    assert wan is not None
    assert "Wan 2.2 TI2V 5B needs 9 GiB of GPU memory" in wan.reason


@pytest.mark.parametrize(
    ("model", "free", "fit"),
    [
        ("Wan 2.2 TI2V 5B", 78, "whole frames"),
        ("Wan 2.2 TI2V 5B", 22, "decoding in tiles"),
        ("Wan 2.2 TI2V 5B", 11, "block by block"),
        ("Wan 2.1 T2V 1.3B", 7.5, "prompt on the CPU, decoding in tiles"),
        ("Wan 2.1 T2V 1.3B", 1, FITS[-1].name),
        ("a model of somebody else's", 1, FITS[0].name),
    ],
)
def test_wan_begins_in_the_way_that_fits(gpu, model, free, fit):
    gpu(free)
    assert FITS[first_fit(model, torch.device("cuda"))].name == fit


def test_a_machine_with_too_little_memory(monkeypatch):
    class Little:
        available = 3 * GIB

    monkeypatch.setattr(hardware.psutil, "virtual_memory", Little)
    refusal = missing_memory("Wan", 14)
    assert refusal is not None
    assert "Wan needs 14 GiB of memory and 3.0 GiB is free; close other programs" in refusal.reason
    assert one_sentence(refusal.reason.replace("3.0", "3"))
    assert missing_memory("Wan", 2) is None


def test_packages_that_are_not_installed():
    refusal = missing_libraries("Wan", "torch", "nothing_of_that_name")
    assert refusal is not None
    assert (
        refusal.reason == "Wan needs nothing_of_that_name; install with `pip install nothing_of_that_name`."
    )
    assert missing_libraries("Wan", "torch") is None


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_a_full_memory_is_told_from_other_errors(error, full):
    assert is_out_of_memory(error) is full
