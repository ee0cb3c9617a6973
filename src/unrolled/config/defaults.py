"""Defaults of a task, or of a model for a task, that differ from those in the schema (data.py, model.py, training.py).

Chosen on the validation splits of the samples, with trainings of a few minutes on two cores.
"""

from __future__ import annotations

from typing import Any

__all__ = ["MODEL", "TASK", "TASK_DEFAULTS"]

TASK = "classify"
MODEL = "gru"
TASK_DEFAULTS: dict[str, dict[str, Any]] = {
    "images": {  # task classify with image data, for which `by` is set
        "hidden_size": 256,
        "dropout": 0.2,
        "learning_rate": 1e-3,
    },
    "generate": {
        "tokenizer": "character",
        "min_frequency": 1,
        "lowercase": False,
        "embedding_size": 64,
        "embedding_std": 1.0,
        "hidden_size": 384,
        "dropout": 0.0,
        "epochs": 4,
        "learning_rate": 4e-3,
        "warmup": 0.03,
    },
    "tag": {
        "label": "UPOS",
        "tokenizer": "bpe",
        "vocabulary_size": 600,
        "whole_words": 20_000,
        "lowercase": False,
        "embedding_std": 1.0,
        "hidden_size": 192,
        "bidirectional": True,
        "epochs": 16,
        "learning_rate": 3e-3,
        "label_smoothing": 0.1,
    },
    "translate": {
        "model": "attention",
        "tokenizer": "bpe",
        "vocabulary_size": 8_000,
        "lowercase": False,
        "embedding_size": 256,
        "embedding_std": 1.0,
        "hidden_size": 256,
        "bidirectional": True,
        "dropout": 0.2,
        "batch_tokens": 4_096,
        "learning_rate": 3e-3,
        "label_smoothing": 0.1,
    },
    "classify transformer": {"learning_rate": 1e-3},
    "regress transformer": {"learning_rate": 1e-3},
    "tag transformer": {"num_layers": 2, "learning_rate": 1e-3},
    "generate gpt": {"num_layers": 4, "embedding_size": 128, "hidden_size": 128, "learning_rate": 2e-3},
    "translate transformer": {"num_layers": 3, "dropout": 0.1, "batch_tokens": 1_024, "learning_rate": 1.5e-3},
    "translate gpt": {
        "bidirectional": False,
        "num_layers": 4,
        "dropout": 0.1,
        "batch_tokens": 1_024,
        "learning_rate": 1.5e-3,
    },
}
