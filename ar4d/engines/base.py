"""What an engine is: a method that turns a clip into a 4D asset."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from ar4d.asset import Asset4D
from ar4d.clip import Clip
from ar4d.events import Event, Role, StageInfo
from ar4d.gaussians import Gaussians
from ar4d.settings import EngineSettings

Experts = Mapping[Role, Any]
"""Experts given as objects, by role; each has the methods of its role (see `ar4d.experts.protocols`)."""


@runtime_checkable
class Engine(Protocol):
    """A method. `ar4d.engines.registry` knows all engines by name.

    The run folder, the command line, the page and the viewer know an engine by its plan, its events and
    its asset alone.
    """

    @property
    def name(self) -> str:
        """The tag of its settings."""
        ...

    @property
    def settings_type(self) -> type[EngineSettings]:
        """A frozen dataclass that extends `EngineSettings` and whose `engine` defaults to `name`."""
        ...

    def plan(self, settings: Any, num_frames: int, given: Collection[Role] = ()) -> tuple[StageInfo, ...]:
        """The stages of a run, in order, with their titles and numbers of steps.

        Args:
            given: the roles of experts that are given as objects.
        """
        ...

    def check(self, settings: Any, experts: Experts) -> None:
        """Finds out at once what `run` would only find out later.

        Raises:
            UserError: an expert or the device asked for is unavailable.
        """
        ...

    def run(
        self, clip: Clip, settings: Any, finished: Sequence[Gaussians], experts: Experts
    ) -> Generator[Event, None, Asset4D]:
        """Makes the asset.

        Args:
            clip: the frames, at `settings.size`.
            settings: of `settings_type`.
            finished: frames of an interrupted run of the same clip and settings: the first ones of
                `clip.order`.
            experts: those given as objects; the settings name the others.

        Yields:
            Events. Each frame's Gaussians come as `FrameFinished`, in the order of `clip.order`; the last
            event is `Finished`.

        Raises:
            UserError: the device or an expert is unavailable, or memory runs out.
        """
        ...
