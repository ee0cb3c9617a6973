"""Attention: at each step a weighted sum of values, weighted by the fit of their keys to the step's query.

    q_t = W_q x_t + b_q;  k_s = W_k m_s + b_k;  v_s = W_v m_s + b_v      split into N heads of size K = D / N
    weights_ts = softmax_s(q_t · k_s / √K)                               in each head, over attended steps s
    context_t = Σ_s weights_ts v_s
    y_t = W_y [context_t of every head] + b_y

Self-attention attends to its own input, m = x: to all steps or, if causal, to steps s ≤ t. The state of causal
self-attention holds the keys and values of all steps so far (the key-value cache). Cross-attention attends to the
outputs of an encoder.

Grouped heads: N heads of queries share M ≤ N heads of keys and values, N / M each, in order; the state is then M / N as
large. Rotary positions (layers/position.py) turn queries and keys before their product; the state holds turned keys.

Vaswani et al., "Attention is all you need", 2017, equation 1 and section 3.2. There is no dropout of the weights.
Grouped heads: Ainslie et al., "GQA: training generalized multi-query Transformer models", 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled import shapes
from unrolled.eager import eager
from unrolled.errors import ConfigError
from unrolled.layers.cache import AttentionState, extended_state, initial_state
from unrolled.layers.layer import Layer
from unrolled.layers.mlp import Linear
from unrolled.layers.position import Rotary
from unrolled.state import State

__all__ = ["AttentionState", "CrossAttention", "SelfAttention", "attend", "weights"]


SHORT = 64  # number of keys up to which the definition is faster on a CPU than torch's blocks, forward and backward


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, causal: bool = False) -> Tensor:
    """Return the context of every query, (B, N, T, K).

    It is computed by torch's fused attention; for short sequences on a CPU, and in torch.export, where T and S may have
    any value, by the definition.

    Args:
        query: (B, N, T, K).
        key, value: (B, M, S, K), where N is a multiple of M.
        mask: (B, 1, T, S) or (B, 1, 1, S) bool, True where a query attends to a key, at least once for each query.
            None: every query attends to every key.
        causal: instead of a mask, each of T = S queries attends to its own step and those before it.
    """
    if torch.compiler.is_exporting() or (query.is_cpu and key.shape[2] <= SHORT):
        return per_group(weights(query, key, mask, causal=causal), value)
    if query.shape[2] == 1 and query.shape[1] != key.shape[1]:  # the queries of a group as steps: the keys, the cache,
        grouped = query.reshape(key.shape[0], key.shape[1], -1, query.shape[3])  # are not copied
        return F.scaled_dot_product_attention(grouped, key, value, mask).reshape(query.shape)
    N = query.shape[1]
    return F.scaled_dot_product_attention(query, repeated(key, N), repeated(value, N), mask, is_causal=causal)


def weights(query: Tensor, key: Tensor, mask: Tensor | None = None, *, causal: bool = False) -> Tensor:
    """Return the weights of the values in `attend`, (B, N, T, S), computed by the definition."""
    scores = per_group(query * query.shape[3] ** -0.5, key.transpose(2, 3))
    if causal:
        mask = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).tril()
    return (scores if mask is None else scores.masked_fill(~mask, float("-inf"))).softmax(dim=3)


def per_group(rows: Tensor, matrix: Tensor) -> Tensor:
    """Return the products of rows (B, N, T, A) of each head with the matrix (B, M, A, C) of its group: (B, N, T, C)."""
    B, N, T, A = rows.shape
    M, C = matrix.shape[1], matrix.shape[3]
    if M == N or not eager(rows, matrix):  # a recorded call with any T has simpler shapes with a matrix for each head
        return rows @ repeated(matrix, N)
    return (rows.reshape(B, M, N // M * T, A) @ matrix).view(B, N, T, C)


def repeated(key: Tensor, num_heads: int) -> Tensor:
    """Return the keys or values of N heads, from those of M groups: (B, M, S, K) -> (B, N, S, K)."""
    M = key.shape[1]
    return key if num_heads == M else key.repeat_interleave(num_heads // M, dim=1)


class SelfAttention(Layer):
    """Self-attention: every step attends to all steps or, if causal, to itself and the steps before it.

    Args:
        size: size D of x and y.
        num_heads: number N of heads.
        causal: whether a step attends only to itself and the steps before it.
        kv_heads: M, the number of heads of keys and values; default: N.
        rotary: whether rotary positions turn queries and keys.
        max_length: maximum length of a sequence with them; None: unlimited.

    State: AttentionState; () if not causal, because then a call is a whole sequence.

    Raises:
        ConfigError: num_heads does not divide the size, kv_heads not num_heads, or a head of size 1 is to be turned.
    """

    def __init__(
        self,
        size: int,
        num_heads: int,
        *,
        causal: bool,
        kv_heads: int | None = None,
        rotary: bool = False,
        max_length: int | None = None,
    ) -> None:
        super().__init__(size, size, causal=causal)
        self.num_heads, self.kv_heads = num_heads, kv_heads or num_heads
        refuse_uneven(size, num_heads, self.kv_heads)
        self.rotary = Rotary(size // num_heads, max_length=max_length) if rotary else None
        self.project = Linear(size, size + 2 * self.kv_heads * (size // num_heads))  # W_q above W_k above W_v
        self.output = Linear(size, size)

    def heads(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (B, N, T, K), keys and values (B, M, T, K) of x (B, T, D), turned by rotary positions."""
        N, M = self.num_heads, self.kv_heads
        heads = split(self.project(x), N + 2 * M)
        if self.rotary is None:
            query, key, value = heads[:, :N], heads[:, N : N + M], heads[:, N + M :]
        else:
            turned = self.rotary(heads[:, : N + M], state.length if state else None, lengths)
            query, key, value = turned[:, :N], turned[:, N:], heads[:, N + M :]
        return query, key, value

    def forward(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T, D) -> (B, T, D)."""
        shapes.check("x", x, "BTD", D=self.input_size)
        B, T, _ = x.shape
        shapes.check_lengths(lengths, B, T)
        query, key, value = self.heads(x, state, lengths)
        after, key, value, mask, causal = self._attended(key, value, state, lengths)
        context = attend(query, key, value, mask, causal=causal) if key.shape[2] else torch.zeros_like(query)
        y: Tensor = self.output(joined(context))
        return y if lengths is None else y.masked_fill(~shapes.real(lengths, T).unsqueeze(2), 0), after

    def weights(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> Tensor:
        """Return the weights of `forward`, (B, N, T, P), over all P steps; those of padded steps are undefined."""
        query, key, value = self.heads(x, state, lengths)
        _, key, _, mask, causal = self._attended(key, value, state, lengths)
        return weights(query, key, mask, causal=causal)

    def _attended(
        self, key: Tensor, value: Tensor, state: State, lengths: Tensor | None
    ) -> tuple[State, Tensor, Tensor, Tensor | None, bool]:
        """Return the state after new keys and values (B, M, T, K), all keys and values, `mask` and `causal`."""
        T = key.shape[2]
        if not self.causal:
            return (), key, value, None if lengths is None else length_mask(lengths, T), False
        if state is None:  # padding is on the right, where no real step attends to it
            return initial_state(key, value, lengths), key, value, None, True
        after, same_length = extended_state(state, key, value, lengths)
        if T == 1 and same_length:
            return after, after.key, after.value, None, False
        last = state.length[:, None] + torch.arange(T, device=key.device)  # (B, T): the last step that each attends to
        steps = torch.arange(after.key.shape[2], device=key.device)
        return after, after.key, after.value, (steps <= last[:, :, None]).unsqueeze(1), False

    def extra_repr(self) -> str:
        """Size, heads and direction, for repr()."""
        groups = "" if self.kv_heads == self.num_heads else f", kv_heads={self.kv_heads}"
        return f"{self.input_size}, num_heads={self.num_heads}{groups}, causal={self.causal}"


class CrossAttention(nn.Module):
    """Cross-attention: every step attends to the outputs of an encoder.

    Args:
        size: size D of x and y.
        source_size: size D of the encoder's outputs.
        num_heads: number N of heads.
        kv_heads: M, the number of heads of keys and values; default: N.

    Raises:
        ConfigError: num_heads does not divide the size, or kv_heads not num_heads.
    """

    def __init__(self, size: int, source_size: int, num_heads: int, *, kv_heads: int | None = None) -> None:
        super().__init__()
        self.num_heads, self.kv_heads = num_heads, kv_heads or num_heads
        refuse_uneven(size, num_heads, self.kv_heads)
        self.query = Linear(size, size)
        self.project = Linear(source_size, 2 * self.kv_heads * (size // num_heads))  # W_k above W_v
        self.output = Linear(size, size)

    def keys(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of an encoder's outputs (B, S, D), (B, M, S, K) each; needed once for a source."""
        key, value = split(self.project(outputs), 2 * self.kv_heads).chunk(2, dim=1)
        return key, value

    def forward(self, x: Tensor, key: Tensor, value: Tensor, lengths: Tensor) -> Tensor:
        """x (B, T, D), keys and values (B, M, S, K) of sources of lengths (B,) -> (B, T, D)."""
        query = split(self.query(x), self.num_heads)
        y: Tensor = self.output(joined(attend(query, key, value, length_mask(lengths, key.shape[2]))))
        return y

    def weights(self, x: Tensor, key: Tensor, lengths: Tensor) -> Tensor:
        """Return the weights of `forward`, (B, N, T, S)."""
        return weights(split(self.query(x), self.num_heads), key, length_mask(lengths, key.shape[2]))


def refuse_uneven(size: int, num_heads: int, kv_heads: int) -> None:
    """Refuse heads and groups of different sizes.

    Raises:
        ConfigError: `size` is not divisible by `num_heads`, or `num_heads` not by `kv_heads`; the message names
            the nearest sizes that are, or all numbers of groups.
    """
    if num_heads % kv_heads:
        divisors = ", ".join(str(divisor) for divisor in range(1, num_heads + 1) if not num_heads % divisor)
        raise ConfigError(f"kv_heads must divide num_heads, {num_heads}: got {kv_heads}; try one of {divisors}")
    if size % num_heads:
        below = size // num_heads * num_heads
        nearest = " or ".join(str(divisible) for divisible in (below, below + num_heads) if divisible)
        raise ConfigError(f"hidden_size must be divisible by num_heads: got {size} and {num_heads}; try {nearest}")


def split(x: Tensor, heads: int) -> Tensor:
    """Split the last axis into heads: (B, T, heads · K) -> (B, heads, T, K)."""
    B, T, size = x.shape
    return x.view(B, T, heads, size // heads).transpose(1, 2)


def joined(context: Tensor) -> Tensor:
    """Concatenate the heads: (B, N, T, K) -> (B, T, N · K)."""
    return context.transpose(1, 2).flatten(2)


def length_mask(lengths: Tensor, S: int) -> Tensor:
    """Return the mask of steps that may be attended to, (B, 1, 1, S), from lengths (B,).

    A sequence of length 0 is masked as if its length were 1, so that the softmax is defined; its output is never used.
    """
    return shapes.real(lengths.clamp(min=1), S)[:, None, None]
