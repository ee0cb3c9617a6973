"""The table of the tensors of a trace: name, axes, unit, meaning, and the models that have it.

Letters of the axes: T steps (in tensors of an encoder those of the source), S steps of the source, P steps that can be
attended to, A answers, D model size, H hidden size, G gates, N heads, K size of a head, L layers, F and E sizes between
two layers, V size of a value, W steps and C channels of a short convolution,
k the number of the largest logits, C candidates of a beam search. For task regress, `value` takes the
place of `log_prob`, and its unit
that of nats and bits.

Tensors of the encoder have the prefix `encoder.`, those of the decoder `decoder.`; those of a model without a source
have no prefix. `{i}` is the index of the layer, from 0 at the bottom; `.reverse` is a layer that reads from the end.
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
    where = f"recurrent layers with cell {cell.name}"

    def axes_of(name: str) -> str:
        return cell.axes.get(name, "H")

    own = "length of ∏ ∂h_t / ∂h_{t−1} v for unit vectors v: the direct path"
    if cell.keeps is not None:
        own = f"∏ {cell.keeps} between two steps, mean over units: the direct path"
    elif not cell.feedback:
        own = "1 for every earlier step: nothing decays"
    tensors = [
        *((gate, f"T {axes_of(gate)}", "", meaning) for gate, meaning in cell.gate_meanings.items()),
        *(
            (leaf, f"T {axes_of(leaf)}", "", f"{meaning} after the step")
            for leaf, meaning in cell.state_meanings.items()
        ),
        *(
            (f"{leaf}0", axes_of(leaf), "", f"{meaning} before the first step")
            for leaf, meaning in cell.state_meanings.items()
        ),
        ("retention", "T T", "fraction", own),
        ("gradient", "A T", "nats", "‖∂ log_prob / ∂ h_s‖"),
    ]
    if cell.terms is not Cell.terms:
        tensors += [
            ("from_x", "T G H", "", f"the input's summand of each gate, W_x x; gates packed {cell.packed}"),
            ("from_h", "T G H", "", "the previous step's summand of each gate, W_h h"),
            ("bias", "G H", "", "the bias of each gate, b"),
        ]
    if "n" in cell.gate_meanings and cell.feedback:
        tensors.append(("bias_n", "H", "", "the candidate's second bias, inside the reset product"))
    if cell.keeps is not None:
        half = f"half-life of each unit or head: ln 2 / −mean ln {cell.keeps}"
        tensors.append(("half_life", axes_of(cell.keeps), "steps", half))
    for name, axes, unit, meaning in tensors:
        yield Name(f"{cell.name}.l{{i}}.{name}", axes, unit, meaning, where)


_ATTENTION = "model attention"
_BLOCKS = "models transformer and gpt"
_ANY_BLOCKS = "models of blocks: transformer, gpt and those with recurrent mixers"

NAMES: tuple[Name, ...] = (
    # --- inputs and answers
    Name("tokens", "T", "id", "the input of each step", "models that read tokens"),
    Name("spans", "T 2", "characters", "span of each token in the text: [start, end)", "models that read tokens"),
    Name("inputs", "T D", "", "the input of each step", "models that read images"),
    Name("image", "H W C", "", "the pixels of the image: height, width, channels", "models that read images"),
    Name("source.tokens", "S", "id", "the input of each step of the source", "models of task translate"),
    Name("source.spans", "S 2", "characters", "span of each token in the source", "models of task translate"),
    Name("steps", "A", "step", "the last step that each answer reads"),
    Name("answers", "A", "id", "explained output of each answer: the observed one if known, else predicted"),
    Name("logits", "A k", "nats", "the largest logits, before the softmax"),
    Name("top", "A k", "id", "the outputs of these logits, the most probable first"),
    Name("top_log_prob", "A k", "nats", "ln p of these outputs"),
    Name("log_prob", "A", "nats", "ln p of the output in `answers`"),
    Name("entropy", "A", "nats", "entropy of the distribution over all outputs, where one of them is the answer"),
    Name("rank", "A", "", "number of outputs more probable than the one in `answers`"),
    Name("value", "A", "", "the predicted number, in its unit: the task has no log_prob", "models of task regress"),
    Name("embedding", "T D", "", "the vector of each token", "models that read tokens"),
    # --- attribution of the answers to the inputs
    *(
        Name(f"{side}{name}", f"A {steps}", unit, meaning, where)
        for side, steps, where in (("", "T", "all models"), ("source.", "S", "models of task translate"))
        for name, unit, meaning in (
            ("gradient_norm", "nats", "‖∂ log_prob / ∂ vector of the token‖: sensitivity of an answer to the token"),
            ("input_x_gradient", "nats", "∂ log_prob / ∂ vector · vector"),
            ("occlusion", "bits", "loss of log_prob when the mean of all vectors replaces that of the token"),
            ("path_length", "steps", "nonlinear steps on the shortest path to the answer; 0: there is no path"),
        )
    ),
    Name("retention", "T P", "fraction", "fraction of each earlier step on the direct path of the lowest layer"),
    # --- recurrent layers
    *(name for cell in CELLS.values() for name in _of_cell(cell)),
    Name("summary", "L H", "", "the fixed vector: the encoder's final h of each layer, both directions side by side",
         "models encoder_decoder and attention"),
    # --- attention of a recurrent decoder
    Name("attention.query", "T H", "", "query of the decoder", _ATTENTION),
    Name("attention.projected_query", "T E", "", "projected query of an additive score, W_q query", _ATTENTION),
    Name("attention.key", "S E", "", "key of each output of the encoder", _ATTENTION),
    Name("attention.v", "E", "", "output weights of an additive score, v", _ATTENTION),
    Name("attention.outputs", "S D", "", "the outputs of the encoder", _ATTENTION),
    Name("attention.score", "T S", "", "score of each output of the encoder for the query", _ATTENTION),
    Name("attention.weights", "T S", "fraction", "softmax of the scores, sums to 1 over the source", _ATTENTION),
    Name("attention.context", "T D", "", "weighted sum of the encoder's outputs", _ATTENTION),
    # --- beam search
    *(
        Name(f"beam.{name}", "C", unit, meaning, "models of task translate, for a source alone")
        for name, unit, meaning in (
            ("step", "step", "step of each candidate"),
            ("parent", "", "index of the candidate that it continues; −1 at the first step"),
            ("token", "id", "its token"),
            ("log_prob", "nats", "ln p of all tokens up to it"),
            ("kept", "", "1 where it is continued or an answer, 0 where it is cut"),
        )
    ),
    # --- blocks of a Transformer
    Name("transformer.token", "T D", "", "vector of each token, at the size of the blocks", _BLOCKS),
    Name("transformer.position", "T D", "", "vector of each position, which is added to that of the token", _BLOCKS),
    Name("transformer.l{i}.x", "T D", "", "input of the block", _ANY_BLOCKS),
    Name("transformer.l{i}.attention_input", "T D", "",
         "input of self-attention or of another mixer, after the norm if that is first", _ANY_BLOCKS),
    Name("transformer.l{i}.attention_output", "T D", "",
         "output of self-attention or of another mixer, which is added to x", _ANY_BLOCKS),
    Name("transformer.l{i}.feedforward_input", "T D", "",
         "input of the feedforward network, after the norm if that is first", _ANY_BLOCKS),
    Name("transformer.l{i}.feedforward_output", "T D", "", "output of the feedforward network, which is added to x",
         _ANY_BLOCKS),
    Name("transformer.l{i}.query", "N T K", "", "query of each step, turned by a rotary position", _BLOCKS),
    Name("transformer.l{i}.key", "N P K", "",
         "key of each step, turned as the query; heads of a group share it", _BLOCKS),
    Name("transformer.l{i}.value", "N P K", "", "value of each step", _BLOCKS),
    Name("transformer.l{i}.score", "N T P", "", "query · key / √K; −∞ where a step does not attend", _BLOCKS),
    Name("transformer.l{i}.weights", "N T P", "fraction", "softmax of the scores, over the attended steps", _BLOCKS),
    Name("transformer.l{i}.context", "N T K", "", "weighted sum of the values", _BLOCKS),
    Name("transformer.l{i}.gradient", "A T", "nats", "‖∂ log_prob / ∂ y_s‖", _ANY_BLOCKS),
    Name("transformer.l{i}.retention", "T P", "fraction", "the weights, mean over heads", _BLOCKS),
    Name("transformer.l{i}.inner", "T F", "", "activations of the feedforward network", _ANY_BLOCKS),
    Name("transformer.l{i}.y", "T D", "", "output of the block", _ANY_BLOCKS),
    *(
        Name(f"transformer.l{{i}}.cross.{name}", axes, unit, f"attention to the source: {meaning}",
             "model transformer of task translate")
        for name, axes, unit, meaning in (
            ("query", "N T K", "", "query of each step"),
            ("key", "N S K", "", "key of each output of the encoder"),
            ("value", "N S K", "", "value of each output of the encoder"),
            ("score", "N T S", "", "query · key / √K"),
            ("weights", "N T S", "fraction", "softmax of the scores"),
            ("context", "N T K", "", "weighted sum of the values"),
            ("input", "T D", "", "its input, after the norm if that is first"),
            ("output", "T D", "", "its output, which is added to x"),
        )
    ),
    # --- feedforward
    Name("feedforward.x", "T D", "", "input of the network: the bag, the window, or the image", "model feedforward"),
    Name("feedforward.l{i}.h", "T H", "", "activations of the layer; a bag is one step", "model feedforward"),
)  # fmt: skip


@cache
def find(name: str) -> Name | None:
    """Return the entry of the tensor called `name`, or None. A path of a layer in a model may stand before the name."""
    parts = name.split(".")
    ends = (".".join(parts[first:]) for first in range(len(parts)))
    return next((known for end in ends for known in NAMES if _regex(known.pattern).fullmatch(end)), None)


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    layer = re.escape(pattern).replace(r"l\{i\}", r"l\d+(?:\.reverse)?")
    return re.compile(rf"(?:encoder\.|decoder\.)?{layer}")
