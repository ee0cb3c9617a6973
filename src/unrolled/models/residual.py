"""Recurrence in residual blocks: the block of a Transformer, with another mixer in the place of attention.

    x = enter(E[ids]);  x ← x + mixer(norm(x));  x ← x + feedforward(norm(x)), in each block;  logits = W read(x) + b

A mixer is a cell over time, of the lineage's last part (linear_attention, mingru, minlstm, mlstm, slstm, mamba2,
gated_deltanet) or of its first (elman, lstm, gru), or causal attention. Cells with heads are followed by a linear
layer, as attention is. A recurrence knows the order, also for attention above it; linear attention, whose state is a
sum, does not, so a stack of nothing but these two has sinusoidal positions.

The state has a fixed size, unless a mixer is attention. To translate, the model reads the source, <sep> and the target
as one sequence (models/decoder.py). read = last: the output at the last step; mean or max: the pooled outputs of all.

See layers/block.py for a block. In this form: Feng et al. 2024, Beck et al. 2024 (their post-up-projection), Yang et
al. 2024; with attention among the mixers: De et al., "Griffin", 2024, and Lieber et al., "Jamba", 2024.
"""

from __future__ import annotations

from itertools import cycle, islice

from unrolled.cells import CELLS
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import Bag, Block, Blocks, Last, Layer, Projected, Recurrent, SelfAttention
from unrolled.models.decoder import DecoderModel
from unrolled.models.model import Answer, Inputs, Pairs
from unrolled.models.recurrent import make_cell
from unrolled.models.transformer import head, inner_size

__all__ = ["ResidualModel", "make_mixer"]

CHOICES = {
    "num_heads": "heads",
    "kv_heads": "attention",
    "convolution": "a convolution",
    "negative_eigenvalues": "this option",
    "forget_bias": "a forget bias",
}
"""Options that only some mixers have, and the names of what these have."""


class ResidualModel(DecoderModel):
    """Embedding or features, residual blocks with recurrent mixers, head.

    Args:
        inputs, num_outputs, config, answer: see Model; with Pairs the answer must be "each". The options of the config
            that it uses are in `config/uses.py`.
        name: name of the architecture.
        mixers: its mixers, repeated upwards; `config.mixers` selects others, and `config.cell` another cell for all.
        cells: the cells that `config.cell` may select.

    Raises:
        ConfigError: Pairs with answer "once", another number of mixers than of layers, a cell that is not in `cells`,
            heads that do not divide the size, or an option that the model or none of its mixers uses.
    """

    def __init__(
        self,
        inputs: Inputs,
        num_outputs: int,
        config: ModelConfig,
        answer: Answer = "once",
        *,
        name: str,
        mixers: tuple[str, ...],
        cells: tuple[str, ...] = (),
    ) -> None:
        super().__init__(inputs, num_outputs, config, answer, causal=True)
        self.title = name
        if isinstance(inputs, Pairs) and answer != "each":
            raise ConfigError(f'model {name} predicts a target step by step: with Pairs answer must be "each"')
        if config.cell is not None and cells and config.cell not in cells:
            raise ConfigError(f'model {name} runs cell {" or ".join(cells)}: got "{config.cell}"')
        self.refuse_unused(name, config.cell or (cells[0] if cells else None))
        self.mixers = _mixers(config, mixers)
        _refuse_without_use(config, self.mixers)
        size = config.hidden_size
        self.blocks = Blocks(
            self.input_size,
            size,
            (_block(mixer, config) for mixer in self.mixers),
            position=None if any(map(_knows_order, self.mixers)) else "sinusoidal",
            scaled=config.residual_init == "scaled",
        )
        self.read = config.read or "last"
        self.pool = None
        if answer == "once":
            self.pool = Last(size) if self.read == "last" else Bag(size, pool=self.read)
        self.head = head(self)
        self.head.bias.requires_grad_(config.head_bias)


def make_mixer(name: str, config: ModelConfig) -> Layer:
    """Build the mixer called `name`: a cell of `CELLS` over time, or "attention"; from and to `config.hidden_size`.

    Raises:
        ConfigError: heads that do not divide the size.
    """
    size = config.hidden_size
    if name == "attention":
        return SelfAttention(size, config.num_heads, causal=True, kv_heads=config.kv_heads)
    own = (
        config if name != "elman" else config.model_copy(update={"nonlinearity": None})
    )  # that of the block is another
    recurrent = Recurrent(make_cell(name, size, own))
    return Projected(recurrent, size) if "num_heads" in CELLS[name].options else recurrent


def _knows_order(mixer: str) -> bool:
    """Return whether the outputs of a mixer depend on the order of earlier steps: it decays, or its gates read them."""
    return mixer != "attention" and (CELLS[mixer].keeps is not None or bool(CELLS[mixer].feedback))


def _mixers(config: ModelConfig, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return the mixer of each layer, from the lowest to the highest."""
    if config.mixers is None:
        return tuple(islice(cycle(default if config.cell is None else (config.cell,)), config.num_layers))
    mixers = tuple(config.mixers.split())
    if len(mixers) != config.num_layers:
        layers = "1 layer" if config.num_layers == 1 else f"{config.num_layers} layers"
        raise ConfigError(
            f"mixers must name one mixer for each of the {layers}: got {len(mixers)}, {config.mixers}; "
            f"set num_layers to {len(mixers)}"
        )
    return mixers


def _refuse_without_use(config: ModelConfig, mixers: tuple[str, ...]) -> None:
    """Refuse options that are set although none of the mixers has them."""
    of_attention = {"num_heads", "kv_heads"}
    known = set().union(*(of_attention if name == "attention" else CELLS[name].options for name in mixers))
    for option, what in CHOICES.items():
        if option not in known and getattr(config, option) != ModelConfig.model_fields[option].default:
            raise ConfigError(f"{option} is set, but none of the mixers has {what}: {', '.join(mixers)}")


def _block(mixer: str, config: ModelConfig) -> Block:
    size = config.hidden_size
    return Block(
        make_mixer(mixer, config),
        config.feedforward_size or inner_size(size, gated=config.gated),
        norm=config.norm,
        normalization=config.normalization,
        nonlinearity=config.nonlinearity or "gelu",
        gated=config.gated,
        dropout=config.dropout,
    )
