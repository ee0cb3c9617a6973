"""Tensors of attention for a trace: queries, scores, weights and contexts, recomputed from the modules' inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.inside.recurrent import of_scan
from unrolled.inside.watch import Call
from unrolled.layers import Additive, Bahdanau, CrossAttention, Recurrent, Score, SelfAttention
from unrolled.layers.attention import repeated, split
from unrolled.layers.scores import softmax

__all__ = ["bahdanau_tensors", "cross_attention_tensors", "score_tensors", "self_attention_tensors"]


def score_tensors(score: Score, calls: list[Call]) -> dict[str, Tensor]:
    """Return the attention of a recurrent decoder in its T steps.

    Args:
        calls: calls of the attention, one for each step or one for all steps.
    """
    memory = calls[0].arguments["memory"]
    query = torch.cat([call.arguments["query"] for call in calls], dim=1)  # (1, T, H)
    scores = score.scores(query, memory)
    weights = softmax(scores, memory.real)
    tensors = {"query": query, "score": scores, "weights": weights, "context": weights @ memory.outputs}
    tensors |= {"outputs": memory.outputs, "key": memory.keys if isinstance(memory.keys, Tensor) else memory.outputs}
    if isinstance(score, Additive):
        tensors |= {"projected_query": score.query(query), "v": score.v.unsqueeze(0)}
    return {name: value[0] for name, value in tensors.items()}


def bahdanau_tensors(decoder: Bahdanau, calls: list[Call], scores: list[Call]) -> dict[str, Tensor]:
    """Return the tensors of the lowest layer of a decoder that attends before each of its steps.

    Args:
        scores: the calls of its score; their queries are the layer's h before each step.
    """
    (call,) = calls
    attention = score_tensors(decoder.score, scores)
    lowest = decoder.layers.layers[0]
    assert isinstance(lowest, Recurrent)
    x = torch.cat([call.arguments["x"], attention["context"].unsqueeze(0)], dim=2)
    final = lowest.summary(call.returned[1].layers[0]).unsqueeze(1)
    y = torch.cat([attention["query"].unsqueeze(0)[:, 1:], final], dim=1)
    return of_scan(lowest.cell, x, y, call.arguments["state"].layers[0], zoneout=lowest.scan_zoneout)


def self_attention_tensors(attention: SelfAttention, calls: list[Call]) -> dict[str, Tensor]:
    """Return the attention of each step; causal attention includes the earlier steps in the layer's state."""
    (call,) = calls
    query, key, value = attention.heads(*(call.arguments[name] for name in ("x", "state", "lengths")))
    if attention.causal:
        key, value = call.returned[1].key, call.returned[1].value
    T, P = query.shape[2], key.shape[2]
    mask = torch.ones(T, P, dtype=torch.bool, device=query.device)
    return _head_tensors(query, key, value, mask.tril(P - T) if attention.causal else mask)


def cross_attention_tensors(attention: CrossAttention, calls: list[Call]) -> dict[str, Tensor]:
    """Return the attention of each step to the source."""
    (call,) = calls
    query = split(attention.query(call.arguments["x"]), attention.num_heads)
    return _head_tensors(query, call.arguments["key"], call.arguments["value"])


def _head_tensors(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
    """Return the tensors of N heads, without the batch axis.

    Args:
        query: (1, N, T, K).
        key, value: (1, M, P, K); each head has those of its group.
        mask: (T, P) bool, True where a step may attend; None: all.
    """
    key, value = (repeated(each, query.shape[1]) for each in (key, value))
    score = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
    score = score if mask is None else score.masked_fill(~mask, -torch.inf)
    weights = score.softmax(dim=3)
    tensors = {"query": query, "key": key, "value": value, "score": score, "weights": weights}
    return {name: each[0] for name, each in (tensors | {"context": weights @ value}).items()}
