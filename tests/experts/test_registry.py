import pytest
import torch

from ar4d.errors import UserError
from ar4d.experts import registry
from ar4d.experts.embedded import Embedded
from ar4d.experts.protocols import Unavailable
from ar4d.experts.registry import Entry, require
from ar4d.experts.silhouette import Silhouette
from tests.support.plugins import registries as registries  # a fixture

CPU = torch.device("cpu")


@pytest.mark.parametrize("role", ["image_to_gaussians", "views_to_gaussians"])
def test_without_a_gpu_the_embedded_expert_is_taken_and_the_reason_told(role):
    entry, reason = require(role, "auto", CPU)
    assert isinstance(entry.build(CPU), Embedded)
    assert "needs an NVIDIA GPU" in reason


def test_an_expert_that_cannot_run_is_refused_by_name():
    with pytest.raises(UserError, match=r"lgm.*cannot run here.*needs an NVIDIA GPU"):
        require("views_to_gaussians", "lgm", CPU)


def test_an_expert_has_to_play_the_role():
    with pytest.raises(
        UserError,
        match=r"""no expert .lgm. for image_to_gaussians.*auto, imagedream-lgm, embedded, silhouette""",
    ):
        require("image_to_gaussians", "lgm", CPU)


def test_the_first_that_can_run_is_taken(registries):
    def entry(name, obstacle):
        return Entry(name, ("views_to_gaussians",), "", lambda device: obstacle, lambda device: Silhouette())

    registry.register(entry("best", Unavailable("best has no weights.")))
    registry.register(entry("good", None))
    taken, reason = require("views_to_gaussians", "auto", CPU)
    assert taken.name == "good"
    assert "best has no weights" in reason
