"""The gpt row: the Transformer's decoder alone, a language model that looks at all the tokens before.

    x = enter(E[ids]) + places;  x = blocks(x), in which step t looks at steps 0 … t;  logits = W x + b

Its state is the keys and values of every block: it grows with the sequence, up to the window. From one sequence to
another it reads the source and <sep>, and goes on with the target: the loss is on the target alone.
Radford et al., "Improving language understanding by generative pre-training", 2018; with norms before the parts and
GELU: Radford et al., "Language models are unsupervised multitask learners", 2019.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from unrolled import shapes
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.models.model import Answer, Features, Inputs, Model, ModelState, Pairs, source_lengths
from unrolled.models.transformer import PLACES, USES, blocks, head
from unrolled.state import State

__all__ = ["GPTModel"]

WINDOW = 64
"""The longest sequence, unless told."""
SEP = 4
"""The id of <sep>, which stands between a source and its target."""


class GPTModel(Model):
    """Embedding or features, places, causal blocks, head.

    Args:
        inputs, num_outputs, config, answer: see Model. Of the config it uses what TransformerModel uses; by default
            the window is 64 (with Pairs: any), the nonlinearity GELU; and, where it writes the tokens that
            it reads, tied. It answers at each step.
    """

    def __init__(self, inputs: Inputs, num_outputs: int, config: ModelConfig, answer: Answer = "each") -> None:
        super().__init__(inputs, num_outputs, config, answer, causal=True)
        if answer == "once":
            raise ConfigError("model gpt predicts what comes next, at each step: it gives no one answer")
        speaks = not isinstance(inputs, Features) and inputs.vocabulary_size == num_outputs  # the tokens that it reads
        self.refuse_unused("model gpt", USES | ({"tied"} if speaks else set()))
        pairs = isinstance(inputs, Pairs)
        window = (PLACES if config.position == "learned" else None) if pairs else WINDOW
        self.blocks = blocks(self.input_size, config, causal=True, window=window, nonlinearity="gelu")
        places = self.blocks.max_length
        if not pairs:
            self.max_length = places
        elif places is not None:  # <sep> and <bos> stand behind the source, in the same places
            self.max_source_length = max(0, places - 2)
        self.head = head(self)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> ModelState:
        """Read the source, ids (B, S), of which lengths (B,) are real, and <sep> -> the state in which decoding begins.

        Raises:
            ConfigError: it was not built with Pairs. ShapeError: a source without any token.
        """
        if not isinstance(self.inputs, Pairs):
            raise ConfigError("model gpt has no source, unless it is built with Pairs: it begins with None")
        shapes.check("source", source, "BS")
        lengths = source_lengths(source, lengths)
        ended = F.pad(source, (0, 1)).scatter(1, lengths.unsqueeze(1), SEP)  # (B, S + 1)
        _, after = self.blocks(self.source_vectors(ended), None, lengths + 1)
        return ModelState(after, ())

    def remaining_length(self, lengths: Tensor) -> Tensor:
        """See Model: source, <sep> and target share their places."""
        places = self.blocks.max_length
        return super().remaining_length(lengths) if places is None else places - 1 - lengths

    def forward(self, inputs: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """(B, T) or (B, T, D) -> logits (B, T, V), and the keys and values of all steps so far.

        Raises:
            ConfigError: no state with Pairs: `encode` comes first.
        """
        if state is None and isinstance(self.inputs, Pairs):
            raise ConfigError("model gpt reads the source first: call encode(source, lengths) and pass its state")
        y, after = self.blocks(self.vectors(inputs), None if state is None else state.layers, lengths)
        return self.logits(y), ModelState(after, ())
