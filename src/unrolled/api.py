"""The one core that the command line, notebooks and (to come) the server call: train, load, decode, evaluate.

run = unrolled.train("reviews.csv", row="gru", out="runs/reviews")
run.decode("a fine film")[0].label
unrolled.load("runs/reviews").evaluate("more.csv").accuracy
"""

from __future__ import annotations

import importlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from unrolled import lineage, machine, scan
from unrolled.config import Config, ModelConfig, from_flat
from unrolled.data import report as data_report
from unrolled.data.batches import Sequences
from unrolled.data.examples import Examples, read_texts
from unrolled.data.splits import Splits, load_splits
from unrolled.data.tokenizers import Tokenizer
from unrolled.decoding import Classification
from unrolled.errors import CheckpointError, ConfigError
from unrolled.evaluation import ClassificationResult
from unrolled.layers import Recurrent, set_backend
from unrolled.models import Answer, Ids, Inputs, Model
from unrolled.training import ClassificationSource, Event, Outcome, Run, Trainer, loss_nats, score
from unrolled.training.folder import claim, next_folder, read, refuse_existing
from unrolled.training.interrupt import interruptible
from unrolled.training.loop import seed_of

__all__ = ["backends", "build", "decode", "evaluate", "inspect", "load", "read_texts", "train"]

log = logging.getLogger("unrolled")


def train(
    data: object,
    *,
    out: str | Path | None = None,
    runs: str | Path | None = None,
    overwrite: bool = False,
    config: Config | None = None,
    report: Callable[[Event], None] = lambda event: None,
    **settings: Any,
) -> Run:
    """Train a row of the lineage on `data`, evaluate it on the test part, and keep it.

    Args:
        data: a CSV, TSV or JSONL file, a sample's name ("sample:films"), or Python objects: (text, label) pairs, dicts
            with the text and label keys, a mapping of two lists, a data frame.
        out: folder to save the run to. Without it and `runs` the run stays in memory (`run.save(folder)`).
        runs: folder of runs: the run is saved to the first free `<runs>/<data>-<row>-<n>`.
        overwrite: whether a run in `out` may be replaced; it is, once the new one is whole.
        config: settings to start from; default: `Config()`.
        report: called with the progress of the training.
        settings: any field of the config by its flat name: row="lstm", hidden_size=256, epochs=5.

    Returns:
        the run, in eval mode, with the weights of its best evaluation. Ctrl-C or SIGTERM ends training between two
        updates: the run that is returned then has `run.record["training"]["signal"]` set. A second one raises
        KeyboardInterrupt.

    Raises:
        ConfigError: an unknown setting, a value out of range, a row or task that is not built, `out` exists.
        DataError: the data cannot be read as asked; names file and line.
        TrainingError: the loss or a gradient is not finite.
        BackendError: a forced backend cannot run.
    """
    began = time.perf_counter()
    config = from_flat(settings, base=config)
    lineage.task(config.task)
    row = lineage.row(config.row)
    if config.task not in row.tasks:
        serving = ", ".join(r.name for r in lineage.rows_for(config.task))
        raise ConfigError(f'row "{row.name}" does not serve task "{config.task}"; {serving} do')
    device = _device(config.training.device)
    if config.training.threads is not None:
        torch.set_num_threads(config.training.threads)
    if out is not None:
        refuse_existing(Path(out), overwrite=overwrite)

    splits = load_splits(data, config.data)
    for loaded in splits.loaded:
        log.info("%s: %s", loaded.source, loaded.counts)
    log.info("%s: %s", splits.how, ", ".join(f"{name} {len(part):,}" for name, part in splits.parts().items()))
    prepared = prepare(splits, config, device)

    path = Path(out) if out is not None else None
    if path is None and runs is not None:
        path = next_folder(Path(runs), splits.train.name, config.row)
    if path is None:
        return _fit(prepared, data, began, report)
    with claim(path, overwrite=overwrite) as folder, (folder / "metrics.jsonl").open("w", encoding="utf-8") as metrics:

        def keep_and_report(event: Event) -> None:
            metrics.write(json.dumps(event.to_dict()) + "\n")
            metrics.flush()
            report(event)

        run = replace(_fit(prepared, data, began, keep_and_report), path=path)
        run.write(folder)
    return run


def load(path: str | Path, *, device: str = "auto") -> Run:
    """Load a run from its folder. Nothing in it is executed, and no pickle is read.

    Raises:
        CheckpointError: the folder or a file of it is missing, damaged, foreign, or of a newer format.
    """
    folder = Path(path)
    kept, weights, tokenizer_json, record = read(folder)
    try:
        config = Config.model_validate(record["config"])
        labels = tuple(str(label) for label in kept["labels"])
        model = build(
            str(kept["row"]), Ids(int(kept["inputs"]["vocabulary_size"])), len(labels), ModelConfig(**kept["model"])
        )
        tokenizer = Tokenizer.from_json(tokenizer_json)
        model.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder} does not hold a run that this unrolled can rebuild: {error}") from error
    if tokenizer.vocabulary_size != kept["inputs"]["vocabulary_size"]:
        raise CheckpointError(
            f"{folder / 'tokenizer.json'} knows {tokenizer.vocabulary_size} tokens, and the model "
            f"{kept['inputs']['vocabulary_size']}: it belongs to another run"
        )
    set_backend(model, config.training.backend)
    return Run(config, model.to(_device(device)).eval(), tokenizer, labels, record, folder)


def decode(run: Run | str | Path, texts: str | Iterable[str]) -> list[Classification]:
    """Answer for one text or many, in their order. `run` is a Run or its folder."""
    return _run(run).decode(texts)


def evaluate(run: Run | str | Path, data: object = None) -> ClassificationResult:
    """Compare the run's answers with the labels of `data`, or of its own test part. `run` is a Run or its folder."""
    return _run(run).evaluate(data)


def inspect(data: object, *, config: Config | None = None, **settings: Any) -> data_report.DataReport:
    """Say what is understood of `data` before anything is trained: columns, counts, splits, lengths, labels."""
    return data_report.inspect(data, from_flat(settings, base=config).data)


def backends() -> dict[str, Any]:
    """Say what computes here: each backend with its conditions, the cells it runs, devices and threads."""
    from unrolled.models.recurrent import CELLS, make_cell

    cells = {name: make_cell(name, 1, ModelConfig(hidden_size=1)) for name in CELLS}
    return {
        "backends": {
            name: {
                "cells": [cell for cell, made in cells.items() if all(c.holds for c in scan.conditions(name, made))],
                "needs": [c._asdict() for c in scan.conditions(name)],
            }
            for name in scan.BACKENDS
        },
        "auto": {name: scan.choose("auto", cell) for name, cell in cells.items()},
        "device": str(_device("auto")),
        "machine": machine.describe(),
    }


def build(
    row_name: str, inputs: Inputs, num_outputs: int, config: ModelConfig, *, answer: Answer = "once"
) -> Model:
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
    if not set_backend(model, training.backend) and training.backend != "auto":
        raise ConfigError(f'row "{config.row}" has no recurrent layer, so no use for backend; leave it out')
    source = ClassificationSource(*train, batch_tokens=training.batch_tokens, seed=training.seed, device=device)
    trainer = Trainer(model, source, loss_nats, lambda: score(model, *valid), training)
    return Prepared(config, splits, tokenizer, model, trainer)


def _fit(prepared: Prepared, data: object, began: float, report: Callable[[Event], None]) -> Run:
    """Train, evaluate, and write down how it went."""
    config, splits, model = prepared.config, prepared.splits, prepared.model
    parameters = sum(p.numel() for p in model.parameters())
    vocabulary = prepared.tokenizer.vocabulary_size
    log.info("row %s: %s parameters, vocabulary %s", config.row, f"{parameters:,}", f"{vocabulary:,}")
    with interruptible() as interrupted:
        outcome = prepared.trainer.run(report, interrupted)
    record = _record(data, config, splits, model, outcome) | {"parameters": parameters}
    run = Run(config, model, prepared.tokenizer, splits.labels, record)
    if len(splits.test):
        run = replace(run, test=run.result(splits.test))
        record["result"] = run.test.to_dict() if run.test else None
    record["seconds"] = time.perf_counter() - began
    return run


def _record(data: object, config: Config, splits: Splits, model: Model, outcome: Outcome) -> dict[str, Any]:
    """What run.json keeps beside the result."""
    labels = splits.train.labels()
    layers = [layer for layer in model.modules() if isinstance(layer, Recurrent)]
    source = splits.train.source
    if isinstance(data, str | Path) and not str(data).startswith("sample:"):
        source = str(Path(data).resolve())
    return {
        "config": config.model_dump(),
        "data": {
            "name": splits.train.name,
            "source": source,
            "how": splits.how,
            "majority": max(splits.labels, key=labels.count),
            "parts": {
                name: {"rows": len(part), "fingerprint": part.fingerprint} for name, part in splits.parts().items()
            },
            "read": [{"source": loaded.source, "counts": str(loaded.counts)} for loaded in splits.loaded],
        },
        "training": outcome.to_dict(),
        "result": None,
        "backend": scan.choose(layers[0].backend, layers[0].cell, masked=layers[0].recurrent_dropout > 0)
        if layers
        else "none: no recurrence",
        "versions": machine.versions(),
        "machine": machine.describe(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _device(name: str) -> torch.device:
    """The device asked for; `auto` takes CUDA, then MPS, then the CPU."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in found.items() if there)
    if not found.get(name):
        raise ConfigError(
            f'device "{name}" is not available here; use {", ".join(d for d, there in found.items() if there)}'
        )
    return torch.device(name)


def _run(run: Run | str | Path) -> Run:
    return run if isinstance(run, Run) else load(run)
