"""The gpt row: the Transformer's decoder alone, a language model that looks at all the tokens before.

    x = enter(E[ids]) + places;  x = blocks(x), in which step t looks at steps 0 … t;  logits = W x + b

Its state is the keys and values of every block: it grows with the sequence, up to the window.
Radford et al., "Improving language understanding by generative pre-training", 2018; with norms before the parts and
GELU: Radford et al., "Language models are unsupervised multitask learners", 2019.
"""

from __future__ import annotations

from torch import Tensor

from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import Head
from unrolled.models.model import Answer, Inputs, Model, ModelState
from unrolled.models.transformer import SPREAD, USES, blocks
from unrolled.state import State

__all__ = ["GPTModel"]

WINDOW = 64
"""The longest sequence, unless told."""


class GPTModel(Model):
    """Embedding or features, places, causal blocks, head.

    Args:
        inputs, num_outputs, config, answer: see Model. Of the config it uses what TransformerModel uses; by default
            the window is 64, the nonlinearity GELU. It answers at each step.
    """

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "each") -> None:
        super().__init__(inputs, num_outputs, config, answer, causal=True)
        if answer == "once":
            raise ConfigError("row gpt predicts what comes next, at each step: it gives no one answer")
        self.refuse_unused("row gpt", USES)
        self.blocks = blocks(self.input_size, config, causal=True, window=WINDOW, nonlinearity="gelu")
        self.limit = self.blocks.position.limit
        self.head = Head(config.hidden_size, num_outputs, spread=SPREAD)

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> logits (B, T, V), and the keys and values of all steps so far."""
        y, after = self.blocks(self.vectors(inputs), None if state is None else state.layers, lengths)
        logits: Tensor = self.head(y)
        return logits, ModelState(after, ())
