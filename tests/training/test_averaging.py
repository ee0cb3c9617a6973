"""Averages of the weights against their formulas."""

import math

import torch
from torch import nn

from unrolled.training.averaging import Average, BestModels
from unrolled.training.progress import Progress


def test_it_is_its_formula() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    average = Average(model, 0.5)
    wanted = model.weight.detach().clone()
    for update in range(1, 20):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        average.add(update)
        d = min(0.5, (1 + update) / (10 + update))
        wanted = wanted + (1 - d) * (model.weight.detach() - wanted)
        assert torch.allclose(average.tensors()["weight"], wanted, rtol=0, atol=1e-14)


def test_it_stands_in_the_place_of_the_weights_for_a_while() -> None:
    model = nn.Linear(3, 2)
    average = Average(model, 0.9)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.fill_(7)
    with average.applied():
        assert torch.equal(model.weight, before)
    assert bool((model.weight == 7).all())
    assert torch.equal(average.tensors()["weight"], before)


def test_it_goes_on_from_what_it_was() -> None:
    model = nn.Linear(3, 2)
    first, second = Average(model, 0.9), Average(model, 0.9)
    with torch.no_grad():
        model.weight.add_(1)
    first.add(1)
    second.restore(first.tensors())
    first.add(2)
    second.add(2)
    assert torch.equal(first.tensors()["weight"], second.tensors()["weight"])


def ranked(progress: Progress, figure: float, update: int) -> int | None:
    progress.update = update
    return progress.rank(figure, 2)


def test_the_best_evaluations_are_ranked_the_later_of_equal_ones_first() -> None:
    progress = Progress(updates=9)
    places = [ranked(progress, figure, update) for update, figure in enumerate((-3.0, -2.0, -4.0, -2.0, -3.0), 1)]
    assert places == [0, 0, None, 0, None]
    assert [(each.figure, each.update) for each in progress.ranking] == [(-2.0, 4), (-2.0, 2)]
    assert ranked(progress, -math.inf, 6) is ranked(progress, math.nan, 7) is None


def test_the_mean_is_that_of_the_weights_of_the_best() -> None:
    model, progress = nn.Linear(3, 2).double(), Progress(updates=9)
    model.register_buffer("count", torch.tensor(0))
    best, seen = BestModels(2), []
    for update, figure in enumerate((0.5, 0.9, 0.1, 0.7), 1):
        with torch.no_grad():
            model.weight.normal_()
            model.count.fill_(update)
        seen.append(model.weight.detach().clone())
        progress.update = update
        best.add(progress, figure, model)
    mean = best.mean()
    torch.testing.assert_close(mean["weight"], (seen[1] + seen[3]) / 2)
    assert int(mean["count"]) == 2, "of the best"
    assert best.tensors().keys() == {"best_0", "best_1"}
