"""Training speed on film sentences, a GRU of 128: our loop and two plain torch loops, in turn, in one process.

    python benchmarks/training_speed.py [--pairs 15] [--updates 40]

`packed` is the textbook: nn.Embedding, nn.Dropout, nn.GRU over a PackedSequence, default AdamW. `lean` is an expert's
loop: padded batches, the last real step gathered, fused AdamW. All three get the same batches, sizes, dropout and
clipping, and do the same number of updates a turn. Ratios are medians over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator

import torch
from record import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from unrolled import scan
from unrolled.config import Config, from_flat
from unrolled.models.recurrent import make_cell
from unrolled.tasks.classification import Classify
from unrolled.training import Batch, Loader, Outcome, Score, Trainer, loss_nats
from unrolled.training.prepare import prepare


class Plain(nn.Module):
    """The same network in torch's own modules."""

    def __init__(self, vocabulary_size: int, config: Config, *, packed: bool) -> None:
        super().__init__()
        size, hidden = config.model.embedding_size, config.model.hidden_size
        self.embedding = nn.Embedding(vocabulary_size, size, padding_idx=0)
        self.dropout = nn.Dropout(config.model.dropout)
        self.gru = nn.GRU(size, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2)
        self.packed = packed

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return logits (B, 2) of ids (B, T)."""
        x = self.dropout(self.embedding(ids))
        if self.packed:
            _, h = self.gru(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
            return self.head(self.dropout(h[-1]))
        y, _ = self.gru(x)
        last = y[torch.arange(len(y)), lengths - 1]
        return self.head(self.dropout(last))


def batches(loader: Loader) -> Iterator[Batch]:
    """Yield all batches, epoch after epoch."""
    epoch = 0
    while True:
        for index in range(loader.count(epoch)):
            yield loader.batch(epoch, index)
        epoch += 1


def plain_turn(model: Plain, loader: Loader, config: Config, updates: int) -> float:
    """Train for some updates in a plain loop; return tokens a second."""
    options = {} if model.packed else {"fused": True}
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.training.learning_rate, **options)
    stream, tokens, began = batches(loader), 0, time.perf_counter()
    model.train()
    for _ in range(updates):
        batch = next(stream)
        loss = F.cross_entropy(model(batch.inputs, batch.lengths), batch.targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.training.clip)
        optimizer.step()
        loss.item()
        tokens += batch.num_tokens
    return tokens / (time.perf_counter() - began)


def our_turn(trainer: Trainer) -> Outcome:
    """Train for the same updates in our loop, with an evaluation that costs nothing."""
    fresh = Trainer(trainer.model, trainer.loader, loss_nats, lambda: Score(0.0, 0.0), trainer.config)
    return fresh.run()


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="turns")
    parser.add_argument("--updates", type=int, default=40, help="updates a turn")
    options = parser.parse_args()

    config = from_flat(
        {"model": "gru", "hidden_size": 128, "updates": options.updates, "evaluate_every": options.updates}
    )
    prepared = prepare(Classify.read("sample:films", config), config, torch.device("cpu"))
    loader, vocabulary_size = prepared.trainer.loader, prepared.task.preprocessor.vocabulary_size
    baselines = {name: Plain(vocabulary_size, config, packed=name == "packed") for name in ("packed", "lean")}

    speeds: dict[str, list[float]] = {"unrolled": [], "packed": [], "lean": []}
    outside: list[float] = []
    for turn in range(options.pairs + 1):  # the first is a warm-up
        outcome = our_turn(prepared.trainer)
        measured = {"unrolled": outcome.tokens_per_second}
        measured |= {name: plain_turn(model, loader, config, options.updates) for name, model in baselines.items()}
        if turn:
            for name, speed in measured.items():
                speeds[name].append(speed)
            inside = sum(outcome.seconds[phase] for phase in ("forward", "backward", "optimizer"))
            outside.append(1 - inside / (outcome.total_seconds - outcome.seconds["evaluation"]))

    figures = {
        "case": "sample:films, GRU of 128 over embeddings of 128, batches of at most 2,048 tokens",
        "backend": scan.choose("auto", make_cell("gru", 128, config.model)),
        "pairs": options.pairs,
        "updates_a_turn": options.updates,
        "tokens_per_second": {name: round(statistics.median(values)) for name, values in speeds.items()},
        "ratio_to": {
            name: round(statistics.median(a / b for a, b in zip(speeds["unrolled"], speeds[name], strict=True)), 3)
            for name in baselines
        },
        "outside_forward_backward_optimizer": round(statistics.median(outside), 4),
    }
    path = save("training_speed", figures)
    for name, speed in figures["tokens_per_second"].items():
        ratio = f"  ours is {figures['ratio_to'][name]:.2f} times as fast" if name in baselines else ""
        print(f"{name:<10} {speed:>9,} tokens/s{ratio}")
    print(f"outside forward, backward and optimiser: {figures['outside_forward_backward_optimizer']:.1%}\n{path}")


if __name__ == "__main__":
    main()
