"""The codebooks: UniTok's rule, gradients that pass through, restarts."""

import torch
import torch.nn.functional as F

from ar4d.experts.star.codebooks import COMMITMENT, Codebooks
from ar4d.experts.star.config import CODECS

CONFIG = CODECS["test"]


def books(seed: int = 0) -> Codebooks:
    torch.manual_seed(seed)
    return Codebooks(CONFIG)


def test_the_codebooks_own_vectors_come_back_as_their_codes():
    quantiser = books()
    codes = torch.randint(CONFIG.entries, (3, 7, CONFIG.codebooks))
    found = quantiser(quantiser.decode(codes))
    assert torch.equal(found.codes, codes)
    assert torch.allclose(found.vectors, quantiser.decode(codes), atol=1e-6)
    assert float(found.loss.detach()) < 1e-10


def test_every_chunk_takes_the_most_similar_vector_of_its_own_book():
    quantiser = books()
    z = torch.randn(5, CONFIG.codebooks * CONFIG.code_width, dtype=torch.float64)
    codes = quantiser(z.float()).codes
    total = 0.0
    for row in range(5):
        for book in range(CONFIG.codebooks):
            own = quantiser.books[book].detach().double()
            chunk = z[row, book * CONFIG.code_width : (book + 1) * CONFIG.code_width]
            cosine = [float(F.cosine_similarity(chunk, code, dim=0)) for code in own]
            best = max(range(CONFIG.entries), key=cosine.__getitem__)
            assert int(codes[row, book]) == best
            total += float((F.normalize(chunk, dim=0) - F.normalize(own[best], dim=0)).square().mean())
    expected = (1 + COMMITMENT) * total / (5 * CONFIG.codebooks)
    assert abs(float(quantiser(z.float()).loss.detach()) - expected) < 1e-5


def test_gradients_pass_straight_through():
    quantiser = books()
    z = torch.randn(4, CONFIG.codebooks * CONFIG.code_width, requires_grad=True)
    weight = torch.randn(4, CONFIG.codebooks * CONFIG.code_width)
    (quantiser(z).vectors * weight).sum().backward()
    unit = z.detach().clone().requires_grad_()
    (quantiser.chunks(unit).flatten(-2) * weight).sum().backward()
    assert z.grad is not None
    assert unit.grad is not None
    assert torch.allclose(z.grad, unit.grad, atol=1e-6)


def test_dead_codes_are_restarted_from_the_batch_and_live_ones_stay():
    quantiser = books()
    z = torch.randn(400, CONFIG.codebooks * CONFIG.code_width)
    assert (
        quantiser.restart_dead(z, quantiser(z).codes) == CONFIG.codebooks * CONFIG.entries
    )  # the first batch
    used = len(quantiser(z).codes[:, 0].unique())
    assert used > CONFIG.entries * 0.8
    one = z[:1].expand(400, -1)  # a single vector for long: all other codes die
    alive = quantiser(one).codes[0]
    kept = quantiser.books.detach().clone()
    for _ in range(200):
        quantiser.used.mul_(0.95)
    quantiser.used[torch.arange(CONFIG.codebooks), alive] = 4
    moved = quantiser.restart_dead(one, quantiser(one).codes)
    assert moved == CONFIG.codebooks * (CONFIG.entries - 1)
    for book in range(CONFIG.codebooks):
        assert torch.equal(quantiser.books[book, alive[book]], kept[book, alive[book]])


def test_fitted_codes_are_the_centres_of_what_there_is():
    quantiser = books()
    centres = F.normalize(torch.randn(CONFIG.codebooks, CONFIG.entries, CONFIG.code_width), dim=-1)
    which = torch.randint(CONFIG.entries, (3000, CONFIG.codebooks))
    z = centres[torch.arange(CONFIG.codebooks), which] + 0.01 * torch.randn(3000, 2, CONFIG.code_width)
    before = float(quantiser(z.flatten(1)).loss.detach())
    quantiser.fit(z.flatten(1), generator=torch.Generator().manual_seed(0))
    found = quantiser(z.flatten(1))
    assert float(found.loss.detach()) < 0.3 * before
    assert all(len(found.codes[:, k].unique()) > 0.9 * CONFIG.entries for k in range(CONFIG.codebooks))
    one = z[:1].flatten(1).expand(50, -1)  # fewer vectors than codes
    quantiser.fit(one)
    assert float(quantiser(one).loss.detach()) < 1e-6
    assert quantiser.restart_dead(one, quantiser(one).codes) == 0  # no code is dead at once


def test_nearest_codes_are_sorted_by_similarity_and_exclude_the_code():
    quantiser = books()
    nearest = quantiser.nearest(3)
    units = quantiser.unit_books()[1].detach()
    for code in (0, 5):
        others = sorted(set(range(CONFIG.entries)) - {code}, key=lambda k: -float(units[code] @ units[k]))
        assert nearest[1, code].tolist() == others[:3]
