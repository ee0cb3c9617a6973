"""What attention looked at: queries, scores, weights and contexts, by the definition, from what went in."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.inside.recurrent import of_scan
from unrolled.inside.watch import Call
from unrolled.layers import Additive, Bahdanau, CrossAttention, Recurrent, Score, SelfAttention
from unrolled.layers.attention import split
from unrolled.layers.scores import softmax

__all__ = ["of_bahdanau", "of_cross", "of_score", "of_self"]


def of_score(score: Score, calls: list[Call]) -> dict[str, Tensor]:
    """Return what a recurrent decoder looked at in each of its T steps, one call a step or one for all."""
    memory = calls[0].given["memory"]
    query = torch.cat([call.given["query"] for call in calls], dim=1)  # (1, T, H)
    scores = score.scores(query, memory)
    weights = softmax(scores, memory.real)
    found = {"query": query, "score": scores, "weights": weights, "context": weights @ memory.outputs}
    found |= {"outputs": memory.outputs, "key": memory.keys if isinstance(memory.keys, Tensor) else memory.outputs}
    if isinstance(score, Additive):
        found |= {"asked": score.query(query), "v": score.v.unsqueeze(0)}
    return {name: value[0] for name, value in found.items()}


def of_bahdanau(decoder: Bahdanau, calls: list[Call], scores: list[Call]) -> dict[str, Tensor]:
    """Return the tensors of a decoder's lowest layer, which takes its steps one by one: h is what it asks with next."""
    (call,) = calls
    looked = of_score(decoder.score, scores)
    lowest = decoder.layers.layers[0]
    assert isinstance(lowest, Recurrent)
    x = torch.cat([call.given["x"], looked["context"].unsqueeze(0)], dim=2)
    final = lowest.summary(call.returned[1].layers[0]).unsqueeze(1)
    y = torch.cat([looked["query"].unsqueeze(0)[:, 1:], final], dim=1)
    return of_scan(lowest.cell, x, y, call.given["state"].layers[0], zoneout=lowest.scan_zoneout)


def of_self(attention: SelfAttention, calls: list[Call]) -> dict[str, Tensor]:
    """Return what each step looked at, of all that a causal one has in its state too."""
    (call,) = calls
    query, key, value = attention.heads(call.given["x"])
    if attention.causal:
        key, value = call.returned[1].key, call.returned[1].value
    T, P = query.shape[2], key.shape[2]
    mask = torch.ones(T, P, dtype=torch.bool, device=query.device)
    return _looked(query, key, value, mask.tril(P - T) if attention.causal else mask)


def of_cross(attention: CrossAttention, calls: list[Call]) -> dict[str, Tensor]:
    """Return what each step looked at of the source."""
    (call,) = calls
    query = split(attention.query(call.given["x"]), attention.num_heads)
    return _looked(query, call.given["key"], call.given["value"])


def _looked(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
    """Query (1, N, T, K), key and value (1, N, P, K), and which steps (T, P) may be looked at; None: all."""
    score = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
    score = score if mask is None else score.masked_fill(~mask, -torch.inf)
    weights = score.softmax(dim=3)
    found = {"query": query, "key": key, "value": value, "score": score, "weights": weights}
    return {name: each[0] for name, each in (found | {"context": weights @ value}).items()}
