"""Preparation of a training: the checks before any data is read, then the model and its trainer."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import safetensors.torch
import torch

from unrolled import machine, scan
from unrolled.config import Config, refuse_misread_images, refuse_unused, seconds
from unrolled.data.encoding.vectors import Vectors
from unrolled.errors import ConfigError
from unrolled.kernels import native
from unrolled.layers import Recurrent, set_backend
from unrolled.models import Model
from unrolled.runs.build import build
from unrolled.runs.preprocessor import inputs_of
from unrolled.runs.run import Run
from unrolled.training import tensorboard
from unrolled.training.distributed import ALONE, Processes
from unrolled.training.limit import updates_within
from unrolled.training.loop import Trainer
from unrolled.training.pretrained import name_of
from unrolled.training.seeds import seed_of
from unrolled.training.step import LossNats
from unrolled.training.task import Task

__all__ = ["Prepared", "apply_time_limit", "empty_model", "prepare", "refuse_unfit"]

log = logging.getLogger("unrolled")


def refuse_unfit(task: type[Task], config: Config, device: torch.device, *, saved: bool) -> None:
    """Refuse settings without a use in the task or the model, and a backend that cannot run, before any data is read.

    Args:
        task, config, device: task, settings and device of the training.
        saved: whether it is saved to a folder.

    Raises:
        ConfigError: a setting without a use, or a figure that the task does not have.
        BackendError: the requested backend cannot run.
    """
    refuse_misread_images(config)
    refuse_unused(config)
    if (by := config.training.best_by) not in task.best_by:
        raise ConfigError(f'task {config.task} has no figure "{by}": best_by must be {" or ".join(task.best_by)}')
    if not saved and (config.training.keep or config.training.tensorboard):
        raise ConfigError("keep and tensorboard write into the run's folder: give one with out or runs")
    if config.training.tensorboard:
        tensorboard.refuse_missing()
    smallest = config.model.model_copy(update={"hidden_size": config.model.num_heads})  # which heads divide
    with machine.without_values():  # no random number is drawn
        layers = _recurrent(build(config.model.name, task.smallest, 1, config.model, answer=task.answer))
        if layers:
            layers = _recurrent(
                build(config.model.name, task.smallest, 1, smallest, answer=task.answer).to_empty(device=device)
            )
    for layer in layers:
        scan.choose(config.training.backend, layer.cell, masked=layer.recurrent_dropout > 0, zoned=layer.zoneout > 0)


@dataclass(frozen=True)
class Prepared:
    """A training before its first update.

    Args:
        config: the resolved settings.
        task: the task with its data.
        model, trainer: made for them.
        start: the run whose weights the training begins with; None: the weights are random.
        sums: checksums of the files of the data, see `recorded.sums_of`.
        decided: the settings that follow from the data, see `by_data`.
        vectors: the record of the word vectors that the embeddings begin with, if any.
    """

    config: Config
    task: Task
    model: Model
    trainer: Trainer
    start: str | None = None
    sums: Sequence[dict[str, Any]] = ()
    decided: Mapping[str, Any] = field(default_factory=dict)
    vectors: dict[str, Any] | None = None

    def data_record(self) -> dict[str, Any]:
        """Return the record of the data: source, sums of its files, splits."""
        vectors = {} if self.vectors is None else {"vectors": self.vectors}
        return {**self.task.record(), "sums": list(self.sums), **vectors}

    @property
    def num_parameters(self) -> int:
        """The number of parameters of the model."""
        return sum(p.numel() for p in self.model.parameters())

    def facts(self) -> dict[str, str]:
        """Return what all processes of a training must have alike: data, settings, versions, initial weights."""
        splits = {f"the {name} split": entry for name, entry in self.data_record()["splits"].items()}
        weights = hashlib.sha256(safetensors.torch.save(self.model.state_dict()))
        facts = {**self.build, **self.config.flat(), **splits, "initial weights": weights.hexdigest()[:12]}
        facts["preprocessor"] = hashlib.sha256(self.task.preprocessor.to_json().encode()).hexdigest()[:12]
        return {name: str(value) for name, value in facts.items() if name != "processor"}

    @property
    def backend(self) -> str:
        """The backend that computes the model's scans."""
        layers = _recurrent(self.model)
        if not layers:
            return "none: no recurrence"
        return scan.choose(
            layers[0].backend, layers[0].cell, masked=layers[0].recurrent_dropout > 0, zoned=layers[0].zoneout > 0
        )

    @property
    def build(self) -> dict[str, str]:
        """Machine and library versions that can change results in the last bits."""
        device = next(self.model.parameters()).device.type
        facts = {**machine.describe(), **machine.versions(), "device": device, "backend": self.backend}
        return {name: str(value) for name, value in {**facts, "kernels": native.isa()}.items()}


def prepare(
    task: Task,
    config: Config,
    device: torch.device,
    start: Run | None = None,
    *,
    vectors: Vectors | None = None,
    processes: Processes = ALONE,
) -> Prepared:
    """Build the model and its trainer.

    Args:
        task, config, device: task, settings and device of the training.
        start: the run whose weights the training begins with; None: they are drawn from the seed.
        vectors: word vectors that the embeddings begin with.
        processes: the processes that train the model together.

    Raises:
        DataError: a sequence is longer than the model's maximum length.
    """
    torch.manual_seed(seed_of(config.training.seed, -1))
    inputs = inputs_of(task.preprocessor)
    model = build(config.model.name, inputs, task.num_outputs, config.model, answer=task.answer).to(device)
    set_backend(model, config.training.backend)
    task.refuse_longer(model, config.model.name)
    if start is not None:
        model.load_state_dict(task.first_weights(start))
    if vectors is not None and model.embedding is not None:
        vectors.fill_(model.embedding.weight)
    if config.training.freeze_vectors and model.embedding is not None:
        model.embedding.requires_grad_(False)
    loader = task.loader(model, config, device)
    score = partial(task.score, model, by=config.training.best_by)
    loss, plain = task.loss(config, device), _plain_loss(task, config, device)
    trainer = Trainer(model, loader, loss, score, config.training, plain_nats=plain, processes=processes)
    prepared = Prepared(config, task, model, trainer, name_of(start) if start else None)
    log.info("model %s: %s parameters, %s", config.model.name, f"{prepared.num_parameters:,}", inputs)
    return prepared


def apply_time_limit(prepared: Prepared) -> None:
    """Convert the time limit of a fresh training, if it has one, into its number of updates."""
    limit = prepared.config.training.time_limit
    if limit:
        with machine.retain_memory():
            updates = updates_within(prepared.trainer, seconds(limit))
        prepared.trainer.progress.updates = updates
        log.info("time limit %s: %s updates", limit, f"{updates:,}")


def _plain_loss(task: Task, config: Config, device: torch.device) -> LossNats | None:
    """Return the loss without smoothing and weights, so that it compares with that of the validation split."""
    plain = {"label_smoothing": 0.0, "class_weights": "none"}
    training = config.training.model_copy(update=plain)
    return None if training == config.training else task.loss(config.model_copy(update={"training": training}), device)


def empty_model(task: Task, config: Config) -> Model:
    """Return the model of a training without memory for its weights, on the device meta."""
    with machine.without_values():
        return build(
            config.model.name, inputs_of(task.preprocessor), task.num_outputs, config.model, answer=task.answer
        )


def _recurrent(model: Model) -> list[Recurrent]:
    return [layer for layer in model.modules() if isinstance(layer, Recurrent)]
