"""STAR: shift positional encoding, causality, cached keys, histories."""

from dataclasses import replace

import pytest
import torch

from ar4d.experts.star.config import CODECS, STARS
from ar4d.experts.star.history import context_of
from ar4d.experts.star.rays import pluecker
from ar4d.experts.star.sampling import GroupSteps, Sampler, sample_group
from ar4d.experts.star.transformer import Star

CODEC, CONFIG = CODECS["test"], STARS["test"]
FRAMES = 7


@pytest.fixture(scope="module")
def star() -> Star:
    torch.manual_seed(0)
    network = Star(CODEC, CONFIG).eval()
    torch.nn.init.normal_(network.out.weight, std=0.5)
    torch.nn.init.normal_(network.embedding.weight, std=0.5)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def codes() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randint(CODEC.entries, (1, FRAMES, CODEC.views, CODEC.tokens, CODEC.codebooks))


def context(codes, frame, config=CONFIG):
    return context_of(codes[:, :, 0], codes[:, :, 1:].flatten(2, 3), frame, CODEC, config)


@pytest.mark.parametrize("frame", [0, 1, 5])
def test_cached_keys_give_the_logits_of_the_whole_sequence(star, codes, frame):
    group = star.ordered(codes[:, frame])
    whole = star(context(codes, frame), group)
    steps, previous = GroupSteps(star, context(codes, frame)), None
    for i in range(star.group_length):
        wanted = iter(group[:, i].T)
        previous = steps.next(previous, lambda logits, wanted=wanted: next(wanted))
        assert steps.logits is not None
        assert torch.allclose(steps.logits, whole[:, i], atol=1e-4)


def test_a_ray_moves_the_logits_of_the_token_that_lies_on_it(star, codes):
    group, i = star.ordered(codes[:, 3]), 9
    rays = pluecker(CODEC, torch.device("cpu"))[1:].flatten(0, 1)[[*range(star.group_length)]]
    before = star(context(codes, 3), group, rays=rays)
    changed = rays.clone()
    changed[i + 1] += 1.0
    after = star(context(codes, 3), group, rays=changed)
    assert torch.equal(before[:, : i + 1], after[:, : i + 1])
    assert float((before[:, i + 1] - after[:, i + 1]).abs().max()) > 1e-3


def test_a_code_moves_only_what_follows(star, codes):
    group, i = star.ordered(codes[:, 3]), 9
    changed = group.clone()
    changed[:, i, 0] = (changed[:, i, 0] + 1) % CODEC.entries
    before, after = star(context(codes, 3), group), star(context(codes, 3), changed)
    assert torch.equal(before[:, :i], after[:, :i])
    assert torch.equal(before[:, i, 0], after[:, i, 0])  # the code itself, before it is known
    assert not torch.equal(before[:, i, 1], after[:, i, 1])  # the next codebook knows it
    assert not torch.equal(before[:, i + 1], after[:, i + 1])


def test_a_guess_moves_the_logits_of_its_own_token(codes):
    torch.manual_seed(0)
    star = Star(CODEC, replace(CONFIG, guess=True)).eval().requires_grad_(False)
    torch.nn.init.normal_(star.out.weight, std=0.5)
    star.start_from(torch.nn.functional.normalize(torch.randn(CODEC.codebooks, CODEC.entries, 4), dim=-1))
    group, i = star.ordered(codes[:, 3]), 9
    guess = star.ordered(codes[:, 2])
    known = replace(context(codes, 3), guess=guess)
    changed = guess.clone()
    changed[:, i] = (changed[:, i] + 1) % CODEC.entries
    before, after = star(known, group), star(replace(known, guess=changed), group)
    assert torch.equal(before[:, :i], after[:, :i])
    assert float((before[:, i] - after[:, i]).abs().max()) > 1e-3
    steps = GroupSteps(star, known)
    previous = None
    for k in range(i + 1):
        wanted = iter(group[:, k].T)
        previous = steps.next(previous, lambda logits, wanted=wanted: next(wanted))
    assert steps.logits is not None
    assert torch.allclose(steps.logits, before[:, i], atol=1e-4)
    with pytest.raises(ValueError, match="lacks"):
        star(context(codes, 3), group)
    torch.nn.init.zeros_(star.out.weight)  # untrained, it repeats the guess
    assert torch.equal(star(known, group).argmax(-1), guess)


def test_like_codes_start_with_like_embeddings():
    torch.manual_seed(0)
    star = Star(CODEC, CONFIG)
    books = torch.nn.functional.normalize(torch.randn(CODEC.codebooks, CODEC.entries, 4), dim=-1)
    books[1, 3] = torch.nn.functional.normalize(books[1, 2] + 0.01, dim=-1)
    star.start_from(books)
    rows = star.embedding.weight.view(CODEC.codebooks, CODEC.entries, -1)
    apart = torch.cdist(rows[1], rows[1])
    assert float(apart[2, 3]) < 0.1 * float(apart[2].sum() / (CODEC.entries - 1))


def test_groups_are_in_the_order_of_their_distance_and_come_back_by_view(star, codes):
    group = star.ordered(codes[:, 2])
    assert star.group_views[:: CODEC.tokens].tolist() == [1, 3, 2]
    assert torch.equal(star.by_view(group), codes[:, 2, 1:])


def test_the_history_holds_the_first_the_latest_and_the_next_frames_of_the_clip(codes):
    first, later = context(codes, 0), context(codes, 5)
    assert sorted(set(first.frames.tolist())) == [1]
    assert sorted(set(later.frames.tolist())) == [-5, -2, -1, 1]
    assert torch.equal(later.given, codes[:, 5, 0])
    ahead = later.codes[:, later.frames == 1]
    assert torch.equal(ahead, codes[:, 6, 0])
    latest = later.codes[:, later.frames == -1]
    assert torch.equal(latest, codes[:, 4].flatten(1, 2))


def test_the_future_of_the_unseen_views_is_unknown(star, codes):
    changed = codes.clone()
    changed[:, 3:, 1:] = 0
    group = star.ordered(codes[:, 3])
    assert torch.equal(star(context(codes, 3), group), star(context(changed, 3), group))


def test_sampling_follows_its_seed_and_its_settings(star, codes):
    def drawn(seed: int, sampler: Sampler) -> torch.Tensor:
        return sample_group(star, context(codes, 2), sampler, torch.Generator().manual_seed(seed))

    free = Sampler()
    assert torch.equal(drawn(0, free), drawn(0, free))
    assert not torch.equal(drawn(0, free), drawn(1, free))
    greedy = drawn(0, Sampler(temperature=0))
    assert torch.equal(greedy, drawn(1, Sampler(temperature=0)))
    assert torch.equal(star(context(codes, 2), greedy).argmax(-1), greedy)


def test_top_p_leaves_out_the_tail():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    random = torch.Generator().manual_seed(0)
    drawn = {int(Sampler(top_p=0.6).draw(logits, random)) for _ in range(200)}
    assert drawn == {0, 1}
    assert {int(Sampler(top_p=1.0).draw(logits, random)) for _ in range(400)} == {0, 1, 2, 3}
