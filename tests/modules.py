"""All cells, layers and models that the laws apply to, by name."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unrolled import cells, scan
from unrolled.api import build
from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.config import ModelConfig
from unrolled.layers import (
    Bag,
    Bidirectional,
    Block,
    Blocks,
    Last,
    Projected,
    Recurrent,
    SelfAttention,
    Stacked,
    Window,
)
from unrolled.lineage import LINEAGE, Architecture
from unrolled.models import Features, Ids, Pairs

D, H = 3, 5

BACKENDS = [name for name in scan.BACKENDS if all(condition.holds for condition in scan.conditions(name))]
"""The backends of this machine: fused is missing if there was no C++ compiler at installation."""

CELLS: dict[str, Callable[[int, int], Cell]] = {
    "elman-tanh": ElmanCell,
    "elman-relu": lambda size, hidden: ElmanCell(size, hidden, nonlinearity="relu"),
    "lstm": LSTMCell,
    "gru": GRUCell,
}
"""The plain cells, which have fast twins."""
EVERY_CELL: dict[str, Callable[[int, int], Cell]] = {
    **CELLS,
    **{name: cell for name, cell in cells.CELLS.items() if name not in ("elman", *CELLS)},
}
LINEAR = tuple(name for name, cell in cells.CELLS.items() if cell.is_linear)
"""The cells with a parallel form in torch."""
MODERN_CELLS = (*LINEAR, "slstm")


def both(make: Callable[[int, int], Cell], size: int = D, hidden: int = H) -> Bidirectional:
    return Bidirectional(Recurrent(make(size, hidden)), Recurrent(make(size, hidden), reverse=True))


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "bag-mean": lambda: Bag(D),
    "bag-max": lambda: Bag(D, pool="max"),
    "last": lambda: Last(D),
    "window-1": lambda: Window(D, 1),
    "window-4": lambda: Window(D, 4),
    "window-ahead": lambda: Window(D, 4, ahead=1),
    "window-all-ahead": lambda: Window(D, 3, ahead=2),
}
for _name, _make in EVERY_CELL.items():
    LAYERS |= {
        f"{_name}-forward": lambda make=_make: Recurrent(make(D, H)),
        f"{_name}-reverse": lambda make=_make: Recurrent(make(D, H), reverse=True),
        f"{_name}-both": lambda make=_make: both(make),
        f"{_name}-stacked": lambda make=_make: Stacked([Recurrent(make(D, H)), Recurrent(make(H, 4))]),
    }
LAYERS["zoneout"] = lambda: Recurrent(LSTMCell(D, H), zoneout=0.3)
LAYERS["mixed-stack"] = lambda: Stacked([both(GRUCell), Recurrent(LSTMCell(2 * H, 4)), Recurrent(ElmanCell(4, 2))])


def stack(input_size: int, num_blocks: int, **options: object) -> Blocks:
    return Blocks(input_size, 4, [Block(SelfAttention(4, 2, causal=True), 8) for _ in range(num_blocks)], **options)


LAYERS |= {
    "attention-causal": lambda: SelfAttention(4, 2, causal=True),
    "attention-all": lambda: SelfAttention(4, 2, causal=False),
    "attention-rotary": lambda: SelfAttention(4, 2, causal=True, rotary=True, max_length=9),
    "attention-rotary-all": lambda: SelfAttention(4, 2, causal=False, rotary=True),
    "attention-grouped": lambda: SelfAttention(8, 4, causal=True, kv_heads=2),
    "attention-grouped-all": lambda: SelfAttention(8, 4, causal=False, kv_heads=1, rotary=True),
    "block-pre": lambda: Block(SelfAttention(4, 2, causal=True), 8),
    "block-rms": lambda: Block(SelfAttention(4, 2, causal=True), 8, normalization="rms"),
    "block-gated": lambda: Block(SelfAttention(4, 2, causal=True), 8, gated=True, nonlinearity="silu"),
    "block-post": lambda: Block(SelfAttention(4, 2, causal=True), 8, norm="post", nonlinearity="gelu"),
    "block-gru": lambda: Block(Recurrent(GRUCell(4, 4)), 8),
    "block-both": lambda: Block(both(LSTMCell, 4, 2), 8),
    "blocks-mixed": lambda: Blocks(
        D, 4, [Block(Recurrent(LSTMCell(4, 4)), 8), Block(SelfAttention(4, 2, causal=True), 8)], position=None
    ),
    "projected": lambda: Projected(Recurrent(cells.LinearAttentionCell(D, 6, num_heads=2)), 4),
    "block-gated_deltanet": lambda: Block(
        Projected(Recurrent(cells.GatedDeltaNetCell(4, 4, num_heads=2, negative_eigenvalues=True)), 4), 8
    ),
    "block-slstm": lambda: Block(Recurrent(cells.SLSTMCell(4, 4, num_heads=2)), 8),
    "block-all": lambda: Block(SelfAttention(4, 1, causal=False), 8),
    "blocks": lambda: stack(D, 2, max_length=9),
    "blocks-learned": lambda: stack(4, 1, max_length=9, position="learned"),
}

MODERN = {
    "position": "rotary",
    "normalization": "rms",
    "gated": True,
    "nonlinearity": "silu",
    "kv_heads": 2,
    "residual_init": "scaled",
    "num_layers": 2,
}
"""All later options of blocks together, as in LLaMA."""
ALONE = (
    {"position": "rotary"},
    {"normalization": "rms"},
    {"gated": True},
    {"kv_heads": 1},
    {"residual_init": "scaled"},
)
"""Each of them alone."""

BLOCK = {"normalization": "rms", "gated": True, "nonlinearity": "silu"}
INPUTS = {"ids": Ids(11), "features": Features(3)}
OPTIONS: dict[tuple[str, str], list[dict[str, object]]] = {
    ("feedforward", "once"): [{}, {"read": "max", "num_layers": 2}, {"nonlinearity": "tanh"}],
    ("feedforward", "each"): [
        {"window": 3},
        {"window": 1, "num_layers": 2},
        {"window": 3, "bidirectional": True},
    ],
    ("recurrent", "once"): [
        {},
        {"read": "mean"},
        {"read": "max", "num_layers": 2},
        {"bidirectional": True},
        {"bidirectional": True, "read": "mean", "num_layers": 2},
    ],
    ("recurrent", "each"): [{}, {"num_layers": 2}, {"bidirectional": True}, {"zoneout": 0.2}],
    ("transformer", "once"): [{}, {"read": "max", "num_layers": 2}, {"norm": "post", "position": "learned"}, MODERN],
    ("transformer", "each"): [{}, {"num_layers": 2, "norm": "post", "nonlinearity": "gelu"}, *ALONE, MODERN],
    ("residual", "once"): [{}, {"read": "mean", "num_layers": 2}],
    ("residual", "each"): [{"num_layers": 2, **BLOCK}],
    ("mingru", "each"): [{}, {"cell": "minlstm", "residual_init": "scaled"}],
    ("xlstm", "each"): [
        {"num_layers": 2, **BLOCK},
        {"num_layers": 4, "mixers": "elman lstm gru layernorm_gru"},
        {"num_layers": 2, "mixers": "minlstm mlstm"},
    ],
    ("gated_deltanet", "each"): [{"negative_eigenvalues": True}, {"convolution": 1}],
    ("hybrid", "each"): [{"num_layers": 3}, {"num_layers": 2, "mixers": "attention mingru", "kv_heads": 2}],
    ("gpt", "each"): [
        {},
        {"num_layers": 2},
        {"norm": "post", "position": "learned"},
        {"num_heads": 1},
        *ALONE,
        MODERN,
        {**MODERN, "norm": "post"},
    ],
}


ATTENTIVE = ("transformer", "gpt")
RESIDUAL = tuple(architecture.name for architecture in LINEAGE if architecture.mixers)
EVEN = (*ATTENTIVE, *RESIDUAL)
"""Models whose width four heads divide."""


class ModelCase(NamedTuple):
    name: str
    inputs: str
    answer: str
    options: dict[str, object]

    def make(self, **more: object) -> nn.Module:
        small = {"hidden_size": 8 if self.name in EVEN else 5} | ({"embedding_size": 6} if self.inputs == "ids" else {})
        config = ModelConfig(**{**small, **self.options, **more})
        return build(self.name, INPUTS[self.inputs], 4, config, answer=self.answer)

    def __str__(self) -> str:
        return "-".join([self.name, self.inputs, self.answer, *(f"{k}={v}" for k, v in self.options.items())])


def _kind(architecture: Architecture) -> str:
    return "residual" if architecture.mixers else "recurrent" if architecture.cells else architecture.name


BUILT = [architecture for architecture in LINEAGE if architecture.tasks != ("translate",)]
MODELS = [
    ModelCase(architecture.name, inputs, answer, options)
    for architecture in BUILT
    for inputs in INPUTS
    for answer in ("once", "each")
    for options in OPTIONS.get((architecture.name, answer)) or OPTIONS.get((_kind(architecture), answer), [])
]


SEQ2SEQ = ("encoder_decoder", "attention", *EVEN)
"""Models that read a source."""
PAIRS = Pairs(9, 11)


class PairsCase(NamedTuple):
    name: str
    options: dict[str, object]

    def make(self, inputs: Pairs = PAIRS, **more: object) -> nn.Module:
        hidden_size = 8 if self.name in EVEN else 5
        config = ModelConfig(**{"embedding_size": 6, "hidden_size": hidden_size, **self.options, **more})
        return build(self.name, inputs, inputs.vocabulary_size, config, answer="each")

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])


PAIRS_MODELS = [
    PairsCase("encoder_decoder", {"cell": "layernorm_lstm", "bidirectional": True}),
    PairsCase("attention", {"cell": "layernorm_gru", "zoneout": 0.2}),
    PairsCase("encoder_decoder", {}),
    PairsCase("encoder_decoder", {"cell": "lstm", "num_layers": 2, "bidirectional": True}),
    PairsCase("encoder_decoder", {"cell": "elman", "reverse_source": True, "tied": True}),
    PairsCase("attention", {}),
    PairsCase("attention", {"cell": "lstm", "num_layers": 2, "bidirectional": True}),
    PairsCase("attention", {"cell": "elman", "reverse_source": True, "tied": True}),
    PairsCase("attention", {"score": "dot", "cell": "lstm"}),
    PairsCase("attention", {"score": "general", "bidirectional": True, "num_layers": 2}),
    PairsCase("attention", {"score": "dot", "input_feeding": True}),
    PairsCase("attention", {"score": "general", "input_feeding": True, "cell": "lstm", "num_layers": 2}),
]
ATTENTIVE_PAIRS_MODELS = [
    PairsCase("transformer", {}),
    PairsCase("transformer", {"num_layers": 2, "norm": "post", "tied": True}),
    PairsCase("transformer", {"position": "learned"}),
    PairsCase("gpt", {}),
    PairsCase("gpt", {"num_layers": 2, "position": "learned", "tied": True}),
    *(PairsCase("transformer", options) for options in ALONE),
    *(PairsCase(name, MODERN) for name in ATTENTIVE),
]

RESIDUAL_PAIRS_MODELS = [
    PairsCase("mingru", {}),
    PairsCase("linear_attention", {"tied": True}),
    PairsCase("xlstm", {"num_layers": 2}),
    PairsCase("mamba2", {}),
    PairsCase("gated_deltanet", {"num_layers": 2, **BLOCK}),
    PairsCase("hybrid", {"num_layers": 3}),
]


def shaken(module: nn.Module) -> nn.Module:
    """Change every parameter of the module at random, so that no zero bias hides a mistake, and return it."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


def gradients(outputs: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Return the gradients of a fixed random function of the outputs."""
    generator = torch.Generator().manual_seed(7)
    loss = sum((value * torch.randn(value.shape, generator=generator, dtype=value.dtype)).sum() for value in outputs)
    return list(torch.autograd.grad(loss, inputs))
