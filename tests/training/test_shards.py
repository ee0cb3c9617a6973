"""The shards of a batch: their sequences, the order of their sum, and its equality with the gradient of the batch."""

import pytest
import torch
from torch import Tensor

from small import pairs
from unrolled import api
from unrolled.config import ModelConfig, TrainingConfig
from unrolled.errors import ConfigError
from unrolled.models import Ids
from unrolled.training import Batch, Score, Trainer, loss_nats
from unrolled.training.seeds import seed_of
from unrolled.training.shards import cut, owned, subtrees, tree_sum

V = 11


def batch(B: int, T: int, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, T + 1, (B,), generator=draw)
    ids = torch.randint(5, V, (B, T), generator=draw)
    return Batch(ids, lengths, torch.randint(0, 3, (B,), generator=draw), B, int(lengths.sum()))


def written(shards: int) -> str:
    """The sum over shards as it is added, in letters."""
    text: list[str] = [*"abcdefgh"]

    def leaf(span: tuple[int, int]) -> list[Tensor] | None:
        return [torch.tensor(float(span[0]))] if span[1] - span[0] == 1 else None

    def add(left: list[Tensor], right: list[Tensor]) -> None:
        text[int(left[0])] = f"({text[int(left[0])]}{text[int(right[0])]})"  # the value is the first shard of the sum

    patched = pytest.MonkeyPatch()
    with patched.context() as context:
        context.setattr("unrolled.training.shards.torch._foreach_add_", add)
        return text[int(tree_sum((0, shards), leaf)[0])]


@pytest.mark.parametrize(
    ("shards", "order"),
    [(2, "(ab)"), (3, "((ab)c)"), (4, "((ab)(cd))"), (5, "(((ab)(cd))e)"), (7, "(((ab)(cd))((ef)g))")],
)
def test_the_order_of_additions_is_a_tree_of_halves(shards: int, order: str) -> None:
    assert written(shards) == order


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 6, 7, 16])
def test_any_number_of_processes_adds_in_the_order_of_one(shards: int) -> None:
    """In float16, where nearly every order of additions has another sum."""
    draw = torch.Generator().manual_seed(shards)
    values = [torch.randn(50, generator=draw).half() for _ in range(shards)]

    def computed(span: tuple[int, int]) -> list[Tensor] | None:
        return [values[span[0]].clone()] if span[1] - span[0] == 1 else None

    (alone,) = tree_sum((0, shards), computed)
    for processes in range(1, shards + 1):
        sums = {
            span: tree_sum(span, computed)
            for rank in range(processes)
            for span in subtrees(owned(rank, processes, shards), (0, shards))
        }
        (together,) = tree_sum((0, shards), lambda span, known=sums: known.get(span))
        assert torch.equal(together, alone)
    if shards > 3:
        assert not torch.equal(sum(values), alone), "the order matters here"


def sequences(batch: Batch) -> list[tuple[list[int], int, int]]:
    assert batch.lengths is not None
    columns = (batch.inputs.tolist(), batch.lengths.tolist(), batch.targets.tolist())
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize(("B", "shards"), [(1, 1), (8, 4), (7, 3), (2, 5)])
def test_each_sequence_is_in_one_shard(B: int, shards: int) -> None:
    whole = batch(B, 6)
    parts = [part for shard in range(shards) if (part := cut(whole, shard, shards)) is not None]
    assert len(parts) == min(B, shards)
    assert sorted(rows for part in parts for rows in sequences(part)) == sorted(sequences(whole))
    assert max(len(p.inputs) for p in parts) - min(len(p.inputs) for p in parts) <= 1


class Fixed:
    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def count(self, epoch: int) -> int:
        return len(self.batches)

    def batch(self, epoch: int, index: int) -> Batch:
        return self.batches[index]


def gradient(shards: int | None, *, accumulate: int = 1, dropout: float = 0.0) -> tuple[list[Tensor], float]:
    torch.manual_seed(3)
    config = ModelConfig(embedding_size=6, hidden_size=5, dropout=dropout)
    model = api.build("gru", Ids(V), 3, config).double()
    settings = TrainingConfig(updates=1, clip=1e9, shards=shards, accumulate=accumulate)
    batches = [batch(5, 6), batch(2, 4, seed=1)]
    trainer = Trainer(model, Fixed(batches), loss_nats, lambda: Score(1.0, 0.5), settings)
    found: list[Tensor] = []
    trainer.optimizer.register_step_pre_hook(lambda *_: found.extend(p.grad.clone() for p in model.parameters()))
    losses: list[float] = []
    trainer.run(lambda event: losses.append(event.loss_nats))
    return found, losses[0]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_the_sum_over_shards_is_the_gradient_of_the_batch(shards: int, accumulate: int) -> None:
    expected, loss = gradient(None, accumulate=accumulate)
    found, also = gradient(shards, accumulate=accumulate)
    assert also == pytest.approx(loss, rel=1e-12)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-14)


def test_each_shard_has_random_numbers_of_its_own() -> None:
    seeds = {seed_of(0, update, shard) for update in range(-1, 20) for shard in range(20)}
    assert len(seeds) == 21 * 20
    assert not torch.allclose(gradient(2, dropout=0.5)[0][0], gradient(1, dropout=0.5)[0][0])


def test_streams_that_the_shards_do_not_divide_are_refused(tmp_path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("ab cd ef. " * 800)
    with pytest.raises(ConfigError, match="6 streams cannot be dealt to 4 shards in equal numbers.*--shards 2"):
        api.train(str(path), task="generate", model="gru", streams=6, chunk=4, shards=4, updates=1)


def test_more_shards_than_sequences_leave_some_without(tmp_path) -> None:
    run = api.train(pairs(20), model="gru", hidden_size=4, updates=2, shards=64)
    assert run.record["training"]["updates"] == 2
