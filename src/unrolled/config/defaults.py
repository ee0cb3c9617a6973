"""Defaults of a task, or of a model for a task, that differ from those in the schema (data.py, model.py, training.py).

Chosen on the validation splits of the samples, with trainings of a few minutes on two cores.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["BY_COMPARISON", "BY_DATA", "IMAGES", "MODEL", "MULTI_LABEL", "TASK", "TASK_DEFAULTS", "ByData"]

TASK = "classify"
MODEL = "gru"
MULTI_LABEL = "multi_label"
"""Task classify with several labels a text: a task of its own for defaults and uses of settings."""
IMAGES = "images"
"""Task classify with image data, for which `by` is set: a task of its own for defaults and uses of settings."""
GATED_BLOCKS = {"normalization": "rms", "gated": True, "nonlinearity": "silu"}
MODERN_BLOCKS = {"position": "rotary", **GATED_BLOCKS}
"""Options of blocks as most networks since 2023 have them (docs/measured.md, "Defaults").

With a source to attend to, positions stay sinusoidal: rotary ones are unknown to that attention.
"""
TASK_DEFAULTS: dict[str, dict[str, Any]] = {
    "classify": {"best_by": "accuracy"},
    IMAGES: {
        "hidden_size": 256,
        "dropout": 0.2,
        "learning_rate": 1e-3,
        "best_by": "accuracy",
    },
    "generate": {
        "tokenizer": "character",
        "min_frequency": 1,
        "lowercase": False,
        "embedding_size": 64,
        "embedding_std": 1.0,
        "hidden_size": 384,
        "dropout": 0.0,
        "learning_rate": 4e-3,
        "warmup": 0.03,
    },
    "tag": {
        "label": "UPOS",
        "best_by": "accuracy",
        "tokenizer": "bpe",
        "vocabulary_size": 600,
        "whole_words": 20_000,
        "lowercase": False,
        "embedding_std": 1.0,
        "hidden_size": 192,
        "bidirectional": True,
        "learning_rate": 3e-3,
        "label_smoothing": 0.1,
    },
    "translate": {
        "model": "attention",
        "vocabulary_size": 8_000,
        "lowercase": False,
        "embedding_size": 256,
        "embedding_std": 1.0,
        "hidden_size": 256,
        "bidirectional": True,
        "dropout": 0.2,
        "learning_rate": 3e-3,
        "label_smoothing": 0.1,
    },
    "classify feedforward": {"best_by": "loss"},
    "classify transformer": {"learning_rate": 1e-3, **MODERN_BLOCKS},
    "regress transformer": {"learning_rate": 1e-3, **MODERN_BLOCKS},
    "tag transformer": {"num_layers": 2, "learning_rate": 1e-3, **MODERN_BLOCKS},
    "generate gpt": {"num_layers": 4, "embedding_size": 128, "hidden_size": 128, "learning_rate": 2e-3},
    "translate transformer": {"num_layers": 3, "dropout": 0.1, "learning_rate": 1.5e-3, **GATED_BLOCKS},
    "translate gpt": {
        "bidirectional": False,
        "num_layers": 4,
        "dropout": 0.1,
        "learning_rate": 1.5e-3,
    },
}
RESIDUAL: dict[str, dict[str, Any]] = {
    "classify": {"num_layers": 2, "learning_rate": 1e-3},
    "regress": {"num_layers": 2, "learning_rate": 1e-3},
    "tag": {"bidirectional": False, "num_layers": 2, "learning_rate": 1e-3},
    "translate": {"bidirectional": False, "num_layers": 4, "dropout": 0.1, "learning_rate": 1.5e-3},
    "generate": {"num_layers": 4, "embedding_size": 128, "hidden_size": 128, "learning_rate": 2e-3},
}
"""Defaults of models of residual blocks with recurrent mixers, by task, beside GATED_BLOCKS."""
TASK_DEFAULTS |= {
    f"{task} {model}": {**GATED_BLOCKS, **own} | ({"num_layers": 3} if model == "hybrid" else {})
    for task, own in RESIDUAL.items()
    for model in ("linear_attention", "mingru", "xlstm", "mamba2", "gated_deltanet", "hybrid")
}


BY_COMPARISON = ("model", "updates", "epochs", "time_limit", "folds", "fold")
"""Settings that `unrolled compare` decides itself: by its models and its budget."""


class ByData(NamedTuple):
    """Settings of a task that follow from the data where they are not given; see `unrolled.training.by_data`.

    Args:
        batch: the least and the most of `batch_tokens`, or of `batch_images`; None: not by the data.
        epochs: passes over the training split, or more where these are fewer than `updates`.
        updates: the least number of updates, within MOST_EPOCHS.
    """

    batch: tuple[int, int] | None
    epochs: float
    updates: int


BY_DATA = {
    "classify": ByData((512, 2_048), 10, 1_200),
    "regress": ByData((512, 2_048), 10, 1_200),
    IMAGES: ByData((16, 128), 10, 400),
    "generate": ByData(None, 4, 400),
    "tag": ByData((512, 2_048), 16, 400),
    "translate": ByData((512, 4_096), 10, 600),
    "translate transformer": ByData((512, 1_024), 10, 600),
    "translate gpt": ByData((512, 1_024), 10, 600),
}
"""For tasks and, where they differ, for models of a task."""
