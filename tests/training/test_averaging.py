"""The average of the weights against its formula."""

import torch
from torch import nn

from unrolled.training.averaging import Average


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
