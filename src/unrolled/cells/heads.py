"""Pieces that cells with matrices as their state share: heads, unit length, norm, short convolution.

    heads        (…, N·K) -> (…, N, K)
    unit(x)      x / √(Σ x² + ε)                                       over the K numbers of a head
    rms(x; γ)    γ ⊙ x / √(mean(x²) + ε)                               over the last axis
    convolved_t  Σ_j w_j ⊙ u_{t−n+1+j}                                 w (n, C): a filter for each of C channels
    window_t     u_{t−n+2}, …, u_t                                     the n − 1 vectors that the next step needs

The matrix S of a head is (K, V): it is written as k vᵀ and read as Sᵀ q. Papers that write v kᵀ have its transpose.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.cells.cell import glorot_
from unrolled.errors import ConfigError

__all__ = [
    "EPS",
    "convolved",
    "head_size",
    "heads",
    "outer",
    "pushed",
    "read",
    "rms",
    "start_",
    "start_convolution_",
    "unit",
]

EPS = 1e-6


def head_size(hidden_size: int, num_heads: int) -> int:
    """Return K, the size of each of N heads.

    Raises:
        ConfigError: num_heads does not divide hidden_size.
    """
    if num_heads < 1 or hidden_size % num_heads:
        near = sorted(
            {max(1, hidden_size // max(1, num_heads)) * num_heads, -(-hidden_size // max(1, num_heads)) * num_heads}
        )
        raise ConfigError(
            f"hidden_size must be divisible by num_heads: got {hidden_size} and {num_heads}; "
            f"try {' or '.join(map(str, near))}"
        )
    return hidden_size // num_heads


def heads(x: Tensor, num_heads: int) -> Tensor:
    """(…, N·K) -> (…, N, K)."""
    return x.view(*x.shape[:-1], num_heads, -1)


def unit(x: Tensor) -> Tensor:
    """Return x (…, K) at length 1."""
    return x * (x.square().sum(dim=-1, keepdim=True) + EPS).rsqrt()


def rms(x: Tensor, gain: Tensor) -> Tensor:
    """Return x (…, K) divided by the root of its mean square, times the gain γ (K,) or (N, K)."""
    return gain * x * (x.square().mean(dim=-1, keepdim=True) + EPS).rsqrt()


def outer(k: Tensor, v: Tensor) -> Tensor:
    """Return k vᵀ: (…, K), (…, V) -> (…, K, V)."""
    return k.unsqueeze(-1) @ v.unsqueeze(-2)


def read(S: Tensor, q: Tensor) -> Tensor:
    """Return Sᵀ q: (…, K, V), (…, K) -> (…, V)."""
    return (q.unsqueeze(-2) @ S).squeeze(-2)


def convolved(u: Tensor, window: Tensor, weight: Tensor) -> Tensor:
    """Return the convolution at the step of u.

    Args:
        u: (…, C), the vector of the step.
        window: (…, n − 1, C), those before it, the oldest first.
        weight: w (n, C).
    """
    return (window * weight[:-1]).sum(dim=-2) + u * weight[-1]


def pushed(window: Tensor, u: Tensor) -> Tensor:
    """Return the window after u: without its oldest vector, u last."""
    return torch.cat([window, u.unsqueeze(-2)], dim=-2)[..., 1:, :]


@torch.no_grad()
def start_(weight: Tensor, parts: list[int]) -> None:
    """Fill (Σ parts, D) in place with Glorot weights, each part as a matrix of its own."""
    for part in torch.split(weight, parts):
        glorot_(part, gates=1)


@torch.no_grad()
def start_convolution_(weight: nn.Parameter) -> None:
    """Fill (n, C) in place with U(−a, a), a = 1 / √n, as a convolution of one channel each in torch."""
    bound = weight.shape[0] ** -0.5
    weight.uniform_(-bound, bound)
