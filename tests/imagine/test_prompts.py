import pytest

from ar4d.errors import UserError
from ar4d.imagine import prompts


def test_the_camera_is_locked_and_the_subject_alone():
    words = prompts.clip_prompt("  a red fox\n walking. ")
    assert words.startswith("A red fox walking. The whole subject is in the frame")
    assert "tripod" in words
    assert "Plain white background" in words
    assert "pan" in prompts.CLIP_NEGATIVE


def test_the_word_static_is_not_held_against_the_camera():
    """静态 in Wan's own negative prompt works against a locked camera; a still picture is another thing."""
    assert "静态" not in prompts.CLIP_NEGATIVE
    assert "static" not in prompts.CLIP_NEGATIVE
    assert "静止不动的画面" in prompts.CLIP_NEGATIVE


def test_a_picture_prompt_says_nothing_of_motion():
    assert "tripod" not in prompts.picture_prompt("a fox")
    assert prompts.motion_prompt(" ").startswith("The subject moves in a natural way")


@pytest.mark.parametrize(
    ("prompt", "said"), [(" .", "The prompt is empty"), ("x" * 1001, "has 1001 characters")]
)
def test_bad_prompts_are_sentences(prompt, said):
    with pytest.raises(UserError, match=said):
        prompts.clip_prompt(prompt)
