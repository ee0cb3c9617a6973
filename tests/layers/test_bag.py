import pytest
import torch

from unrolled.errors import ConfigError, ShapeError
from unrolled.layers import Bag


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_y_is_the_pool_so_far(pool: str) -> None:
    torch.manual_seed(0)
    bag, x = Bag(3, pool=pool), torch.randn(2, 4, 3)
    y, state = bag(x)
    for t in range(4):
        so_far = x[:, : t + 1].mean(1) if pool == "mean" else x[:, : t + 1].amax(1)
        torch.testing.assert_close(y[:, t], so_far)
    assert torch.equal(bag.summary(state), bag.summary(bag.absorb(x)))
    torch.testing.assert_close(bag.summary(state), y[:, -1])


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_padding_is_not_pooled_and_an_empty_sequence_is_zero(pool: str) -> None:
    x = -torch.ones(3, 4, 2)  # negative, so that a padded 0 would win a max
    x[:, 2:] = 7.0
    bag = Bag(2, pool=pool)
    y, state = bag(x, None, torch.tensor([2, 0, 1]))
    assert bag.summary(state).tolist() == [[-1, -1], [0, 0], [-1, -1]]
    assert not y[0, 2:].any()
    assert not y[1].any()


def test_options_and_shapes_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="got 'sum'"):
        Bag(3, pool="sum")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"x must have shape \(B, T, D=3\)"):
        Bag(3)(torch.zeros(2, 4))
    assert "pool='max'" in repr(Bag(3, pool="max"))
