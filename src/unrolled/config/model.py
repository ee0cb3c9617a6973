"""Settings of the model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from unrolled import lineage
from unrolled.config.defaults import MODEL
from unrolled.config.section import NO_MEMORY, Section
from unrolled.errors import nearest

__all__ = ["ModelConfig"]


class ModelConfig(Section):
    """The model's name, sizes and options. A model refuses options that it does not use."""

    name: str = Field(MODEL, description="model architecture")
    embedding_size: int = Field(
        128, ge=1, le=65_536, json_schema_extra=NO_MEMORY, description="size D of token embeddings"
    )
    embedding_std: float = Field(
        0.1,
        gt=0,
        le=1_000,
        json_schema_extra={"reason": "the outputs of larger embeddings have no gradient"},
        description="standard deviation of initial embeddings: small if most tokens are rare, 1 if all are frequent",
    )
    hidden_size: int = Field(
        128, ge=1, le=65_536, json_schema_extra=NO_MEMORY, description="size H of a hidden layer or state"
    )
    num_layers: int = Field(1, ge=1, le=1_000, json_schema_extra=NO_MEMORY, description="number of stacked layers")
    bidirectional: bool = Field(
        False, description="read the sequence in both directions; model feedforward: a window centred on each step"
    )
    read: Literal["last", "mean", "max"] | None = Field(
        None, description="pooling of the outputs into one answer; default: last, or mean with model feedforward"
    )
    window: int | None = Field(
        None,
        ge=1,
        le=65_536,
        json_schema_extra=NO_MEMORY,
        description="context window in tokens: model feedforward with an answer at each step (default: 16), model gpt "
        "(64); model transformer: maximum length of a sequence (default: unlimited, or 1024 with learned positions)",
    )
    num_heads: int = Field(
        4,
        ge=1,
        le=1_000,
        json_schema_extra=NO_MEMORY,
        description="number N of heads: of attention, and of cells with a state for each head",
    )
    kv_heads: int | None = Field(
        None,
        ge=1,
        le=1_000,
        json_schema_extra=NO_MEMORY,
        description="number of heads of keys and values, a divisor of num_heads: fewer make the state smaller "
        "(Ainslie et al. 2023); default: num_heads",
    )
    feedforward_size: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        json_schema_extra=NO_MEMORY,
        description="inner size of a block's feedforward network; default: 4 hidden_size, or, if gated, 8/3 "
        "hidden_size (up to a multiple of 8), which has as many weights",
    )
    gated: bool = Field(
        False,
        description="gate the feedforward network of a block: SwiGLU with nonlinearity silu, GEGLU with gelu, ReGLU "
        "with relu (Shazeer 2020)",
    )
    norm: Literal["pre", "post"] = Field("pre", description="normalisation before or after the layers of a block")
    normalization: Literal["layer", "rms"] = Field(
        "layer",
        description="normalisation of a block: by mean and variance, or by the root mean square (Zhang & Sennrich "
        "2019)",
    )
    position: Literal["sinusoidal", "learned", "rotary"] = Field(
        "sinusoidal",
        description="position encoding of attention: vectors added to the inputs, or rotations of queries and keys "
        "(rotary: Su et al. 2021)",
    )
    residual_init: Literal["plain", "scaled"] = Field(
        "plain",
        description="initial weights of the layers that a block adds to its input: plain, or scaled by 1/√(their "
        "number in the stack), as in GPT-2",
    )
    dropout: float = Field(0.4, ge=0, lt=1, description="dropout rate of embeddings and layer outputs")
    variational: bool = Field(
        False, description="use one dropout mask for all steps of a sequence (Gal & Ghahramani 2016)"
    )
    recurrent_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout rate of the recurrent input h, with one mask for all steps"
    )
    zoneout: float = Field(
        0.0, ge=0, lt=1, description="probability that a unit of a recurrent state keeps its previous value at a step"
    )
    nonlinearity: Literal["tanh", "relu", "gelu", "gelu_tanh", "silu"] | None = Field(
        None,
        description="activation function of models elman (default tanh; or relu), feedforward and transformer (relu), "
        "gpt and residual blocks (gelu); gelu_tanh: the approximation of gelu by tanh, as in GPT-2",
    )
    forget_bias: float | None = Field(
        None,
        ge=-1_000,
        le=1_000,
        json_schema_extra={"reason": "the gate is saturated long before"},
        description="initial bias of the LSTM's forget gate; default: 1",
    )
    cell: str | None = Field(
        None,
        description="cell of the recurrent layers: of models encoder_decoder and attention any (default: gru), of "
        "models lstm and gru also layernorm_lstm and layernorm_gru, of model mingru also minlstm",
    )
    mixers: str | None = Field(
        None,
        description="mixers of the residual blocks of models xlstm and hybrid from the lowest to the highest, cells or "
        'attention, one for each layer: "gated_deltanet gated_deltanet attention" (default of hybrid, repeated)',
    )
    convolution: int | None = Field(
        None,
        ge=1,
        le=64,
        json_schema_extra={"reason": "it is short: longer filters are what the state is for"},
        description="steps of the short convolution before the recurrence of cells mamba2 and gated_deltanet, the "
        "step's own included (default: 4; 1: none)",
    )
    negative_eigenvalues: bool = Field(
        False,
        description="let gated_deltanet write with a strength of up to 2 instead of 1, so that a step may change signs "
        "(Grazzi et al. 2024)",
    )
    reverse_source: bool = Field(
        False,
        description="read the source in reverse order, so that its first tokens are the most recent (task translate)",
    )
    score: Literal["additive", "dot", "general"] = Field(
        "additive", description="attention score of model attention, between decoder state and source"
    )
    input_feeding: bool = Field(
        False, description="feed the attention output of a step into the next step (score dot or general)"
    )
    tied: bool = Field(
        False,
        description="share the weights of the head and the target embedding; with a shared vocabulary of the source "
        "embedding, too",
    )
    head_bias: bool = Field(
        True, description="train a bias of the logits; without it, as in GPT-2, the bias stays at its initial 0"
    )

    @field_validator("mixers")
    @classmethod
    def _mixers_are_known(cls, mixers: str | None) -> str | None:
        for name in [] if mixers is None else mixers.split() or [""]:
            if name not in lineage.MIXERS:
                raise ValueError(
                    f'mixer "{name}" is unknown{nearest(name, lineage.MIXERS)}; mixers are {", ".join(lineage.MIXERS)}'
                )
        return None if mixers is None else " ".join(mixers.split())

    @field_validator("cell")
    @classmethod
    def _cell_is_known(cls, cell: str | None) -> str | None:
        if cell is not None and cell not in lineage.CELLS:
            raise ValueError(
                f'cell "{cell}" is unknown{nearest(cell, lineage.CELLS)}; cells are {", ".join(lineage.CELLS)}'
            )
        return cell
