"""Runs whose weights come from another library: their record says so, and claims no data, no training and no result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from unrolled import atomic, machine
from unrolled.config import Config
from unrolled.models import Model
from unrolled.runs.build import build
from unrolled.runs.preprocessor import Preprocessor, inputs_of, num_outputs_of
from unrolled.runs.recorded import sum_of
from unrolled.runs.run import Run

__all__ = ["LACKING", "empty_model", "file_bytes", "imported_run", "in_our_order"]

R = TypeVar("R", bound=Run)
NO_SPLIT = {"fingerprint": "none", "rows": 0, "characters": 0, "tokens": 0, "unknown": 0, "files": 0}
"""A split in the record of an imported run, of any task."""
LACKING = -10_000.0
"""Logit bias of a token that the other model lacks: finite in float16, and its probability is 0 in float64, too."""


def file_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        CheckpointError: it cannot be read.
    """
    with atomic.read_errors(path):
        return path.read_bytes()


def in_our_order(rows: Tensor, theirs: Tensor, *, lacking: float = 0.0) -> Tensor:
    """Return rows of another vocabulary in the order of our ids, (V, …).

    Args:
        rows: rows in the order of the other ids, (their size, …).
        theirs: the other id of each of ours, (V,); −1 where there is none.
        lacking: the values of a row where there is none.
    """
    missing = (theirs < 0).view(-1, *[1] * (rows.dim() - 1))
    return torch.where(missing, lacking, rows[theirs.clamp(min=0)])


def empty_model(kind: type[Run], config: Config, preprocessor: Preprocessor, labels: Sequence[str]) -> Model:
    """Return the model of a run, without memory for its weights if torch's default device is meta.

    Args:
        kind: class of the run.
        config, preprocessor, labels: see Run.
    """
    inputs = inputs_of(preprocessor)
    return build(config.model.name, inputs, num_outputs_of(inputs, labels), config.model, answer=kind.answer)


def imported_run(
    kind: type[R],
    config: Config,
    weights: Mapping[str, Tensor],
    preprocessor: Preprocessor,
    labels: Sequence[str] = (),
    *,
    layout: str,
    source: Path,
    files: Sequence[Path],
    data: Mapping[str, Any],
) -> R:
    """Return a run in memory that was not trained here.

    Args:
        kind: class of the run.
        config, preprocessor, labels: see Run.
        weights: every tensor of the model by name.
        layout: name of the layout that the weights had, for the record.
        source: file or folder that they were read from.
        files: the files that were read, whose checksums are recorded.
        data: entries of the record that the task needs, such as the counts of tokens.
    """
    model = empty_model(kind, config, preprocessor, labels)
    model.load_state_dict(weights)
    sums = [{"source": str(file.resolve()), **found} for file in files if (found := sum_of(file)) is not None]
    record = {
        "config": config.model_dump(),
        "imported": {"layout": layout, "source": str(source.resolve()), "files": sums},
        "data": {
            "name": source.resolve().stem if source.is_file() else source.resolve().name,
            "source": str(source.resolve()),
            "how": f"imported from {layout}: the data of its training are not recorded",
            "splits": {split: dict(NO_SPLIT) for split in ("train", "valid", "test")},
            **data,
        },
        "parameters": sum(p.numel() for p in model.parameters()),
        "training": {"updates": 0, "best_update": 0, "stopped": f"imported from {layout}", "tokens_per_second": 0.0},
        "result": None,
        "backend": "none: imported",
        "versions": machine.versions(),
        "machine": machine.describe(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    return kind(config, model.eval(), preprocessor, tuple(labels), record)
