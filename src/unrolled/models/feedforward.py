"""The feedforward row on text: a bag of embeddings, through an MLP, in one pass.

    x_t = E[id_t];  pooled = mean_t x_t  (or max_t);  h = MLP(pooled);  logits = W h + b

It sees its input whole and only once: order is lost in the bag. Rumelhart, Hinton & Williams 1986; as a text
classifier: Iyyer et al., "Deep unordered composition rivals syntactic methods for text classification", 2015.
"""

from __future__ import annotations

from torch import Tensor

from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import MLP, Bag, Dropout, Head
from unrolled.models.model import Answer, Inputs, Model, ModelState
from unrolled.state import State

__all__ = ["FeedforwardModel"]


class FeedforwardModel(Model):
    """Embedding, bag, MLP, head.

    Args:
        inputs, num_outputs, config, answer: see Model. Of the config it uses embedding_size, hidden_size, num_layers,
            read ("mean", the default, or "max"), dropout, variational and nonlinearity (ReLU by default).
    """

    uses = frozenset({"embedding_size", "hidden_size", "num_layers", "read", "dropout", "variational", "nonlinearity"})

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "once") -> None:
        super().__init__(inputs, num_outputs, config, answer)
        self.refuse_unused(config, "row feedforward", self.uses)
        read = config.read or "mean"
        if read == "last":
            raise ConfigError('read "last" needs an order, and a bag has none: row feedforward reads "mean" or "max"')
        self.dropout = Dropout(config.dropout, variational=config.variational)
        self.bag = Bag(self.input_size, pool=read)
        sizes = [self.input_size, *[config.hidden_size] * config.num_layers]
        self.mlp = MLP(sizes, nonlinearity=config.nonlinearity or "relu", dropout=config.dropout)
        self.head = Head(self.mlp.output_size, num_outputs)

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> logits (B, V), or (B, T, V) of the bag so far, and the bag."""
        x = self.dropout(self.vectors(inputs))
        before = None if state is None else state.pool
        if self.answer == "each":
            y, pool = self.bag(x, before, lengths)
        else:
            pool = self.bag.absorb(x, before, lengths)
            y = self.bag.summary(pool)
        logits: Tensor = self.head(self.mlp(y))
        return logits, ModelState((), pool)
