"""Attention scores between a decoder's query and each of the encoder's outputs, and the resulting context.

    score_tj = v · tanh(W_q query_t + W_k o_j + b)        additive        Bahdanau, Cho & Bengio 2015
    score_tj = query_t · o_j                              dot             Luong, Pham & Manning 2015
    score_tj = query_t · W_k o_j                          general         Luong, Pham & Manning 2015

    weights_t = softmax_j score_tj                        over the real j
    context_t = Σ_j weights_tj o_j

The term that does not depend on the query, W_k o_j + b, is a source's `keys`; it is computed once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.errors import ConfigError
from unrolled.kernels.attention import attend, can_attend
from unrolled.layers.memory import Memory
from unrolled.layers.mlp import Linear

__all__ = ["Additive", "Dot", "General", "Score", "softmax"]


class Score(nn.Module):
    """Base of the scores. A call computes weights and context from a query and a memory.

    Args:
        query_size: size H of the query.
        memory_size: size D of the encoder's outputs.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query_size, self.memory_size = query_size, memory_size

    def keys(self, outputs: Tensor) -> Tensor | tuple[()]:
        """Return the terms that depend on the source alone, outputs (B, S, D) -> (B, S, A), or () if there are none."""
        raise NotImplementedError(f"{type(self).__name__} must define keys(outputs)")

    def scores(self, query: Tensor, memory: Memory) -> Tensor:
        """Return the scores (B, T, S) of query (B, T, H) and a memory with its keys."""
        raise NotImplementedError(f"{type(self).__name__} must define scores(query, memory)")

    def forward(self, query: Tensor, memory: Memory, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights (B, T, S) and context (B, T, D).

        Args:
            query: (B, T, H).
            memory: the memory with its keys.
            real: (B, S), `memory.real`, True at least once in each sequence.
        """
        weights = softmax(self.scores(query, memory), real)
        return weights, weights @ memory.outputs


class Additive(Score):
    """The additive score: a feedforward network with one hidden layer and one output.

    Args:
        query_size: size H of the query.
        memory_size: size D of the encoder's outputs.
        size: A, the number of hidden units.
    """

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__(query_size, memory_size)
        self.key = Linear(memory_size, size)
        self.query = Linear(query_size, size, bias=False)
        self.v = nn.Parameter(torch.empty(size).uniform_(-(size**-0.5), size**-0.5))

    def keys(self, outputs: Tensor) -> Tensor:
        """Return W_k o_j + b."""
        keys: Tensor = self.key(outputs)
        return keys

    def scores(self, query: Tensor, memory: Memory) -> Tensor:
        """Return v · tanh(W_q query_t + key_j)."""
        a: Tensor = (self.query(query).unsqueeze(2) + memory.keys.unsqueeze(1)).tanh()  # (B, T, S, A)
        return a @ self.v

    def forward(self, query: Tensor, memory: Memory, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and context; see `Score.forward`. A single step is computed by our own kernel."""
        if query.shape[1] != 1 or not can_attend(query, memory.keys, self.v, memory.outputs):
            return super().forward(query, memory, real)
        projected = self.query(query).squeeze(1)
        weights, context = attend(projected, memory.keys, self.v, memory.outputs, memory.lengths)
        return weights.unsqueeze(1), context.unsqueeze(1)


class Dot(Score):
    """The dot score: the inner product of query and output, which have the same size.

    Raises:
        ConfigError: their sizes differ.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        if query_size != memory_size:
            raise ConfigError(
                f'score "dot" needs a decoder state and encoder outputs of equal size: got {query_size} and '
                f'{memory_size}; use score "general", or an encoder that is not bidirectional'
            )
        super().__init__(query_size, memory_size)

    def keys(self, outputs: Tensor) -> tuple[()]:
        """Return (): the query is compared with the outputs themselves."""
        return ()

    def scores(self, query: Tensor, memory: Memory) -> Tensor:
        """Return query_t · o_j."""
        scores: Tensor = query @ memory.outputs.transpose(1, 2)
        return scores


class General(Score):
    """The general score: the inner product of the query and a linear map of the output."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        self.key = Linear(memory_size, query_size, bias=False)

    def keys(self, outputs: Tensor) -> Tensor:
        """Return W_k o_j."""
        keys: Tensor = self.key(outputs)
        return keys

    def scores(self, query: Tensor, memory: Memory) -> Tensor:
        """Return query_t · key_j."""
        scores: Tensor = query @ memory.keys.transpose(1, 2)
        return scores


def softmax(scores: Tensor, real: Tensor) -> Tensor:
    """Return the weights (B, T, S) of scores (B, T, S), which sum to 1 over the real steps (B, S); others are 0."""
    return scores.masked_fill(~real.unsqueeze(1), -torch.inf).softmax(dim=2)
