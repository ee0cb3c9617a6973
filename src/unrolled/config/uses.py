"""The settings that each task and each model uses: one table, from which refusals and the help are made.

A setting that is not in the table is used by all. A new setting that only some tasks or models use gets a line here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from unrolled import lineage
from unrolled.config.config import Config
from unrolled.config.defaults import IMAGES, MULTI_LABEL, TASK

__all__ = ["BLOCKS", "EMBEDDING", "HEADED", "USES", "Choice", "Condition", "unused", "unused_options", "used"]

Condition = Mapping[str, tuple[str, ...]]
"""Allowed values of fields of `Choice`, all of which must hold."""


class Choice(NamedTuple):
    """The settings that decide which others are used.

    Args:
        task: its name; of task classify also "images", for image data, and "multi_label".
        model: name of the model.
        cell: cell of its recurrent layers; None: it has none.
        schedule: schedule of the learning rate.
    """

    task: str
    model: str
    cell: str | None
    schedule: str

    @classmethod
    def of(cls, config: Config) -> Choice:
        """Return the choice of a configuration, of which `by` is set for images only."""
        model = config.model.name
        kind = config.task
        if config.data.by is not None and lineage.task(config.task).images:
            kind = IMAGES
        elif config.data.multi_label and config.task == TASK:
            kind = MULTI_LABEL
        cell = config.model.cell or next(iter(lineage.cells_of(model)), None)
        return cls(kind, model, cell, config.training.schedule)

    def meets(self, condition: Condition) -> bool:
        """Return whether a condition holds."""
        return all(getattr(self, field) in allowed for field, allowed in condition.items())


TEXTS = ("classify", MULTI_LABEL, "regress")
"""Tasks with one answer for a text."""
ONCE = ("elman", "lstm", "gru")
PAIRED = ("encoder_decoder", "attention")
BLOCKS = ("transformer", "gpt")
"""Models of blocks with attention heads."""
MIXED = ("xlstm", "hybrid")
"""Models of residual blocks whose mixers can be chosen."""
HEADED = ("linear_attention", "mamba2", "gated_deltanet", *MIXED)
"""Models of residual blocks with a state for each head."""
RESIDUAL = ("mingru", *HEADED)
"""Models of residual blocks with recurrent mixers."""
EMBEDDING = ("embedding_size", "embedding_std")
LSTM_CELLS = ("lstm", "layernorm_lstm", "minlstm")
CONVOLVED_CELLS = ("mamba2", "gated_deltanet")
HEADED_CELLS = ("linear_attention", "mlstm", "slstm", *CONVOLVED_CELLS)


def _tasks(*names: str) -> tuple[Condition, ...]:
    return ({"task": names},)


def _models(*names: str) -> tuple[Condition, ...]:
    return ({"model": names},)


USES: dict[str, tuple[Condition, ...]] = {
    # data
    **dict.fromkeys(("source", "target", "source_tokenizer", "shared_vocabulary"), _tasks("translate")),
    **dict.fromkeys(("max_length", "truncate"), _tasks("translate")),
    "text": _tasks(*TEXTS),
    "label": _tasks(*TEXTS, "tag"),
    **dict.fromkeys(("strip_labels", "fold_labels"), _tasks("classify", MULTI_LABEL, "tag")),
    **dict.fromkeys(("multi_label", "label_separator"), _tasks("classify", MULTI_LABEL)),
    "decimal": _tasks("regress"),
    "class_names": _tasks("classify", IMAGES),
    **dict.fromkeys(("header", "separator"), _tasks(*TEXTS, "translate")),
    **dict.fromkeys(("on_bad_row", "folds", "fold"), _tasks(*TEXTS, IMAGES, "tag", "translate")),
    **dict.fromkeys(
        ("tokenizer", "vocabulary_size", "min_frequency", "lowercase", "normalize"),
        _tasks(*TEXTS, "tag", "translate", "generate"),
    ),
    **dict.fromkeys(("whole_words", "column"), _tasks("tag")),
    **dict.fromkeys(("by", "permutation_seed", "batch_images"), _tasks(IMAGES)),
    "cache": _tasks(*TEXTS, "tag", "translate", "generate"),
    # model
    **dict.fromkeys(EMBEDDING, _tasks(*TEXTS, "tag", "translate", "generate")),
    "bidirectional": (
        {"model": ONCE, "task": (*TEXTS, IMAGES, "tag")},
        {"model": PAIRED},
        {"model": ("feedforward",), "task": ("tag",)},
    ),
    "read": (
        {"task": TEXTS},
        {"task": (IMAGES,), "model": (*ONCE, "transformer", *RESIDUAL)},
    ),
    "window": ({"model": BLOCKS}, {"model": ("feedforward",), "task": ("tag", "generate")}),
    **dict.fromkeys(
        ("feedforward_size", "gated", "norm", "normalization", "residual_init"), _models(*BLOCKS, *RESIDUAL)
    ),
    "position": _models(*BLOCKS),
    "num_heads": ({"model": (*BLOCKS, *HEADED)}, {"model": PAIRED, "cell": HEADED_CELLS}),
    "kv_heads": _models(*BLOCKS, *MIXED),
    "mixers": _models(*MIXED),
    "convolution": ({"model": ("mamba2", "gated_deltanet", *MIXED)}, {"model": PAIRED, "cell": CONVOLVED_CELLS}),
    "negative_eigenvalues": ({"model": ("gated_deltanet", *MIXED)}, {"model": PAIRED, "cell": ("gated_deltanet",)}),
    "variational": (
        {"model": (*ONCE, *PAIRED)},
        {"model": ("feedforward",), "task": (*TEXTS, "tag", "generate")},
    ),
    "cell": _models(*ONCE, *PAIRED, "mingru"),
    **dict.fromkeys(("recurrent_dropout", "zoneout"), _models(*ONCE, *PAIRED)),
    "nonlinearity": ({"model": ("feedforward", *BLOCKS, *RESIDUAL)}, {"cell": ("elman",)}),
    "forget_bias": ({"cell": LSTM_CELLS}, {"model": MIXED}),
    "reverse_source": _models(*PAIRED),
    **dict.fromkeys(("score", "input_feeding"), _models("attention")),
    "head_bias": _models("gpt", *RESIDUAL),
    "tied": (
        {"model": (*PAIRED, "gpt")},
        {"model": RESIDUAL, "task": ("translate", "generate")},
        {"model": ("transformer",), "task": ("translate",)},
    ),
    # training
    "batch_tokens": _tasks(*TEXTS, "tag", "translate"),
    **dict.fromkeys(("vectors", "freeze_vectors"), _tasks(*TEXTS, "tag", "generate")),
    **dict.fromkeys(("streams", "chunk"), _tasks("generate")),
    **dict.fromkeys(("class_weights", "baseline", "temperature_scale"), _tasks("classify", IMAGES, "tag")),
    "label_smoothing": _tasks("classify", MULTI_LABEL, IMAGES, "tag", "translate", "generate"),
    "backend": _models(*ONCE, *PAIRED, *RESIDUAL),
    **dict.fromkeys(("plateau_patience", "plateau_factor"), ({"schedule": ("plateau",)},)),
}
"""Conditions of each setting; it is used where one of them holds."""


def used(name: str, choice: Choice) -> bool:
    """Return whether a setting is used."""
    like = lineage.architecture(choice.model).uses
    return any(map(choice._replace(model=like or choice.model).meets, USES.get(name, ({},))))


def unused(choice: Choice) -> frozenset[str]:
    """Return the settings that are not used."""
    return frozenset(name for name in USES if not used(name, choice))


def unused_options(tasks: Iterable[str], model: str, cell: str | None) -> frozenset[str]:
    """Return the settings that a model uses in none of these tasks."""
    return frozenset.intersection(*(unused(Choice(task, model, cell, "")) for task in tasks))
