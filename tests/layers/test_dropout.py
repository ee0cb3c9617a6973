import math

import pytest
import torch
from torch import nn

from tolerances import CHANCE_SIGMAS
from unrolled.layers import Dropout
from unrolled.layers.dropout import keep_mask


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 0.01])
def test_the_share_is_dropped_and_the_rest_scaled(rate: float) -> None:
    torch.manual_seed(0)
    mask = keep_mask(torch.zeros(0), (501, 503), rate)
    n = mask.numel()
    assert abs(float((mask == 0).double().mean()) - rate) < CHANCE_SIGMAS * math.sqrt(rate * (1 - rate) / n)
    assert torch.equal(mask.unique(), torch.tensor([0, 1 / (1 - rate)]))


@pytest.mark.parametrize("lag", [1, 2, 3, 4])
def test_neighbours_are_independent_though_four_are_cut_from_one_draw(lag: int) -> None:
    torch.manual_seed(0)
    kept = (keep_mask(torch.zeros(0), (400_000,), 0.5) > 0).double() * 2 - 1
    assert abs(float((kept[lag:] * kept[:-lag]).mean())) < CHANCE_SIGMAS / math.sqrt(400_000)


def test_it_follows_from_the_seed_for_any_size() -> None:
    for n in (0, 1, 3, 4, 5, 17):
        torch.manual_seed(5)
        first = keep_mask(torch.zeros(0), (n,), 0.5)
        torch.manual_seed(5)
        assert torch.equal(first, keep_mask(torch.zeros(0), (n,), 0.5))


def test_variational_is_one_mask_for_all_steps() -> None:
    torch.manual_seed(0)
    y = Dropout(0.5, variational=True)(torch.ones(3, 4, 50))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert not torch.equal(y[0], y[1])
    y = Dropout(0.5)(torch.ones(3, 4, 50))
    assert not torch.equal(y[:, 0], y[:, 1])


def test_nothing_happens_in_eval_mode_or_at_share_0() -> None:
    x = torch.randn(2, 3, 4)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert repr(nn.Sequential(Dropout(0.5))).count("0.5, variational=False") == 1


def test_gradients_pass_where_x_did() -> None:
    torch.manual_seed(0)
    x = torch.ones(10, 10, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
