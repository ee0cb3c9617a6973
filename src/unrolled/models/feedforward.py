"""The feedforward model: an MLP on word vectors, or on an image as one vector.

    x_t = E[id_t]
    one answer:               pooled = mean_t x_t  (or max_t);    logits = W MLP(pooled) + b         the bag
    an answer at each step:   y_t = [x_{t−n+1}, …, x_t];          logits_t = W MLP(y_t) + b          the window

If bidirectional, the step is in the middle of its window: y_t = [x_{t−n//2}, …, x_{t+(n−1)//2}].

Its input is either all tokens without their order, or a fixed number of tokens in their order. An image is a sequence
of one step, x_1, the vector of all its pixels, and so equal to its bag.

Rumelhart, Hinton & Williams 1986; the bag as a text classifier: Iyyer et al., "Deep unordered composition rivals
syntactic methods for text classification", 2015; the window as a language model: Bengio et al., "A neural probabilistic
language model", 2003.
"""

from __future__ import annotations

from torch import Tensor

from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import MLP, Bag, Head, Window
from unrolled.models.model import Answer, Features, Inputs, Model, ModelState
from unrolled.state import State

__all__ = ["FeedforwardModel"]

WINDOW = 16
"""The default window, in tokens, of a model that answers at each step."""


class FeedforwardModel(Model):
    """Embedding, bag or window, MLP, head.

    Args:
        inputs, num_outputs, config, answer: see Model. Of the config it uses the embeddings' options, hidden_size,
            num_layers, dropout, variational (of ids) and nonlinearity (ReLU by default); to answer once, read ("mean",
            the default, or "max"); to answer at each step, window and bidirectional.
    """

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "once") -> None:
        super().__init__(inputs, num_outputs, config, answer, causal=not config.bidirectional)
        features = isinstance(inputs, Features)  # a bag of them may have several steps, which no task has
        self.refuse_unused("feedforward", ignored=("read",) if features and answer == "once" else ())
        read = config.read or "mean"
        if read == "last":
            raise ConfigError('model feedforward has no last state to read: read must be "mean" or "max", got "last"')
        self.bag = Bag(self.input_size, pool=read) if answer == "once" else None
        window = config.window or WINDOW
        ahead = (window - 1) // 2 if config.bidirectional else 0
        self.window = Window(self.input_size, window, ahead=ahead) if answer == "each" else None
        self.receptive_field = window if answer == "each" else None
        size = self.input_size if self.window is None else self.window.output_size
        sizes = [size, *[config.hidden_size] * config.num_layers]
        self.mlp = MLP(sizes, nonlinearity=config.nonlinearity or "relu", dropout=config.dropout)
        self.head = Head(self.mlp.output_size, num_outputs)

    def outputs(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> the inputs of the head, and the state of the bag or of the window."""
        x = self.vectors(inputs)
        before = ModelState(None, None) if state is None else state
        if self.window is not None:
            y, window = self.window(x, before.layers, lengths)
            after = ModelState(window, ())
        else:
            assert self.bag is not None
            pool = self.bag.absorb(x, before.pool, lengths)
            y, after = self.bag.summary(pool), ModelState((), pool)
        hidden: Tensor = self.mlp(y)
        return hidden, after
