"""Words that keep the camera still and the subject alone.

No paper gives such a prompt; these follow from what stage 2 needs: one subject, all of it in the
picture, nothing behind it, a camera that does not move.
"""

from __future__ import annotations

from ar4d.errors import UserError

CLIP_WORDS = (
    "The whole subject is in the frame, centred, with free space all around it. Plain white background. "
    "Locked-off camera on a tripod, fixed viewpoint, one continuous shot, even light."
)
PICTURE_WORDS = (
    "The whole subject, centred, with free space all around it, on a plain white background. Even light."
)
CLIP_NEGATIVE = (
    "camera motion, pan, tilt, zoom, dolly, orbit, handheld shake, cut, scene change, close-up, cropped "
    "subject, several subjects, crowd, floor, cast shadow, busy background, text, subtitles, watermark, "
    "blur, low quality, deformed, extra limbs, still picture, 静止不动的画面"
)
"""Against a moving camera, company and a still picture.

Wan's own negative prompt lists 静态, "static", which works against a locked camera: it is left out.
静止不动的画面, "a picture that stands still", is kept: it is about the subject.
"""
PICTURE_NEGATIVE = (
    "close-up, cropped subject, several subjects, crowd, floor, cast shadow, busy background, text, "
    "watermark, blur, low quality, deformed, extra limbs"
)
MAX_LENGTH = 1000  # characters of what the user writes


def clip_prompt(prompt: str) -> str:
    """What an expert is asked for a clip; `prompt` is the user's.

    Raises:
        UserError: there are no words, or too many.
    """
    return f"{_checked(prompt)}. {CLIP_WORDS}"


def picture_prompt(prompt: str) -> str:
    """What an expert is asked for the picture that a clip begins with; see `clip_prompt`."""
    return f"{_checked(prompt)}. {PICTURE_WORDS}"


def motion_prompt(prompt: str) -> str:
    """What an expert is asked to do with a given picture; an empty prompt leaves the motion to it."""
    return clip_prompt(prompt if prompt.strip() else "The subject moves in a natural way, on the spot")


def _checked(prompt: str) -> str:
    words = " ".join(prompt.split()).rstrip(".!?,;: ")
    if not words:
        raise UserError('The prompt is empty: say what the clip shows, as in "a red fox walking".')
    if len(words) > MAX_LENGTH:
        raise UserError(f"The prompt has {len(words)} characters and {MAX_LENGTH} are read: shorten it.")
    return words[0].upper() + words[1:]
