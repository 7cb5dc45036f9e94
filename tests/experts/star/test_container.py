"""DPC-KNN and the merging of clusters, against plain loops in float64."""

import math
from dataclasses import replace

import pytest
import torch

from ar4d.experts.star.config import STARS
from ar4d.experts.star.container import Container, density_peak_clusters, merged

CONFIG = STARS["test"]


def clusters_by_loops(x: torch.Tensor, count: int, neighbours: int, groups: list[int]) -> list[int]:
    """DPC-KNN in O(N²) float64, with ties in favour of the earlier token."""
    points = x.double().tolist()
    size, width = len(points), len(points[0])
    far = [[math.dist(a, b) / math.sqrt(width) for b in points] for a in points]
    density = []
    for i in range(size):
        own = sorted(far[i][j] for j in range(size) if groups[j] == groups[i])[:neighbours]
        density.append(math.exp(-sum(d * d for d in own) / len(own)))
    largest = max(max(row) for row in far)
    apart = []
    for i in range(size):
        denser = [
            far[i][j] for j in range(size) if density[j] > density[i] or (density[j] == density[i] and j < i)
        ]
        apart.append(min(denser, default=largest))
    ranked = sorted(range(size), key=lambda i: -density[i] * apart[i])[:count]
    cluster = [min(range(count), key=lambda c: far[ranked[c]][i]) for i in range(size)]
    for place, centre in enumerate(ranked):
        cluster[centre] = place
    return cluster


@pytest.mark.parametrize("seed", range(3))
def test_clusters_agree_with_a_loop_in_float64(seed):
    torch.manual_seed(seed)
    x, groups = torch.randn(2, 40, 6), torch.arange(40) // 10
    found = density_peak_clusters(x, 7, 4, groups)
    for row in range(2):
        assert found[row].tolist() == clusters_by_loops(x[row], 7, 4, groups.tolist())


def test_separate_blobs_become_the_clusters():
    torch.manual_seed(0)
    centres = 20 * torch.eye(5, 8)
    blob = torch.arange(60) % 5
    x = centres[blob] + 0.1 * torch.randn(60, 8)
    found = density_peak_clusters(x[None], 5, 4)[0]
    assert len(found.unique()) == 5
    for k in range(5):
        assert len(found[blob == k].unique()) == 1


def test_a_cluster_becomes_the_mean_weighted_by_its_scores():
    torch.manual_seed(0)
    x, score, cluster = (
        torch.randn(1, 9, 3),
        3 * torch.randn(1, 9),
        torch.tensor([[0, 1, 2, 0, 1, 2, 0, 0, 1]]),
    )
    found = merged(x, score, cluster, 3)[0].double()
    for k in range(3):
        own = [i for i in range(9) if int(cluster[0, i]) == k]
        weights = [math.exp(float(score[0, i])) for i in own]
        mean = torch.tensor(weights).double() @ x[0, own].double() / sum(weights)
        assert torch.allclose(found[k], mean, atol=1e-5)


@pytest.mark.parametrize(("history", "expected"), [("container", 6), ("pooled", 6), ("all", 30), ("none", 0)])
def test_the_history_has_the_length_of_its_kind(history, expected):
    torch.manual_seed(0)
    container = Container(replace(CONFIG, history=history))
    states = container(torch.randn(2, 30, CONFIG.width), torch.arange(30) // 10)
    assert states.shape == (2, expected, CONFIG.width)


def test_scores_learn_through_the_merging():
    torch.manual_seed(0)
    container = Container(CONFIG)
    container(torch.randn(1, 30, CONFIG.width), torch.zeros(30)).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in container.score.parameters() if p.dim() > 1)
