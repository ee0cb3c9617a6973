"""The recurrent models elman, lstm and gru: embeddings or features, a stack of recurrent layers, a head.

    x = E[ids];  y, state = layers(x);  logits = W read(y) + b

read = last: the output at the final state (of both directions, if bidirectional); mean or max: the pooled outputs of
all real steps.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from unrolled.cells import CELLS, OWN, Cell
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError, nearest
from unrolled.layers import Bag, Bidirectional, Head, Layer, Recurrent, Stacked
from unrolled.models.model import Answer, Inputs, Model, ModelState
from unrolled.state import State

__all__ = ["RecurrentModel", "make_cell", "make_layers"]


class RecurrentModel(Model):
    """Embedding, recurrent layers, head.

    Args:
        inputs, num_outputs, config, answer: see Model. The options of the config that it uses are in `config/uses.py`.
        cells: names of the cells that this model may use, the default first; `config.cell` selects another of them.

    Raises:
        ConfigError: a cell that is not in `cells`, or an option that the model does not use.
    """

    def __init__(
        self,
        inputs: Inputs,
        num_outputs: int,
        config: ModelConfig,
        answer: Answer = "once",
        *,
        cells: tuple[str, ...],
    ) -> None:
        super().__init__(inputs, num_outputs, config, answer, causal=not config.bidirectional)
        cell = config.cell or cells[0]
        if cell not in cells:
            raise ConfigError(f'model {cells[0]} runs cell {" or ".join(cells)}: got "{cell}"')
        self.refuse_unused(cells[0], cell)

        self.layers = make_layers(cell, self.input_size, config, bidirectional=config.bidirectional)
        size = self.layers.output_size
        self.read = config.read or "last"
        self.pool = None if answer == "each" or self.read == "last" else Bag(size, pool=self.read)
        self.head = Head(size, num_outputs)

    def outputs(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> the inputs of the head, and the state of the layers and of the pool."""
        before, pool = ModelState(None, None) if state is None else state
        y, after = self.layers(self.vectors(inputs), before, lengths)
        if self.answer == "each":
            pool = ()
        elif self.pool is None:
            pool, y = (), self.layers.summary(after)
        else:
            pool = self.pool.absorb(y, pool, lengths)
            y = self.pool.summary(pool)
        return self.dropout(y), ModelState(after, pool)


def make_layers(
    cell: str, input_size: int, config: ModelConfig, *, bidirectional: bool = False, reverse: bool = False
) -> Stacked:
    """Build a stack of `config.num_layers` recurrent layers, with the config's dropouts and zoneout.

    Args:
        cell: name of the cell, a key of CELLS.
        input_size: size D of the input of the lowest layer.
        bidirectional: two directions in each layer.
        reverse: all layers read from the last real step to the first.
    """

    def direction(size: int, *, reverse: bool) -> Recurrent:
        own = make_cell(cell, size, config)
        return Recurrent(own, reverse=reverse, recurrent_dropout=config.recurrent_dropout, zoneout=config.zoneout)

    layers: list[Layer] = []
    size = input_size
    for _ in range(config.num_layers):
        layer: Layer = direction(size, reverse=reverse)
        if bidirectional:
            layer = Bidirectional(direction(size, reverse=False), direction(size, reverse=True))
        layers.append(layer)
        size = layer.output_size
    return Stacked(layers, dropout=config.dropout, variational=config.variational)


def find_cell(name: str) -> type[Cell[Any, Any]]:
    """Return the class of the cell called `name`.

    Raises:
        ConfigError: there is no such cell; the message has the nearest name.
    """
    known = CELLS | OWN
    if name not in known:
        raise ConfigError(f'cell "{name}" is unknown{nearest(name, known)}; cells are {", ".join(known)}')
    return known[name]


def make_cell(name: str, input_size: int, config: ModelConfig) -> Cell[Any, Any]:
    """Build the cell called `name` (a key of CELLS or OWN), with those of its options that the config sets.

    Raises:
        ConfigError: there is no such cell; the message has the nearest name.
    """
    kind = find_cell(name)
    options = {option: value for option in sorted(kind.options) if (value := getattr(config, option)) is not None}
    return kind(input_size, config.hidden_size, **options)
