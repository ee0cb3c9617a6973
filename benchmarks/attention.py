"""Training updates of a GRU with attention: ours next to a plain torch loop, in turn, in one process.

    python benchmarks/attention.py [--seconds 20]

`plain` is a careful implementation in torch's own modules: nn.GRU over a packed source, keys projected once,
nn.GRUCell on [embedding; context] step by step, all logits at once. `additive` is ours; `general` and `fixed` are
Luong's attention and the model encoder_decoder, of the same sizes. All read the same batch, the source in both
directions, and take fused AdamW updates. Ratios are medians over the turns.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import NamedTuple

import torch
from record import save
from stopwatch import in_turn
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unrolled.config import ModelConfig
from unrolled.models import AttentionModel, EncoderDecoderModel, Pairs


class Shape(NamedTuple):
    """The sizes of a batch, whose sequences have at least half the steps, and of a network."""

    B: int
    S: int
    T: int
    D: int
    H: int
    V: int


SHAPES = [
    Shape(128, 8, 7, 128, 256, 75),  # letters to phonemes
    Shape(64, 10, 10, 256, 256, 4000),
    Shape(64, 10, 10, 256, 512, 4000),
    Shape(32, 40, 40, 256, 512, 4000),
]


class Plain(nn.Module):
    """The same network in torch's own modules."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        _, _, _, D, H, V = shape
        self.source, self.target = nn.Embedding(V, D), nn.Embedding(V, D)
        self.encoder = nn.GRU(D, H, batch_first=True, bidirectional=True)
        self.bridge, self.cell = nn.Linear(2 * H, H), nn.GRUCell(D + 2 * H, H)
        self.key, self.query, self.v = nn.Linear(2 * H, H), nn.Linear(H, H, bias=False), nn.Linear(H, 1, bias=False)
        self.head = nn.Linear(H, V)

    def forward(self, source: Tensor, lengths: Tensor, ids: Tensor) -> Tensor:
        """(B, S), (B,), (B, T) -> (B, T, V)."""
        packed = pack_padded_sequence(self.source(source), lengths, batch_first=True, enforce_sorted=False)
        outputs, h = self.encoder(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True)
        s = self.bridge(torch.cat([h[0], h[1]], dim=1)).tanh()
        keys, padding = self.key(outputs), torch.arange(outputs.shape[1]) >= lengths.unsqueeze(1)
        ys = []
        for x in self.target(ids).unbind(1):
            scores = self.v((self.query(s).unsqueeze(1) + keys).tanh()).squeeze(2)
            weights = scores.masked_fill(padding, -torch.inf).softmax(1)
            context = (weights.unsqueeze(1) @ outputs).squeeze(1)
            s = self.cell(torch.cat([x, context], dim=1), s)
            ys.append(s)
        return self.head(torch.stack(ys, dim=1))


def baselines(shape: Shape) -> dict[str, Callable[[], None]]:
    """Return an update of each network on one batch, by name."""
    B, S, T, D, H, V = shape
    torch.manual_seed(0)
    source, ids, targets = (torch.randint(5, V, (B, steps)) for steps in (S, T, T))
    lengths, target_lengths = (torch.randint((steps + 1) // 2, steps + 1, (B,)) for steps in (S, T))
    lengths[0], target_lengths[0] = S, T
    inputs = Pairs(V, V)
    config = ModelConfig(embedding_size=D, hidden_size=H, bidirectional=True, dropout=0.0)

    def update(model: nn.Module, answer: Callable[[], Tensor]) -> Callable[[], None]:
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)

        def call() -> None:
            F.cross_entropy(answer().flatten(0, 1), targets.flatten()).backward()
            optimizer.step()
            optimizer.zero_grad()

        return call

    def ours(model: EncoderDecoderModel) -> Callable[[], None]:
        return update(model, lambda: model(ids, model.encode(source, lengths), target_lengths)[0])

    plain = Plain(shape)
    return {
        "plain": update(plain, lambda: plain(source, lengths, ids)),
        "additive": ours(AttentionModel(inputs, V, config)),
        "general": ours(AttentionModel(inputs, V, config.model_copy(update={"score": "general"}))),
        "fixed": ours(EncoderDecoderModel(inputs, V, config)),
    }


def main() -> None:
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="for each shape")
    seconds = parser.parse_args().seconds
    cases = []
    for shape in SHAPES:
        times = in_turn(baselines(shape), seconds)
        figures = {
            name: {
                "ms": round(statistics.median(taken) * 1e3, 1),
                "times_as_fast": round(statistics.median(b / a for a, b in zip(taken, times["plain"], strict=True)), 2),
            }
            for name, taken in times.items()
        }
        cases.append({"shape": shape._asdict(), **figures})
        print(shape, "; ".join(f"{name} {f['ms']} ms, {f['times_as_fast']}" for name, f in figures.items()))
    print(save("attention", {"cases": cases}))


if __name__ == "__main__":
    main()
