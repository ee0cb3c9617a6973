"""Settings of the training."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from unrolled.config.section import (
    FEW_BITS,
    FLOAT32,
    LARGEST_SEED,
    LONGEST_TIME,
    MOST_UPDATES,
    NO_END,
    NO_MEMORY,
    Section,
    one_path,
)
from unrolled.errors import excerpt

__all__ = ["BestBy", "Device", "TrainingConfig", "seconds"]

BestBy = Literal["loss", "accuracy", "macro_f1", "micro_f1", "r2", "bleu"]
Device = Literal["auto", "cpu", "cuda", "mps"]


class TrainingConfig(Section):
    """Settings of a training: optimiser, learning rate and schedule, length, evaluations, checkpoints, device."""

    vectors: str | None = Field(
        None,
        description="file of word vectors (GloVe, word2vec or fastText as text; also .gz, .xz, .bz2) that begin the "
        "embeddings: of --tokenizer word, and of the whole words of task tag; --embedding-size follows from it",
    )
    freeze_vectors: bool = Field(
        False,
        description="do not train the embeddings, which --vectors or --from has set; "
        "words without a vector keep their random values",
    )
    updates: int | None = Field(
        None,
        ge=1,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="number of optimiser updates; takes precedence over --epochs",
    )
    epochs: float | None = Field(
        None,
        gt=0,
        le=10**6,
        json_schema_extra=NO_END,
        description="number of passes over the training split; default: by the data, more where they are few",
    )
    time_limit: str | None = Field(
        None,
        description="training time, e.g. 90s, 10m or 1.5h; converted to updates, takes precedence over --updates and "
        "--epochs; past one and a half times the limit the best model so far is saved, and the training can be resumed",
    )
    batch_tokens: int | None = Field(
        None,
        ge=1,
        le=10**9,
        json_schema_extra=NO_MEMORY,
        description="maximum tokens in a batch, including padding; default: by the data, fewer where they are few",
    )
    batch_images: int | None = Field(
        None,
        ge=1,
        le=10**6,
        json_schema_extra=NO_MEMORY,
        description="images in a batch; default: by the data, fewer where they are few",
    )
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="updates between checkpoints; default: every 10 seconds, or less often so that they take 2 % of "
        "the time",
    )
    streams: int = Field(
        16,
        ge=1,
        le=65_536,
        json_schema_extra=NO_MEMORY,
        description="number of parallel streams of the text in a batch (task generate)",
    )
    chunk: int = Field(
        64,
        ge=1,
        le=10**6,
        json_schema_extra=NO_MEMORY,
        description="tokens of each stream in a batch, and steps of truncated backpropagation (task generate; model "
        "gpt reads whole windows)",
    )
    accumulate: int = Field(
        1,
        ge=1,
        le=10_000,
        json_schema_extra={"reason": "all its batches are held in memory"},
        description="batches whose gradients are summed into one update",
    )
    learning_rate: float = Field(
        2e-3, gt=0, le=1_000, json_schema_extra=FLOAT32, description="peak learning rate of AdamW"
    )
    warmup: float = Field(0.05, ge=0, le=1, description="fraction of the updates in which the learning rate rises")
    schedule: Literal["cosine", "inverse_sqrt", "plateau", "constant"] = Field(
        "cosine",
        description="learning rate after the warm-up: falling to 0 as a cosine, falling as 1 / √updates, reduced "
        "when the validation loss stops improving, or constant",
    )
    plateau_patience: int = Field(
        2,
        ge=1,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="evaluations without improvement before schedule plateau reduces the learning rate",
    )
    plateau_factor: float = Field(
        0.5, gt=0, lt=1, description="factor by which schedule plateau reduces the learning rate"
    )
    weight_decay: float = Field(
        0.01, ge=0, le=1_000, json_schema_extra=FLOAT32, description="decoupled weight decay of weight matrices"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="fraction of each target that is spread over all outputs"
    )
    class_weights: Literal["none", "balanced", "sqrt"] = Field(
        "none",
        description="weights of classes in the loss: inversely proportional to their frequency (balanced), or to its "
        "square root (sqrt), which costs less accuracy (classify, tag)",
    )
    temperature_scale: bool = Field(
        False,
        description="at the end, fit on the validation split a temperature that calibrates the probabilities and "
        "changes no answer (Guo et al. 2017; classify, tag)",
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of the weights, e.g. 0.999; the averaged weights are evaluated and "
        "saved; 0: none",
    )
    average_best: int = Field(
        0,
        ge=0,
        le=100,
        json_schema_extra={"reason": "each is one more copy of the weights in memory and in a checkpoint"},
        description="number of best evaluations whose weights are averaged at the end; the mean is kept if it is not "
        "worse than the best on the validation split; 0 or 1: none",
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="precision of matrix products in training; with bf16, states and sums stay in float32"
    )
    clip: float = Field(
        1.0, gt=0, le=1e30, json_schema_extra=FLOAT32, description="maximum norm of the gradient of an update"
    )
    evaluate_every: int | None = Field(
        None,
        ge=1,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="updates between evaluations; default: once an epoch, at most 20 times in total",
    )
    patience: int = Field(
        4,
        ge=0,
        le=MOST_UPDATES,
        json_schema_extra=NO_END,
        description="evaluations without improvement, in the loss and in --best-by, before training stops; 0: never",
    )
    best_by: BestBy = Field(
        "loss",
        description="figure on the validation split by which the kept model is chosen: the least loss; or the greatest "
        "accuracy, and of models within a standard error of it the latest; or the greatest mean F1 of the classes "
        "(classify, tag), F1 of all decisions (multi-label), R² (regress) or BLEU (translate; each evaluation then "
        "translates the split)",
    )
    baseline: bool = Field(
        True,
        description="also learn a baseline that costs seconds, and compare it on the test split: a linear classifier "
        "(task classify), or the most frequent tag of each word (task tag)",
    )
    keep: Literal["snapshots"] | None = Field(
        None, description="snapshots: save the weights as float16 at ten updates, at growing intervals"
    )
    tensorboard: bool = Field(
        False, description="also write events for TensorBoard (needs the extra unrolled[tensorboard])"
    )
    seed: int = Field(
        0,
        ge=0,
        le=LARGEST_SEED,
        json_schema_extra=FEW_BITS,
        description="seed of the initial weights, the order of examples and dropout",
    )
    device: Device = Field("auto", description="device of the computation")
    threads: int | None = Field(
        None,
        ge=1,
        le=1_024,
        json_schema_extra={"reason": "no processor has more cores"},
        description="CPU threads; default: chosen by PyTorch",
    )
    shards: int | None = Field(
        None,
        ge=1,
        le=65_536,
        json_schema_extra={"reason": "a batch has no more sequences"},
        description="parts of a batch whose gradients are computed alone and summed in one order: up to so many "
        "processes of torchrun train with the same bits; default: the number of processes, 1 without torchrun",
    )
    backend: Literal["auto", "reference", "torch", "fused"] = Field(
        "auto", description="implementation of the recurrent layers"
    )

    @field_validator("vectors")
    @classmethod
    def _path_is_one(cls, path: str | None) -> str | None:
        return one_path(path)

    @field_validator("time_limit")
    @classmethod
    def _time_limit_is_a_time(cls, text: str | None) -> str | None:
        if text is not None:
            seconds(text)
        return text


def seconds(time: str) -> float:
    """Return the seconds of a time as 90s, 10m or 1.5h.

    Raises:
        ValueError: the text is not a time above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", time)
    limit = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0
    if not limit:
        raise ValueError(f"time_limit should be a time above 0, as 90s, 10m or 1.5h: got {excerpt(repr(time))}")
    if limit > LONGEST_TIME:
        raise ValueError(f"time_limit should be at most 10 years (no training takes longer): got {excerpt(repr(time))}")
    return limit
