"""Prompt → clip: an expert generates several seeds, the gate judges each, the best one is kept."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from ar4d.clip import ClipSettings, load_clip
from ar4d.clip.framing import FILL
from ar4d.errors import UserError
from ar4d.events import ClipJudged, Event, ExpertChosen, Progress, Role, Warned
from ar4d.experts.preparing import prepare
from ar4d.experts.protocols import OnProgress, VideoFrames, VideoRequest
from ar4d.experts.registry import require
from ar4d.files import write_text
from ar4d.formats import write_frames
from ar4d.imagine import prompts
from ar4d.imagine.gate import GateLimits, Verdict, explain_refusal, judge
from ar4d.reporting import Report, reporting

Route = Literal["direct", "picture-first"]
SUBJECT_SHARE = 0.6  # of a given picture's height in the clip: room to move
FRAME_RANGE = (5, 241)


@dataclass(frozen=True)
class ImagineSettings:
    """How a prompt becomes a clip."""

    expert: str = "auto"
    """Which expert generates the clip; auto takes the best that runs here."""
    seeds: int = 3
    """How many clips are made; the gate picks the best."""
    first_seed: int = 0
    route: Route = "direct"
    """direct: prompt → clip. picture-first: prompt → picture, cut out, on white → clip."""
    gate: bool = True
    """Refuse clips that cannot be lifted well; off: take the best as it is."""
    num_frames: int | None = None
    """Frames of the clip; by default as many as the expert's authors advise."""
    steps: int | None = None
    """Steps of the sampler; by default as many as the expert's authors advise."""


@dataclass(frozen=True, eq=False)
class Imagined:
    """The clip that was taken, and how it came about."""

    footage: VideoFrames
    prompt: str
    seed: int
    experts: dict[str, str]  # role: name
    verdicts: dict[int, Verdict]  # of every seed
    settings: ImagineSettings


def imagine(
    prompt: str,
    settings: ImagineSettings,
    device: torch.device,
    picture: Path | None = None,
    limits: GateLimits | None = None,
) -> Generator[Event, None, Imagined]:
    """Makes a clip of what the prompt says, or of a picture.

    Args:
        prompt: what the clip shows; with a picture what happens, and it may be empty.
        picture: an image file of one subject, which is cut out and set in motion.

    Yields:
        The expert, its progress, what the gate says to each clip.

    Raises:
        UserError: nothing can be made here, or the gate refused every clip.
    """
    _check(settings)
    request = prompts.motion_prompt(prompt) if picture is not None else prompts.clip_prompt(prompt)
    experts: dict[str, str] = {}
    generate = yield from _director(prompt, request, settings, device, picture, experts)
    clips: dict[int, VideoFrames] = {}
    verdicts: dict[int, Verdict] = {}
    for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
        clips[seed] = yield from _generated(generate, seed, settings)
        verdicts[seed] = judge(clips[seed].frames, limits)
        yield ClipJudged(seed, verdicts[seed].accepted, verdicts[seed].message)
    best = _choose(verdicts, settings)
    yield (
        Warned(_choice_sentence(best, verdicts))
        if not verdicts[best].accepted
        else ClipJudged(best, True, _choice_sentence(best, verdicts))
    )
    return Imagined(clips[best], prompt, best, experts, verdicts, settings)


Generate = Callable[[int, OnProgress], tuple[VideoFrames, list[str]]]
"""Makes the clip of a seed; with it come sentences about what had to be made smaller."""


def _director(
    prompt: str,
    request: str,
    settings: ImagineSettings,
    device: torch.device,
    picture: Path | None,
    experts: dict[str, str],
) -> Generator[Event, None, Generate]:
    """Chooses the experts and says how a seed becomes a clip."""
    given = _Options(request, prompts.CLIP_NEGATIVE, settings)
    if picture is None and settings.route == "direct":
        video_expert = yield from _expert("text_to_video", settings.expert, device, experts)

        def generate(seed: int, on_progress: OnProgress) -> tuple[VideoFrames, list[str]]:
            return video_expert.generate_video(given.request(seed), on_progress), _warnings(video_expert)

        return generate
    image_expert = None
    if picture is None:
        # Asked for before anything is painted: the clip is what is wanted.
        require("image_to_video", settings.expert, device)
        image_expert = yield from _expert("text_to_image", settings.expert, device, experts)
        words = _Options(prompts.picture_prompt(prompt), prompts.PICTURE_NEGATIVE, settings)
    motion_expert = yield from _expert("image_to_video", settings.expert, device, experts, image_expert)
    cut = None if picture is None else subject_of(picture)

    def generate(seed: int, on_progress: OnProgress) -> tuple[VideoFrames, list[str]]:
        subject = cut
        if subject is None:
            assert image_expert is not None
            subject = cut_out(
                image_expert.generate_image(words.request(seed), on_progress), f"the picture of seed {seed}"
            )
        size = motion_expert.size_of(given.request(seed))
        footage = motion_expert.animate(staged(subject, *size), given.request(seed), on_progress)
        return footage, _warnings(motion_expert)

    return generate


@dataclass(frozen=True)
class _Options:
    prompt: str
    negative: str
    settings: ImagineSettings

    def request(self, seed: int) -> VideoRequest:
        return VideoRequest(
            self.prompt,
            self.negative,
            seed,
            num_frames=self.settings.num_frames,
            steps=self.settings.steps,
        )


def _expert(
    role: Role, name: str, device: torch.device, experts: dict[str, str], at_work: Any = None
) -> Generator[Event, None, Any]:
    """Builds the expert for a role; `at_work`, which has one already, is taken if it is the same."""
    entry, reason = require(role, name, device)
    same = at_work is not None and entry.name in experts.values()
    if not same:
        yield from prepare(entry)
    expert = at_work if same else entry.build(device)
    experts[role] = entry.name
    yield ExpertChosen(role, entry.name, reason)
    return expert


def _generated(
    generate: Generate, seed: int, settings: ImagineSettings
) -> Generator[Event, None, VideoFrames]:
    place = f"seed {seed} ({seed - settings.first_seed + 1} of {settings.seeds})"

    def work(report: Report) -> tuple[VideoFrames, list[str]]:
        return generate(seed, lambda task, done, total: report(Progress(f"{place}: {task}", done, total)))

    footage, warnings = yield from reporting(work)
    for sentence in warnings:
        yield Warned(sentence)
    return footage


def _warnings(expert: Any) -> list[str]:
    """What an expert had to make smaller since the last time it was asked."""
    sentences: list[str] = list(getattr(expert, "warnings", ()))
    if sentences:
        expert.warnings.clear()
    return sentences


def _choose(verdicts: dict[int, Verdict], settings: ImagineSettings) -> int:
    accepted = [seed for seed, verdict in verdicts.items() if verdict.accepted]
    if not accepted and settings.gate:
        raise UserError(explain_refusal(list(verdicts.values())))
    return min(accepted or verdicts, key=lambda seed: verdicts[seed].penalty)


def _choice_sentence(best: int, verdicts: dict[int, Verdict]) -> str:
    accepted = sum(verdict.accepted for verdict in verdicts.values())
    if not accepted:
        return f"No clip passed the gate; seed {best} comes nearest and is taken as it is."
    return f"Taken: {accepted} of {len(verdicts)} clips passed and this one leaves its limits the most room."


def _check(settings: ImagineSettings) -> None:
    if not 1 <= settings.seeds <= 20:
        raise UserError(f"Between 1 and 20 seeds can be tried, not {settings.seeds}.")
    least, most = FRAME_RANGE
    if settings.num_frames is not None and not least <= settings.num_frames <= most:
        raise UserError(f"A clip has between {least} and {most} frames, not {settings.num_frames}.")
    if settings.steps is not None and not 1 <= settings.steps <= 200:
        raise UserError(f"The sampler takes between 1 and 200 steps, not {settings.steps}.")


def subject_of(path: Path) -> np.ndarray:
    """The subject of an image file as RGBA [S, S, 4] uint8.

    Raises:
        UserError: the file cannot be read, or shows no subject.
    """
    return load_clip(path, ClipSettings(num_frames=1), size=768).frames[0]


def cut_out(picture: np.ndarray, name: str) -> np.ndarray:
    """The same of a picture [H, W, 3] uint8 that was painted here."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.png"
        Image.fromarray(picture).save(path)
        return subject_of(path)


def staged(subject: np.ndarray, width: int, height: int) -> np.ndarray:
    """A subject [S, S, 4] in the middle of a white picture [height, width, 3] uint8, with room to move."""
    side = max(1, round(min(width, height) * SUBJECT_SHARE / FILL))
    light = subject.astype(np.float32) / 255
    on_white = light[..., :3] * light[..., 3:] + 1 - light[..., 3:]
    square = Image.fromarray((on_white * 255).round().astype(np.uint8))
    canvas = Image.new("RGB", (width, height), "white")
    small = square.resize((side, side), Image.Resampling.LANCZOS)
    canvas.paste(small, ((width - side) // 2, (height - side) // 2))
    return np.asarray(canvas)


def save(imagined: Imagined, path: Path) -> None:
    """Writes the clip (.mp4 or .gif) and, beside it, how it was made (the same name, .json).

    Raises:
        UserError: the place cannot be written to.
    """
    write_frames(imagined.footage.frames, path, imagined.footage.fps)
    facts = {
        "prompt": imagined.prompt,
        "seed": imagined.seed,
        "experts": imagined.experts,
        "settings": dataclasses.asdict(imagined.settings),
        "verdicts": {
            str(seed): {"accepted": verdict.accepted, "message": verdict.message}
            for seed, verdict in imagined.verdicts.items()
        },
    }
    write_text(path.with_suffix(".json"), json.dumps(facts, indent=1, ensure_ascii=False))


def experts_of(clip: Path) -> dict[str, str]:
    """Which experts made a clip that `save` wrote, role: name; empty for every other file."""
    try:
        facts = json.loads(clip.with_suffix(".json").read_text(encoding="utf-8"))
        return {str(role): str(name) for role, name in facts["experts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
