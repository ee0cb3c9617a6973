"""The one table of a trace's tensors: what each is called, its axes, its unit, its meaning, which rows have it.

Letters of the axes: T steps (of an encoder's tensors those of the source), S steps of the source, P steps that
attention may look at, A answers, D model size, H hidden size, G gates, N heads, K size of a head, L layers, F and E
sizes between two layers, k the largest logits.

What is computed while a source is read has the prefix `encoder.`, what is computed while its target is written
`decoder.`; a row without a source has no prefix. `{i}` is the layer, from 0 at the bottom; `.reverse` is a layer that
reads from the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from unrolled.cells import CELLS, Cell

__all__ = ["NAMES", "Name", "find"]


class Name(NamedTuple):
    """A kind of tensor."""

    pattern: str
    axes: str  # letters, with spaces between them
    unit: str
    meaning: str
    where: str = "all models"


def _of_cell(cell: type[Cell[Any, Any]]) -> Iterator[Name]:
    """Yield the tensors of a recurrent layer, as its cell declares them."""
    where, gates = f"recurrent layers with cell {cell.name}", cell.packed
    own = "length of ∏ ∂h_t / ∂h_{t−1} v for unit vectors v: the direct path"
    if cell.keeps is not None:
        own = f"∏ {cell.keeps} between two steps, mean over units: the direct path"
    tensors = [
        *((gate, "T H", "", meaning) for gate, meaning in cell.gate_meanings.items()),
        *((leaf, "T H", "", f"{meaning} after the step") for leaf, meaning in cell.state_meanings.items()),
        *((f"{leaf}0", "H", "", f"{meaning} before the first step") for leaf, meaning in cell.state_meanings.items()),
        ("from_x", "T G H", "", f"the input's summand of each gate, W_x x; gates packed {gates}"),
        ("from_h", "T G H", "", "the previous step's summand of each gate, W_h h"),
        ("bias", "G H", "", "the bias of each gate, b"),
        ("retention", "T T", "fraction", own),
        ("gradient", "A T", "nats", "‖∂ log_prob / ∂ h_s‖"),
    ]
    if "n" in cell.gate_meanings:
        tensors.append(("bias_n", "H", "", "the candidate's second bias, inside the reset product"))
    if cell.keeps is not None:
        half = f"steps after which each unit has kept a half: ln 2 / −mean ln {cell.keeps}"
        tensors.append(("half_life", "H", "steps", half))
    for name, axes, unit, meaning in tensors:
        yield Name(f"{cell.name}.l{{i}}.{name}", axes, unit, meaning, where)


_ATTENTION = "model attention"
_BLOCKS = "models transformer and gpt"

NAMES: tuple[Name, ...] = (
    # --- what was read and what was answered
    Name("tokens", "T", "id", "what each step reads", "models that read tokens"),
    Name("spans", "T 2", "characters", "where each token stands in the text: [start, end)", "models that read tokens"),
    Name("inputs", "T D", "", "what each step reads", "models that read images"),
    Name("image", "H W C", "", "the pixels as they were read: height, width, channels", "models that read images"),
    Name("source.tokens", "S", "id", "what each step of the source is", "models of task translate"),
    Name("source.spans", "S 2", "characters", "where each token stands in the source", "models of task translate"),
    Name("steps", "A", "step", "the step after which each answer is given"),
    Name("answers", "A", "id", "what each answer is asked for: observed where that is known, else predicted"),
    Name("logits", "A k", "nats", "the largest logits, before the softmax"),
    Name("top", "A k", "id", "the outputs that have them, the most probable first"),
    Name("top_log_prob", "A k", "nats", "ln p of these"),
    Name("log_prob", "A", "nats", "ln p of what the answer is asked for"),
    Name("entropy", "A", "nats", "of all that could be answered"),
    Name("rank", "A", "", "how many outputs were more probable than what the answer is asked for"),
    Name("embedding", "T D", "", "the vector of each token", "models that read tokens"),
    # --- what moved the answers, and over which distance
    *(
        Name(f"{side}{name}", f"A {steps}", unit, meaning, where)
        for side, steps, where in (("", "T", "all models"), ("source.", "S", "models of task translate"))
        for name, unit, meaning in (
            ("gradient_norm", "nats", "‖∂ log_prob / ∂ vector of the token‖: how far an answer moves with what was read"),
            ("input_x_gradient", "nats", "∂ log_prob / ∂ vector · vector"),
            ("occlusion", "bits", "what replacing the token by the mean of all takes from the answer"),
            ("path_length", "steps", "nonlinear steps on the shortest way to the answer; 0: there is none"),
        )
    ),
    Name("retention", "T P", "fraction", "what the direct path of the lowest layer keeps of each earlier step"),
    # --- recurrent layers
    *(name for cell in CELLS.values() for name in _of_cell(cell)),
    Name("summary", "L H", "", "the fixed vector: the encoder's final h of each layer, both directions side by side",
         "models encoder_decoder and attention"),
    # --- attention of a recurrent decoder
    Name("attention.query", "T H", "", "what the decoder asks with", _ATTENTION),
    Name("attention.asked", "T E", "", "what an additive score makes of the query, W_q query", _ATTENTION),
    Name("attention.key", "S E", "", "what each output of the encoder is found by", _ATTENTION),
    Name("attention.v", "E", "", "what an additive score weighs with, v", _ATTENTION),
    Name("attention.outputs", "S D", "", "what the encoder left of the source", _ATTENTION),
    Name("attention.score", "T S", "", "how well each output of the encoder fits the query", _ATTENTION),
    Name("attention.weights", "T S", "fraction", "softmax of the scores: they sum to 1 over the source", _ATTENTION),
    Name("attention.context", "T D", "", "the encoder's outputs, weighted", _ATTENTION),
    # --- blocks of a Transformer
    Name("transformer.l{i}.query", "N T K", "", "what each step asks with", _BLOCKS),
    Name("transformer.l{i}.key", "N P K", "", "what each step is found by", _BLOCKS),
    Name("transformer.l{i}.value", "N P K", "", "what each step has to say", _BLOCKS),
    Name("transformer.l{i}.score", "N T P", "", "query · key / √K; −∞ where a step may not look", _BLOCKS),
    Name("transformer.l{i}.weights", "N T P", "fraction", "softmax of the scores, over the steps looked at", _BLOCKS),
    Name("transformer.l{i}.context", "N T K", "", "the values, weighted", _BLOCKS),
    Name("transformer.l{i}.gradient", "A T", "nats", "‖∂ log_prob / ∂ y_s‖", _BLOCKS),
    Name("transformer.l{i}.retention", "T P", "fraction", "the weights, mean of all heads", _BLOCKS),
    Name("transformer.l{i}.inner", "T F", "", "activations of the feedforward network", _BLOCKS),
    Name("transformer.l{i}.y", "T D", "", "what the block puts out", _BLOCKS),
    *(
        Name(f"transformer.l{{i}}.cross.{name}", axes, unit, f"of the attention to the source: {meaning}",
             "model transformer of task translate")
        for name, axes, unit, meaning in (
            ("query", "N T K", "", "what each step asks with"),
            ("key", "N S K", "", "what each output of the encoder is found by"),
            ("value", "N S K", "", "what each output of the encoder has to say"),
            ("score", "N T S", "", "query · key / √K"),
            ("weights", "N T S", "fraction", "softmax of the scores"),
            ("context", "N T K", "", "the values, weighted"),
        )
    ),
    # --- feedforward
    Name("feedforward.x", "T D", "", "what enters: the bag, the window, or the image", "model feedforward"),
    Name("feedforward.l{i}.h", "T H", "", "activations of the layer; a bag is one step", "model feedforward"),
)  # fmt: skip


@cache
def find(name: str) -> Name | None:
    """Return what the table says of a tensor, or None."""
    return next((known for known in NAMES if _regex(known.pattern).fullmatch(name)), None)


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    layer = re.escape(pattern).replace(r"l\{i\}", r"l\d+(?:\.reverse)?")
    return re.compile(rf"(?:encoder\.|decoder\.)?{layer}")
