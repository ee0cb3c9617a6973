"""A training step is one call of one module, and the loop reads its loss back once an update."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from unrolled import api
from unrolled.config import ModelConfig, TrainingConfig
from unrolled.models import Features, Ids, Model, Pairs
from unrolled.state import leaves
from unrolled.training import Batch, Score, Trainer, generation, loss_nats
from unrolled.training.step import Step

V = 11  # tokens


def model_of(name: str, hidden: int = 5) -> Model:
    torch.manual_seed(3)
    return api.build(name, Ids(V), 2, ModelConfig(embedding_size=6, hidden_size=hidden, dropout=0))


class Fixed:
    """The same batches in every epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def count(self, epoch: int) -> int:
        return len(self.batches)

    def batch(self, epoch: int, index: int) -> Batch:
        return self.batches[index]


def chunk(seed: int, *, continues: bool) -> Batch:
    ids = torch.randint(5, V, (3, 4), generator=torch.Generator().manual_seed(seed))
    return Batch(ids, None, torch.tensor([0, 1, 0]), 3, ids.numel(), continues=continues)


def test_it_returns_the_summed_nats_and_a_detached_state() -> None:
    model, b = model_of("gru"), chunk(0, continues=False)
    nats, plain, state = Step(model, loss_nats)(b)
    logits, expected = model(b.inputs)
    assert torch.equal(nats, loss_nats(logits, b.targets))
    assert nats.requires_grad
    assert torch.equal(plain, nats)
    assert not plain.requires_grad
    assert not any(leaf.requires_grad for leaf in leaves(state))
    assert all(torch.equal(a, b) for a, b in zip(leaves(state), leaves(expected), strict=True))


def test_only_a_batch_that_continues_begins_with_the_state_it_is_passed() -> None:
    step = Step(model_of("gru"), loss_nats)
    _, _, state = step(chunk(0, continues=False))
    first, second = chunk(1, continues=False), chunk(1, continues=True)
    assert torch.equal(step(first, state)[0], step(first)[0])
    assert not torch.equal(step(second, state)[0], step(second)[0])


def test_the_source_is_encoded_in_the_same_call() -> None:
    """Hooks see the calls of a module, so every parameter must get its gradient from one call of the step."""
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=6, hidden_size=5, dropout=0)
    model = api.build("attention", Pairs(9, 9), 9, config, answer="each")
    draw = torch.Generator().manual_seed(1)
    ids, source = torch.randint(5, 9, (2, 4), generator=draw), torch.randint(5, 9, (2, 3), generator=draw)
    lengths = torch.tensor([3, 2])
    b = Batch(ids, None, ids, 8, 14, source=source, source_lengths=lengths)
    calls = []
    step = Step(model, generation.loss_nats)
    step.register_forward_hook(lambda *_: calls.append(1))
    nats, _, _ = step(b)
    nats.backward()
    assert len(calls) == 1
    assert all(p.grad is not None for p in model.parameters())
    logits, _ = model(ids, model.encode(source, lengths))
    assert torch.equal(nats, generation.loss_nats(logits, ids))


def test_in_bf16_the_loss_and_the_state_are_float32() -> None:
    model, b = model_of("elman", hidden=16), chunk(0, continues=False)
    (full, _, _), (half, _, state) = Step(model, loss_nats)(b), Step(model, loss_nats, bf16=True)(b)
    assert half.dtype == torch.float32
    assert all(leaf.dtype == torch.float32 for leaf in leaves(state))
    assert not torch.equal(full, half)
    torch.testing.assert_close(full, half, rtol=2**-7, atol=0)


class Reads(TorchDispatchMode):
    """Counts the numbers that are read back from a device."""

    count = 0

    def __torch_dispatch__(self, func: object, types: object, args: tuple[object, ...] = (), kwargs: object = None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_the_number_of_reads_does_not_grow_with_the_batches_of_an_update() -> None:
    """With features, since an embedding on the CPU reads the range of its ids."""
    found = set()
    for accumulate in (1, 4):
        inputs = torch.randn(4, 3, 5, 2, generator=torch.Generator().manual_seed(0))
        batches = [Batch(x, None, torch.tensor([0, 1, 0]), 3, 15) for x in inputs]
        model = api.build("gru", Features(2), 2, ModelConfig(hidden_size=5))
        config = TrainingConfig(updates=3, accumulate=accumulate)
        trainer = Trainer(model, Fixed(batches), loss_nats, lambda: Score(1.0, 0.5), config)
        with Reads() as reads:
            trainer.update()
        found.add(reads.count)
    assert len(found) == 1
    assert found.pop() > 0
