"""The recurrent rows, elman, lstm and gru: embeddings or features, a stack of recurrent layers, a head.

    x = E[ids];  y, state = layers(x);  logits = W read(y) + b

read = last: what the final state says (both final states, where it reads in both directions); mean or max: the outputs
of all real steps, pooled.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError, nearest
from unrolled.layers import Bag, Bidirectional, Head, Layer, Recurrent, Stacked
from unrolled.models.model import Answer, Inputs, Model, ModelState
from unrolled.state import State

__all__ = ["CELLS", "RecurrentModel", "make_cell", "make_layers"]

CELLS: dict[str, tuple[type[Cell[Any, Any]], frozenset[str]]] = {  # name -> the cell and its own options
    "elman": (ElmanCell, frozenset({"nonlinearity"})),
    "lstm": (LSTMCell, frozenset({"forget_bias"})),
    "gru": (GRUCell, frozenset()),
}


class RecurrentModel(Model):
    """Embedding, recurrent layers, head.

    Args:
        inputs, num_outputs, config, answer: see Model. Of the config it uses everything but the other cells' options,
            the window, and, where it answers at each step, read.
        cell: "elman", "lstm" or "gru".
    """

    def __init__(
        self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "once", *, cell: str
    ) -> None:
        super().__init__(inputs, num_outputs, config, answer, causal=not config.bidirectional)
        if cell not in CELLS:
            raise ConfigError(f'cell "{cell}" is unknown{nearest(cell, CELLS)}; cells are {", ".join(CELLS)}')
        uses = {"hidden_size", "num_layers", "bidirectional"}
        uses |= {
            "dropout",
            "variational",
            "recurrent_dropout",
            *CELLS[cell][1],
            *({"read"} if answer == "once" else ()),
        }
        self.refuse_unused(f"model {cell}", uses)

        self.layers = make_layers(cell, self.input_size, config, bidirectional=config.bidirectional)
        size = self.layers.output_size
        self.read = config.read or "last"
        self.pool = None if answer == "each" or self.read == "last" else Bag(size, pool=self.read)
        self.head = Head(size, num_outputs)

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> logits (B, V) or (B, T, V), and the state of the layers and of the pool."""
        before, pool = ModelState(None, None) if state is None else state
        y, after = self.layers(self.vectors(inputs), before, lengths)
        if self.answer == "each":
            pool = ()
        elif self.pool is None:
            pool, y = (), self.layers.summary(after)
        else:
            pool = self.pool.absorb(y, pool, lengths)
            y = self.pool.summary(pool)
        logits: Tensor = self.head(self.dropout(y))
        return logits, ModelState(after, pool)


def make_layers(
    cell: str, input_size: int, config: ModelConfig, *, bidirectional: bool = False, reverse: bool = False
) -> Stacked:
    """Build `config.num_layers` recurrent layers on top of each other, with the config's dropouts.

    Args:
        cell: a key of CELLS. input_size: D of the lowest. bidirectional: two directions in each layer. reverse: all of
            them read from the last real step to the first.
    """

    def direction(size: int, *, reverse: bool) -> Recurrent:
        made = make_cell(cell, size, config)
        return Recurrent(made, reverse=reverse, recurrent_dropout=config.recurrent_dropout)

    layers: list[Layer] = []
    size = input_size
    for _ in range(config.num_layers):
        layer: Layer = direction(size, reverse=reverse)
        if bidirectional:
            layer = Bidirectional(direction(size, reverse=False), direction(size, reverse=True))
        layers.append(layer)
        size = layer.output_size
    return Stacked(layers, dropout=config.dropout, variational=config.variational)


def make_cell(name: str, input_size: int, config: ModelConfig) -> Cell[Any, Any]:
    """Build the cell called `name` (a key of CELLS) with its own options from the config, where they are given."""
    kind, own = CELLS[name]
    options = {option: value for option in sorted(own) if (value := getattr(config, option)) is not None}
    return kind(input_size, config.hidden_size, **options)
