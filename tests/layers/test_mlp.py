import math

import pytest
import torch

from unrolled.errors import ConfigError
from unrolled.layers import MLP, Head


def test_it_is_its_equation() -> None:
    torch.manual_seed(0)
    gelu_tanh = lambda a: a / 2 * (1 + ((2 / math.pi) ** 0.5 * (a + 0.044715 * a**3)).tanh())  # noqa: E731
    silu = lambda a: a / (1 + (-a).exp())  # noqa: E731
    for name, phi in (("relu", torch.relu), ("tanh", torch.tanh), ("gelu_tanh", gelu_tanh), ("silu", silu)):
        mlp = MLP([3, 5, 4], nonlinearity=name)
        x = torch.randn(2, 3)
        first, second = mlp.steps[0], mlp.steps[3]
        expected = phi(phi(x @ first.weight.T + first.bias) @ second.weight.T + second.bias)
        torch.testing.assert_close(mlp(x), expected)
        assert mlp.output_size == 4


def test_dropout_follows_every_layer_in_training() -> None:
    torch.manual_seed(0)
    mlp = MLP([3, 50], dropout=0.5)
    x = torch.randn(2, 3)
    assert not torch.equal(mlp(x), mlp(x))
    assert torch.equal(mlp.eval()(x), mlp(x))


def test_an_unknown_nonlinearity_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of tanh, relu, gelu, gelu_tanh, silu: got 'gulp'"):
        MLP([3, 5], nonlinearity="gulp")


def test_a_head_starts_as_torch_does_and_without_bias() -> None:
    torch.manual_seed(0)
    head = Head(100, 7)
    assert 0.09 < float(head.weight.detach().abs().max()) <= 0.1
    assert not head.bias.any()
