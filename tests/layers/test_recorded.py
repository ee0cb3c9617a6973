"""Recorded calls hold for other lengths than those that were recorded: no value is taken for a constant."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from unrolled.layers import Embedding, Position, SelfAttention

B, T, MORE, D = 3, 5, 4, 8
LENGTHS = [  # of a first call and of its continuation
    ([5, 2, 3], [1, 4, 0]),
    ([1, 2, 3], [4, 1, 1]),
    ([5, 5, 5], [4, 4, 4]),
    ([0, 1, 5], [0, 4, 2]),
]


def trace(function: Callable[..., tuple[Tensor, ...]], *arguments: Tensor) -> Callable[..., tuple[Tensor, ...]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecation
        return torch.jit.trace(function, arguments)


def proxies(function: Callable[..., tuple[Tensor, ...]], *arguments: Tensor) -> Callable[..., tuple[Tensor, ...]]:
    return make_fx(function)(*arguments)


@pytest.mark.parametrize("record", [trace, proxies])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: SelfAttention(D, 2, causal=True),
        lambda: SelfAttention(D, 2, causal=True, kv_heads=1, rotary=True),
        lambda: Position(D),
        lambda: Position(D, "learned", max_length=12),
    ],
    ids=["attention", "rotary", "sinusoidal", "learned"],
)
@torch.no_grad()
def test_lengths_are_no_constants(record: Callable[..., Callable[..., tuple[Tensor, ...]]], layer: object) -> None:
    torch.manual_seed(0)
    module: nn.Module = layer().requires_grad_(False)
    x, more = torch.randn(B, T, D), torch.randn(B, MORE, D)

    def run(x: Tensor, lengths: Tensor, more: Tensor, continuation: Tensor) -> tuple[Tensor, ...]:
        if isinstance(module, Position):
            return module(x, None, lengths), module(more, lengths, continuation)
        y, state = module(x, None, lengths)
        again, state = module(more, state, continuation)
        step, state = module(x[:, :1], state)
        return y, again, step, state.length

    pairs = [(torch.tensor(first), torch.tensor(second)) for first, second in LENGTHS]
    recorded = record(run, x, pairs[0][0], more, pairs[0][1])
    for first, second in pairs:
        for one, other in zip(recorded(x, first, more, second), run(x, first, more, second), strict=True):
            torch.testing.assert_close(one, other)


def test_ids_out_of_range_are_named_in_eager_calls_only() -> None:
    embedding = Embedding(4, 3)
    batch = torch.func.vmap(embedding)(torch.zeros(2, 1, 3, dtype=torch.long))
    assert batch.shape == (2, 1, 3, 3)
