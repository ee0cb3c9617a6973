"""Head and loss in chunks have the loss, the gradients and the state of the whole logits."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled import api
from unrolled.config import ModelConfig
from unrolled.models import Ids, Model, Pairs
from unrolled.state import leaves
from unrolled.training import Batch, chunked, generation, tagging
from unrolled.training.step import Step

V, B, T = 13, 3, 7
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gru": ("gru", {}),
    "feedforward": ("feedforward", {"window": 3}),
    "gpt": ("gpt", {"num_heads": 2, "window": 16}),
    "gpt, no bias": ("gpt", {"num_heads": 2, "window": 16, "head_bias": False}),
    "gpt, tied": ("gpt", {"num_heads": 2, "window": 16, "tied": True}),
    "attention": ("attention", {}),
    "encoder_decoder, tied": ("encoder_decoder", {"tied": True}),
    "transformer": ("transformer", {"num_heads": 2}),
}


def cut(monkeypatch: pytest.MonkeyPatch, positions: int) -> None:
    """Cut all batches into chunks of at most so many positions."""
    for name, value in {
        "WHOLE_BYTES": 0,
        "WHOLE_POSITIONS": 0,
        "CHUNK_POSITIONS": 1,
        "CHUNK_BYTES": 4 * V * positions,
    }.items():
        monkeypatch.setattr(chunked, name, value)


def built(name: str) -> tuple[Model, Batch]:
    kind, options = MODELS[name]
    torch.manual_seed(0)
    pairs = kind in ("attention", "encoder_decoder", "transformer")
    config = ModelConfig(embedding_size=8, hidden_size=8, dropout=0.3, **options)
    model = api.build(kind, Pairs(V, V) if pairs else Ids(V), V, config, answer="each").double()
    ids, targets, source = torch.randint(5, V, (3, B, T))
    targets[0, 4:] = generation.PAD  # not a target
    lengths = torch.full((B,), T)
    return model, Batch(ids, lengths, targets, B * T, B * T, source=source if pairs else None, source_lengths=lengths)


def computed(model: Model, batch: Batch, **options: Any) -> list[Tensor]:
    """Loss, plain loss, state and gradients of a third of the loss."""
    torch.manual_seed(1)  # of dropout
    model.zero_grad()
    loss = partial(generation.loss_nats, label_smoothing=0.1)
    nats, plain, state = Step(model, loss, plain_nats=generation.loss_nats, **options)(batch)
    (nats / 3).backward()
    return [nats.detach(), plain, *leaves(state), *(p.grad for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("name", MODELS)
def test_chunks_have_the_loss_and_the_gradients_of_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = built(name)
    expected = computed(model, batch)
    largest: list[int] = []
    linear = chunked.linear
    monkeypatch.setattr(chunked, "linear", lambda x, *weights: largest.append(len(x)) or linear(x, *weights))
    for positions in (1, 4, B * T - 1):
        cut(monkeypatch, positions)
        for ours, theirs in zip(computed(model, batch), expected, strict=True):
            torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-6, atol=1e-7)
        assert max(largest) <= positions, "no more logits are computed at a time"
        assert sum(largest) == B * T
        largest.clear()


@pytest.mark.parametrize("name", ["gru", "gpt, tied"])
def test_in_float32_by_the_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = built(name)
    model.float()
    expected = computed(model, batch)
    cut(monkeypatch, 5)
    for ours, theirs in zip(computed(model, batch), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = built("gru")
    model.float()
    expected = computed(model, batch, bf16=True)
    cut(monkeypatch, 5)
    for ours, theirs in zip(computed(model, batch, bf16=True), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2**-5, atol=2**-5)
        assert ours.dtype == theirs.dtype


def test_classes_with_weights_and_steps_without_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = built("gru")
    targets = batch.targets.clone()
    targets[:, ::2] = tagging.NO_WORD
    batch = batch._replace(targets=targets) if hasattr(batch, "_replace") else batch
    loss = partial(tagging.loss_nats, class_weights=torch.rand(V, dtype=torch.float64))
    model.eval()
    whole, _, _ = Step(model, loss)(batch)
    cut(monkeypatch, 1)
    torch.testing.assert_close(Step(model, loss)(batch)[0].double(), whole)


def test_frozen_weights_get_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = built("gru")
    cut(monkeypatch, 1)
    for p in model.head.parameters():  # type: ignore[union-attr]
        p.requires_grad_(False)
    computed(model, batch)
    assert all(p.grad is None for p in model.head.parameters())  # type: ignore[union-attr]
    assert model.embedding is not None
    assert model.embedding.weight.grad is not None


def test_small_vocabularies_and_few_positions_are_not_cut() -> None:
    assert chunked.chunk_of(100_000, 100) is None
    assert chunked.chunk_of(1_024, 10**6) is None
    assert chunked.chunk_of(4_096, 8_000) is None
    assert chunked.chunk_of(2_048, 50_000) == 158
    assert chunked.chunk_of(2_048, 10**6) == 128
