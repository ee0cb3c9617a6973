"""The options of training and the comparison of tiny trainings, shared by the options tests of all tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

from unrolled.config import IMAGES, Choice, DataConfig, TrainingConfig, unused
from unrolled.errors import DataError
from unrolled.laws import Option
from unrolled.lineage import architectures_for
from unrolled.training import Run

WILD: dict[str, Any] = {"updates": 8, "evaluate_every": 1, "learning_rate": 3.0}  # some evaluations are worse
ROUNDING = 1e-5
"""Relative: one update of AdamW moves each weight by about the rate, 2e-3, however small its gradient; another order
of float32 sums moves that by some units of 1e-7 of the largest weight, of order 1, and this is ten times more."""

OF_TRAINING = [
    Option("time_limit", "0.001s"),
    Option("warmup", 0.5),
    Option("schedule", "constant"),
    Option("plateau_patience", 3, WILD | {"schedule": "plateau", "plateau_patience": 1}),
    Option("plateau_factor", 0.1, WILD | {"schedule": "plateau", "plateau_patience": 1}),
    Option("weight_decay", 0.5),
    Option("label_smoothing", 0.2),
    Option("average", 0.9),
    Option("average_best", 3, WILD | {"learning_rate": 4.0}),  # the mean is kept
    Option("precision", "bf16"),
    Option("clip", 1e-3),
    Option("evaluate_every", 1),
    Option("patience", 1, WILD),
    Option("keep", "snapshots"),
    Option("tensorboard", True),
    Option("seed", 1),
    Option("checkpoint_every", 1, changes=False),
    Option("device", "cpu", changes=False),
    Option("threads", 1, {"updates": 1}, changes=False, within=ROUNDING),
    Option("shards", 2, {"updates": 1, "dropout": 0.0}, changes=False, within=ROUNDING),
    Option("backend", "reference", {"updates": 1}, changes=False, within=ROUNDING),
]
"""The options of the training section that every task has, in one context for all."""
ELSEWHERE = frozenset({"folds", "fold", "vectors", "freeze_vectors"})
"""Options that tests/tasks/test_folds.py and test_vectors.py hold."""


def identity(option: Option) -> str:
    """The option in a test's name."""
    return "-".join(str(part) for part in (option.name, option.value, option.context.get("model")) if part is not None)


def missing_or_unknown(options: Collection[Option], task: str) -> set[str]:
    """The settings of data and training that a table lacks or should not have; the model's stand in tests/models.

    task: its name, or "images".
    """
    models = architectures_for("classify" if task == IMAGES else task)
    nowhere = frozenset.intersection(*(unused(Choice(task, model.name, None, "plateau")) for model in models))
    wanted = {*DataConfig.model_fields, *TrainingConfig.model_fields} - nowhere - ELSEWHERE
    return {option.name for option in options} ^ wanted


def left_by(train: Callable[[], Run], size: str = "n") -> dict[str, Tensor]:
    """A tiny training's weights, events, folders and result, `size` the number of what it is of; or its refusal."""
    try:
        run = train()
    except DataError:
        return {"refused": torch.ones(1)}
    assert run.path is not None
    events = [list(event.values()) for event in run.metrics for _ in [event.pop("tokens_per_second")]]
    return {
        **run.model.state_dict(),
        "metrics": torch.tensor([float(value) for event in events for value in event], dtype=torch.float64),
        "folders": torch.tensor([sum(1 for path in run.path.iterdir() if path.is_dir())]),
        "result": torch.tensor([getattr(run.test, size), run.test.loss_nats], dtype=torch.float64),
    }
