"""From settings and data to a trained run: the model of a row, all that training needs, the record of how it went."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from unrolled import lineage, machine, scan
from unrolled.config import Config, ModelConfig, TrainingConfig
from unrolled.data.batches import Sequences
from unrolled.data.examples import Examples
from unrolled.data.samples import PREFIX
from unrolled.data.splits import Splits
from unrolled.data.tokenizers import Tokenizer
from unrolled.errors import ConfigError
from unrolled.layers import Recurrent, set_backend
from unrolled.models import Answer, Ids, Inputs, Model
from unrolled.training.classification import ClassificationSource, loss_nats, score
from unrolled.training.loop import Event, Outcome, Trainer, seed_of
from unrolled.training.run import Run, log_read

__all__ = ["Prepared", "build", "computing", "fit", "prepare", "refuse_unfit"]

log = logging.getLogger("unrolled")


def build(row_name: str, inputs: Inputs, num_outputs: int, config: ModelConfig, *, answer: Answer = "once") -> Model:
    """Build the model of a row, with fresh weights from torch's generator.

    Raises:
        ConfigError: the row is unknown or not built, or has no use for an option that was set.
    """
    row = lineage.row(row_name)
    assert row.model is not None
    module, _, name = row.model.partition(":")
    kind = getattr(importlib.import_module(module), name)
    model = kind(inputs, num_outputs, config, answer, **({"cell": row.cell} if row.cell else {}))
    return cast(Model, model)


def refuse_unfit(config: Config, device: torch.device) -> None:
    """Refuse what the row has no use for and a backend that cannot run, before any data is read.

    Raises:
        ConfigError: an option without use. BackendError: a forced backend cannot run.
    """
    smallest = config.model.model_copy(update={"embedding_size": 1, "hidden_size": 1})
    with torch.device("meta"):  # no random number is drawn
        model = build(config.row, Ids(1), 1, smallest)
    layers = _recurrent(model.to_empty(device=device))
    if not layers and config.training.backend != "auto":
        raise ConfigError(f'row "{config.row}" has no recurrent layer, so no use for backend: leave it out')
    for layer in layers:
        scan.choose(config.training.backend, layer.cell, masked=layer.recurrent_dropout > 0)


@contextmanager
def computing(config: TrainingConfig, device: torch.device) -> Iterator[None]:
    """Compute with the threads that the settings name, and leave torch's threads and random numbers as they were."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            torch.set_num_threads(config.threads or threads)
            yield
        finally:
            torch.set_num_threads(threads)


@dataclass(frozen=True)
class Prepared:
    """All that training needs, before the first update."""

    config: Config
    splits: Splits
    tokenizer: Tokenizer
    model: Model
    trainer: Trainer


def prepare(splits: Splits, config: Config, device: torch.device) -> Prepared:
    """Train the tokeniser, turn text into ids, build the model with the weights of its seed, and set the trainer up."""
    for loaded in splits.loaded:
        log_read(loaded)
    for part in splits.parts().values():
        if part.counts.skipped and all(part is not loaded for loaded in splits.loaded):
            log_read(part)
    log.info("%s: %s", splits.how, ", ".join(f"{name} {len(part):,}" for name, part in splits.parts().items()))
    tokenizer = Tokenizer.train(
        splits.train.texts(),
        kind=config.data.tokenizer,
        vocabulary_size=config.data.vocabulary_size,
        min_frequency=config.data.min_frequency,
        lowercase=config.data.lowercase,
    )
    index = {label: k for k, label in enumerate(splits.labels)}

    def ids_and_classes(part: Examples) -> tuple[Sequences, Tensor]:
        classes = [index[label] for label in part.labels()]
        return Sequences(tokenizer.encode(part.texts())), torch.tensor(classes, dtype=torch.long)

    train, valid = ids_and_classes(splits.train), ids_and_classes(splits.valid)
    training = config.training
    torch.manual_seed(seed_of(training.seed, -1))
    model = build(config.row, Ids(tokenizer.vocabulary_size), len(splits.labels), config.model).to(device)
    set_backend(model, training.backend)
    parameters = sum(p.numel() for p in model.parameters())
    log.info("row %s: %s parameters, vocabulary %s", config.row, f"{parameters:,}", f"{tokenizer.vocabulary_size:,}")
    source = ClassificationSource(*train, batch_tokens=training.batch_tokens, seed=training.seed, device=device)
    trainer = Trainer(model, source, loss_nats, lambda: score(model, *valid), training)
    return Prepared(config, splits, tokenizer, model, trainer)


def fit(
    prepared: Prepared,
    data: object,
    began: float,
    report: Callable[[Event], None],
    interrupted: Callable[[], int | None],
) -> Run:
    """Train, evaluate on the test part, and write down how it went.

    Args:
        prepared: what `prepare` made.
        data: what the splits were read from.
        began: time.perf_counter() when all this began.
        report, interrupted: see `Trainer.run`.
    """
    config, splits, model = prepared.config, prepared.splits, prepared.model
    metrics: list[dict[str, Any]] = []

    def keep_and_report(event: Event) -> None:
        metrics.append(event.to_dict())
        report(event)

    outcome = prepared.trainer.run(keep_and_report, interrupted)
    record = _record(data, config, splits, model, outcome)
    run = Run(config, model, prepared.tokenizer, splits.labels, record, metrics=tuple(metrics))
    if len(splits.test):
        result = run.result(splits.test)
        record["result"] = result.to_dict()
        run = replace(run, test=result)
    record["seconds"] = time.perf_counter() - began
    return run


def _record(data: object, config: Config, splits: Splits, model: Model, outcome: Outcome) -> dict[str, Any]:
    """What run.json keeps; files by their whole path, so that they are found again from another folder."""
    labels = splits.train.labels()
    kept = config.model_dump()
    kept["data"] |= {
        part: file and _absolute(file) for part, file in (("valid", config.data.valid), ("test", config.data.test))
    }
    layers = _recurrent(model)
    return {
        "config": kept,
        "data": {
            "name": splits.train.name,
            "source": _absolute(data) if isinstance(data, str | Path) else splits.train.source,
            "how": splits.how,
            "majority": max(splits.labels, key=labels.count),
            "parts": {
                name: {"rows": len(part), "fingerprint": part.fingerprint} for name, part in splits.parts().items()
            },
            "read": [{"source": loaded.source, "counts": str(loaded.counts)} for loaded in splits.loaded],
        },
        "parameters": sum(p.numel() for p in model.parameters()),
        "training": outcome.to_dict(),
        "result": None,
        "backend": scan.choose(layers[0].backend, layers[0].cell, masked=layers[0].recurrent_dropout > 0)
        if layers
        else "none: no recurrence",
        "versions": machine.versions(),
        "machine": machine.describe(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _recurrent(model: Model) -> list[Recurrent]:
    return [layer for layer in model.modules() if isinstance(layer, Recurrent)]


def _absolute(source: str | Path) -> str:
    return str(source) if str(source).startswith(PREFIX) else str(Path(source).resolve())
